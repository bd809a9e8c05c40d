"""The population stability index, against a slow reference; what is said of data that drifted and of data
that did not."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.workloads import drift
from nacre.workloads.arrays import DataError
from nacre.workloads.streams import open_stream

X = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
IMAGES = [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 16, 16]}]


def slow_psi(reference: list[float], captured: list[float]) -> float:
    """By the words of the module's docstring, a sample at a time."""
    known = sorted(v for v in reference if not math.isnan(v))
    distinct = sorted(set(known))
    if len(distinct) <= 10:
        places = {value: i for i, value in enumerate(distinct)}
        bins = len(distinct) + 1

        def place(value: float) -> int:
            return places.get(value, bins - 1)
    else:
        edges = sorted(set(np.quantile(known, [i / 10 for i in range(1, 10)]).tolist()))
        bins = len(edges) + 1

        def place(value: float) -> int:
            return sum(value > edge for edge in edges)

    missing = any(math.isnan(v) for v in [*reference, *captured])
    counts = [[0.0] * (bins + missing) for _ in range(2)]
    for row, values in zip(counts, (reference, captured), strict=True):
        for value in values:
            row[bins if math.isnan(value) else place(value)] += 1
    total = 0.0
    for p, q in zip(*counts, strict=True):
        p_share = (p + 0.5) / (len(reference) + 0.5 * len(counts[0]))
        q_share = (q + 0.5) / (len(captured) + 0.5 * len(counts[0]))
        total += (q_share - p_share) * math.log(q_share / p_share)
    return total


VALUES = st.one_of(
    st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=80),
    st.lists(st.sampled_from([0.0, 1.0, 2.5, math.nan]), min_size=1, max_size=80),
)


