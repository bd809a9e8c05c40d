"""Predictions of a whole dataset: each sample once, whatever happens on the way, in little memory."""

from __future__ import annotations

import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper

from nacre.workloads import part_files
from nacre.workloads.part_files import FORMATS, Parts


def model(path: Path, width: int = 3, rows: Any = "n") -> Path:
    """``total`` [n, 1] and ``best`` [n] of ``x`` [n, width]."""
    made = {"axes": helper.make_tensor("axes", TensorProto.INT64, [1], [1])}
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=1),
        helper.make_node("ArgMax", ["x"], ["best"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, width])],
        [
            helper.make_tensor_value_info("total", TensorProto.FLOAT, [rows, 1]),
            helper.make_tensor_value_info("best", TensorProto.INT64, [rows]),
        ],
        list(made.values()),
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def program(
    folder: Path, *arguments: str, code: str | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """The program as a job runs it. ``code``: run instead, with the program's names."""
    for name in ("output", "checkpoints"):
        (folder / name).mkdir(exist_ok=True)
    start = ["-m", "nacre.workloads.predict"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *start, "--model", str(folder / "model.onnx"), "--framework", "onnx", *arguments],
        env=os.environ
        | {
            "NACRE_OUTPUT_DIR": str(folder / "output"),
            "NACRE_CHECKPOINT_DIR": str(folder / "checkpoints"),
            "NACRE_TRACK_FILE": str(folder / "track.jsonl"),
            "NACRE_RUN_ID": "0" * 32,
            **env,
        },
        capture_output=True,
        check=False,
        text=True,
        timeout=200,
    )


def table(folder: Path) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = pq.read_table(folder / "output" / "predictions").to_pydict()
    return found


class TestProgram:
    def test_every_sample_is_answered_as_onnx_runtime_does(self, tmp_path: Path) -> None:
        x = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32)
        np.savez(tmp_path / "data.npz", x=x)
        model(tmp_path / "model.onnx")
        done = program(tmp_path, "--data", str(tmp_path / "data.npz"))
        assert done.returncode == 0, done.stderr
        assert "1,000 samples in 1 parts" in done.stdout
        found = table(tmp_path)
        total, best = onnxruntime.InferenceSession(str(tmp_path / "model.onnx")).run(None, {"x": x})
        assert found["sample"] == list(range(1000))
        assert found["best"] == best.tolist()
        np.testing.assert_array_equal(np.float32(found["total"]), total)
        report = json.loads((tmp_path / "output" / "predictions.json").read_text())
        assert (report["samples"], [o["name"] for o in report["outputs"]]) == (1000, ["total", "best"])
        assert list((tmp_path / "checkpoints").iterdir()) == []

    def test_a_model_of_a_fixed_batch(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.arange(21, dtype=np.float32).reshape(7, 3))
        model(tmp_path / "model.onnx", rows=4)
        done = program(tmp_path, "--data", str(tmp_path / "x.npy"), "--format", "npz")
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / "output" / "predictions" / "part-00000.npz") as found:
            assert found["sample"].tolist() == list(range(7))
            assert found["total"][:, 0].tolist() == [9.0 * i + 3 for i in range(7)]

    def test_killed_after_any_part_it_goes_on_with_the_next(self, tmp_path: Path) -> None:
        x = np.random.default_rng(1).standard_normal((2000, 3)).astype(np.float32)
        np.savez_compressed(tmp_path / "data.npz", x=x)
        model(tmp_path / "model.onnx")
        code = """
import os, sys
from nacre.workloads import part_files, predict
die_after = int(sys.argv.pop())
class Dying(part_files.Parts):
    def __init__(self, folder, form):
        super().__init__(folder, form, rows=300)
        self.before = len(self.files)
    def flush(self):
        super().flush()
        (self._folder / ".part-99999.parquet").write_bytes(b"half")
        if len(self.files) - self.before == die_after:
            os.kill(os.getpid(), 9)
predict.Parts = Dying
predict.main()
"""
        asked = []
        for die_after in (1, 2, 99):
            done = program(tmp_path, "--data", str(tmp_path / "data.npz"), str(die_after), code=code)
            asked.append(done.stdout)
            assert done.returncode == (0 if die_after == 99 else -9), done.stderr
            assert (tmp_path / "output" / "predictions").exists() == (die_after == 99)
        assert "going on after 512 samples" in asked[1], "256 samples a batch, parts of 300 or more"
        assert "going on after 1,536 samples" in asked[2]
        found = table(tmp_path)
        assert found["sample"] == list(range(2000))
        np.testing.assert_allclose(np.float32(found["total"])[:, 0], x.sum(axis=1), rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(
        ("saved", "said"),
        [
            (
                {"x": np.zeros((4, 5))},
                "error: x in data.npz, row 0 (counted from 0): input 'x': "
                "the model takes samples of shape [3], the data has [5]",
            ),
            ({"a": np.zeros((4, 3)), "b": np.zeros(4)}, "no array for the model's input 'x': it has a, b"),
        ],
    )
    def test_data_that_does_not_fit_is_said_in_a_sentence(
        self, tmp_path: Path, saved: Any, said: str
    ) -> None:
        np.savez(tmp_path / "data.npz", **saved)
        model(tmp_path / "model.onnx")
        done = program(tmp_path, "--data", str(tmp_path / "data.npz"))
        assert done.returncode == 2
        assert said in done.stderr.strip().splitlines()[-1]
        assert not (tmp_path / "output" / "predictions").exists()

    @pytest.mark.parametrize(("rows", "first"), [("n", 577), (4, 577), ("n", 0)])
    def test_a_sample_that_the_model_refuses_is_named(self, tmp_path: Path, rows: Any, first: int) -> None:
        """``y`` is the element of a table that ``x`` names; 9 is beyond it."""
        x = np.zeros((700, 1), np.int64)
        x[[first, 600]] = 9
        np.save(tmp_path / "x.npy", x)
        graph = helper.make_graph(
            [helper.make_node("Gather", ["table", "x"], ["y"], axis=0)],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.INT64, [rows, 1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 1])],
            [helper.make_tensor("table", TensorProto.FLOAT, [3], [1, 2, 3])],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.save(made, tmp_path / "model.onnx")
        done = program(tmp_path, "--data", str(tmp_path / "x.npy"))
        assert done.returncode == 2
        said = done.stderr.strip().splitlines()[-1]
        assert said.startswith(f"error: x.npy, row {first} (counted from 0): the model refused: "), said
        assert said.endswith(f"; it takes 'x' INT64 [{-1 if rows == 'n' else rows}, 1]"), said

    @pytest.mark.parametrize(
        ("raised", "code", "said"),
        [
            ("ValueError('no')", 2, "x.npy, row 0 (counted from 0), and the 6 after it: the model refused"),
            ("MemoryError()", 1, "MemoryError"),
        ],
    )
    def test_a_failure_that_is_no_sample_s(self, tmp_path: Path, raised: str, code: int, said: str) -> None:
        """One of all samples together names all; one for want of memory may pass another time."""
        np.save(tmp_path / "x.npy", np.zeros((7, 3), np.float32))
        model(tmp_path / "model.onnx")
        wrapped = f"""
from nacre.modelserver.replica.predictors import base
from nacre.workloads import predict
infer = base.Signed.infer
def only_few(self, wanted, feed):
    if len(feed["x"]) == 7:
        raise {raised}
    return infer(self, wanted, feed)
base.Signed.infer = only_few
predict.main()
"""
        done = program(tmp_path, "--data", str(tmp_path / "x.npy"), code=wrapped)
        assert done.returncode == code, done.stderr
        assert said in done.stderr.strip().splitlines()[-1]

    @pytest.mark.slow
    def test_memory_does_not_grow_with_the_data(self, tmp_path: Path) -> None:
        rows, width = 192 * 1024, 1024
        head = io.BytesIO()
        described = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
        np.lib.format.write_array_header_1_0(head, described)
        with (
            zipfile.ZipFile(tmp_path / "data.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("x.npy", "w", force_zip64=True) as stream,
        ):
            stream.write(head.getvalue())
            zeros = bytes(width * 4 * 1024)
            for _ in range(rows // 1024):
                stream.write(zeros)
        model(tmp_path / "model.onnx", width)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        done = program(tmp_path, "--data", str(tmp_path / "data.npz"))
        assert done.returncode == 0, done.stderr
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        assert pq.read_metadata(tmp_path / "output/predictions/part-00000.parquet").num_rows >= 65_536
        assert peak <= max(before, 400 * 1024), f"{peak // 1024} MiB for 768 MiB of data"


class TestParts:
    @pytest.mark.parametrize("form", sorted(FORMATS))
    def test_what_is_written_is_read_again(self, tmp_path: Path, form: str) -> None:
        parts = Parts(tmp_path, FORMATS[form], rows=4)
        columns = {
            "sample": np.arange(3),
            "name": np.array(["ä", "b", "c"], dtype=object),
            "grid": np.arange(12, dtype=np.float32).reshape(3, 2, 2),
            "flag": np.array([True, False, True]),
        }
        assert not parts.add(columns)
        assert parts.add({n: v[:2] for n, v in columns.items()})
        parts.flush()
        assert [FORMATS[form].rows(f) for f in parts.files] == [5]
        again = Parts(tmp_path, FORMATS[form])
        assert (again.done, again.files) == (5, parts.files)

    def test_a_part_is_complete_by_bytes_too(self, tmp_path: Path) -> None:
        parts = Parts(tmp_path, FORMATS["parquet"], size=1000)
        assert parts.add({"sample": np.arange(200)})

    def test_a_tensor_keeps_its_shape(self, tmp_path: Path) -> None:
        path = tmp_path / "p.parquet"
        part_files.Parquet().write(path, {"grid": np.zeros((2, 3, 4), np.float16)})
        field = pq.read_schema(path).field("grid")
        assert field.metadata[b"shape"] == b"3x4"
        assert len(pq.read_table(path)["grid"][0].as_py()) == 12

    def test_answers_that_differ_in_shape_are_said(self, tmp_path: Path) -> None:
        parts = Parts(tmp_path, FORMATS["parquet"])
        parts.add({"y": np.zeros((2, 3))})
        parts.add({"y": np.zeros((2, 4))})
        with pytest.raises(ValueError, match="differ in shape"):
            parts.flush()