class TestIndex:
    @given(reference=VALUES, captured=VALUES)
    def test_it_is_the_reference_implementations(
        self, reference: list[float], captured: list[float]
    ) -> None:
        if all(math.isnan(v) for v in reference):
            reference = [*reference, 0.0]
        found = drift.psi(*drift.binned(np.array(reference), np.array(captured)))
        assert found == pytest.approx(slow_psi(reference, captured), rel=1e-9, abs=1e-12)
        assert found >= 0

    def test_by_hand(self) -> None:
        found = drift.psi(np.array([49.5, 49.5]), np.array([24.5, 74.5]))
        assert found == pytest.approx((0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(1.5))

    def test_text_is_binned_by_value(self) -> None:
        before = np.array(["a"] * 50 + ["b"] * 50)
        same, other = np.array(["b", "a"] * 50), np.array(["a", "new"] * 50)
        assert drift.psi(*drift.binned(before, same)) == 0
        counts = drift.binned(before, other)
        assert [c.tolist() for c in counts] == [[50, 50, 0], [50, 0, 50]]
        assert drift.psi(*counts) > 1

    def test_a_constant_feature_that_moves_is_seen(self) -> None:
        for moved in (-1.0, 1.0):
            assert drift.psi(*drift.binned(np.zeros(100), np.full(100, moved))) > 1

    @pytest.mark.parametrize("size", [500, 5000])
    def test_without_drift_it_is_as_small_as_theory_says(self, size: int) -> None:
        rng = np.random.default_rng(0)
        found = [
            drift.psi(*drift.binned(rng.standard_normal(size), rng.standard_normal(size)))
            for _ in range(300)
        ]
        assert np.mean(found) == pytest.approx(9 * 2 / size, rel=0.15)


class TestSampling:
    def test_much_is_drawn_evenly(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drift, "MOST_SAMPLES", 2000)
        np.save(tmp_path / "x.npy", np.repeat(np.arange(30_000, dtype=np.float32)[:, None], 2, axis=1))
        stream = open_stream(tmp_path, X)
        count, (first, second) = drift.sampled(stream, drift.Measured(X, {"x": 2}, {}), 0)
        assert (count, len(first)) == (30_000, 2000)
        assert (first == second).all(), "rows stay together"
        assert len(np.unique(first)) == 2000
        histogram, _ = np.histogram(first, 10, (0, 30_000))
        assert histogram.min() > 140, "200 of each tenth, give or take four standard deviations"
        assert histogram.max() < 260

    def test_shapes_that_change_are_said(self) -> None:
        measured = drift.Measured(X, {"x": 2}, {})
        with pytest.raises(DataError, match="has 2 values in a sample of the training data, and 3"):
            measured.of({"x": np.zeros((4, 3))})


class TestReport:
    def write(self, folder: Path, x: Any, y: Any) -> tuple[Path, Path]:
        np.savez(folder / "train.npz", x=x, y=np.zeros(len(x)))
        (folder / "captured").mkdir()
        columns = {"request.revision": [1] * len(y), "x": np.asarray(y).reshape(len(y), -1).tolist()}
        pq.write_table(pa.table(columns), folder / "captured" / "part.parquet")
        return folder / "captured", folder / "train.npz"

    def test_the_feature_that_moved_is_named(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        before, after = rng.standard_normal((4000, 2)), rng.standard_normal((1000, 2))
        after[:, 1] += 1
        found = drift.compare(*self.write(tmp_path, before, after), X, [])
        assert [f["feature"] for f in found["features"]] == ["x[0]", "x[1]"]
        assert found["worst"]["feature"] == "x[1]"
        assert found["features"][0]["psi"] < 0.1
        assert found["features"][1]["psi"] == pytest.approx(
            slow_psi(
                np.float32(before[:, 1]).astype(float).tolist(),
                np.float32(after[:, 1]).astype(float).tolist(),
            ),
            abs=1e-6,
        )
        assert (found["verdict"], found["captured_samples"], found["reference_samples"]) == (
            "drifted",
            1000,
            4000,
        )

    @pytest.mark.parametrize(
        ("change", "verdict"),
        [
            (lambda x: x, "stable"),
            (lambda x: np.clip(x + 0.5, 0, 1), "drifted"),
            (lambda x: x[:, ::-1], "drifted"),
        ],
    )
    def test_images_by_mean_deviation_and_projections(
        self, tmp_path: Path, change: Any, verdict: str
    ) -> None:
        rng = np.random.default_rng(0)
        shape = np.linspace(0, 0.8, 16)[None, :, None]
        pictures = np.clip(shape + 0.1 * rng.standard_normal((4000, 16, 16)), 0, 1).astype(np.float32)
        captured, reference = self.write(tmp_path, pictures[:2000], change(pictures[2000:]))
        found = drift.compare(captured, reference, IMAGES, [])
        kinds = [f["kind"] for f in found["features"]]
        assert kinds == ["mean", "std", *["projection"] * drift.PROJECTIONS]
        assert found["verdict"] == verdict, found["worst"]

    def test_columns_are_called_by_their_names(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        pq.write_table(
            pa.table({"age": rng.random(600), "income": rng.random(600), "label": [0] * 600}),
            tmp_path / "train.parquet",
        )
        captured, _ = self.write(tmp_path, np.zeros((1, 2)), rng.random((600, 2)))
        found = drift.compare(captured, tmp_path / "train.parquet", X, [])
        assert [f["feature"] for f in found["features"]] == ["age", "income"]
        assert found["verdict"] == "stable"

    def test_few_samples_are_unclear(self, tmp_path: Path) -> None:
        found = drift.compare(*self.write(tmp_path, np.zeros((4000, 2)), np.ones((99, 2))), X, [])
        assert found["verdict"] == "unclear"

    def test_the_program(self, tmp_path: Path) -> None:
        captured, reference = self.write(tmp_path, np.zeros((600, 2)), np.ones((600, 2)))
        env = {
            "NACRE_OUTPUT_DIR": str(tmp_path),
            "NACRE_MODEL_SIGNATURE": json.dumps({"inputs": X, "outputs": []}),
            "NACRE_TRACK_FILE": str(tmp_path / "track.jsonl"),
            "NACRE_RUN_ID": "0" * 32,
        }
        words = [sys.executable, "-m", "nacre.workloads.drift", "--captured", str(captured)]
        words += ["--reference", str(reference)]
        done = subprocess.run(
            words, env=os.environ | env, capture_output=True, check=False, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("drifted: x[0] has PSI ")
        assert json.loads((tmp_path / "drift.json").read_text())["verdict"] == "drifted"
        done = subprocess.run(
            [*words, "--features", "z"],
            env=os.environ | env,
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2
        assert "error: the training data cannot be compared: no array 'z'" in done.stderr
