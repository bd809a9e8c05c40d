"""What workers captured becomes a dataset: all of it, once, also when the server is killed in between."""

from __future__ import annotations

import base64
import io
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.modelserver.calls import Call, Interface
from nacre.modelserver.capture import Capture
from nacre.schema.endpoints import EndpointUpdate
from nacre.schema.serving import ServedCapture, Signature
from nacre.services.captured_rows import to_parquet
from nacre.services.captures import Captures

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
BUDGET = 2**20


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    made = models_kit.world(database, clock, tmp_path)
    made.ready(people.editor)
    made.deploy(people.editor)
    capture(made, people, {"dataset": "asked", "share": 1.0, "budget_bytes": BUDGET})
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "capture" / "vision" / "ask"
    found.mkdir(parents=True)
    return found


@pytest.fixture
def captures(world: ModelsWorld, folder: Path) -> Captures:
    return again(world, folder)


def again(world: ModelsWorld, folder: Path) -> Captures:
    jobs = world.jobs
    place = folder.parents[1]
    return Captures(jobs.db, jobs.clock, jobs.signals, jobs.ledger, jobs.datasets, place)


def capture(world: ModelsWorld, people: People, settings: dict[str, Any] | None) -> None:
    update = EndpointUpdate.model_validate({"settings": {"capture": settings}})
    world.endpoints.update(people.editor, "ask", update)


def line(number: float, rows: int = 1, time_ms: int = 1000) -> bytes:
    def told(datatype: str, array: Any) -> dict[str, Any]:
        data = base64.b64encode(array.tobytes()).decode()
        return {"datatype": datatype, "shape": list(array.shape), "b64": data}

    x = np.full((rows, 2), number, "<f4")
    return (
        json.dumps(
            {
                "time_ms": time_ms,
                "revision": 1,
                "batched": True,
                "inputs": {"x": told("FP32", x)},
                "outputs": {"y": told("INT64", np.arange(rows, dtype="<i8"))},
            }
        ).encode()
        + b"\n"
    )


class Parts:
    """Writes parts that are as old as is said."""

    def __init__(self, folder: Path, clock: FixedClock) -> None:
        self.folder, self.clock, self.number = folder, clock, 0

    def add(self, *lines: bytes, age_s: float = 61, suffix: str = ".jsonl", pad: int = 0) -> Path:
        self.number += 1
        path = self.folder / f"part-1-1-{self.number}{suffix}"
        path.write_bytes(b"".join(lines) + b" " * pad)
        moment = (self.clock.now() - timedelta(seconds=age_s)).timestamp()
        os.utime(path, (moment, moment))
        return path


@pytest.fixture
def parts(folder: Path, clock: FixedClock) -> Parts:
    return Parts(folder, clock)


def numbers(world: ModelsWorld, people: People, version: str = "latest") -> list[float]:
    """``x[0]`` of every row of the dataset."""
    found = []
    for entry in world.jobs.datasets.files(people.viewer, "asked", version).files:
        table = pq.read_table(io.BytesIO(world.jobs.ledger.read(entry.digest, 2**30)))
        found += [row[0] for row in table["x"].to_pylist()]
    return sorted(found)


def versions(world: ModelsWorld, people: People) -> list[int]:
    found = {d.name: d.versions for d in world.jobs.datasets.list(people.viewer).items}
    return found.get("asked", [])


class TestRows:
    def test_what_a_worker_writes_is_read_here(self, world: ModelsWorld, tmp_path: Path) -> None:
        interface = Interface(
            "net",
            "1",
            Signature.model_validate(
                {
                    "inputs": [
                        {"name": "x", "datatype": "FP32", "shape": [-1, 2, 2]},
                        {"name": "word", "datatype": "BYTES", "shape": [-1, 1]},
                        {"name": "flag", "datatype": "BOOL", "shape": [-1]},
                    ],
                    "outputs": [
                        {"name": "y", "datatype": "FP16", "shape": [-1, -1]},
                        {"name": "mean", "datatype": "FP64", "shape": []},
                    ],
                }
            ),
        )
        writer = Capture()
        config = ServedCapture(share=1, folder=str(tmp_path / "written"), budget_bytes=2**30)
        for rows, width in ((2, 3), (1, 4)):
            feed = {
                "x": np.arange(rows * 4, dtype=np.float32).reshape(rows, 2, 2),
                "word": np.array([[f"ä{i}"] for i in range(rows)], dtype=object),
                "flag": np.array([True, False][:rows]),
            }
            arrays = [np.full((rows, width), np.nan, np.float16), np.array(2.5)]
            writer.offer("vision/ask", config, rows, Call(feed, ["y", "mean"]), arrays, interface)
        writer.close()
        (file,) = (tmp_path / "written").glob("*.jsonl")
        with file.open("rb") as stream:
            (data,) = to_parquet(stream)
        table = pq.read_table(io.BytesIO(data))
        assert table.column_names == [
            "request.time",
            "request.revision",
            "x",
            "word",
            "flag",
            "output.y",
            "output.mean",
        ]
        assert table["request.revision"].to_pylist() == [2, 2, 1]
        assert table["x"].to_pylist() == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]
        assert table.schema.field("x").metadata == {b"shape": b"2x2"}
        assert table["word"].to_pylist() == [["ä0"], ["ä1"], ["ä0"]]
        assert table["flag"].to_pylist() == [True, False, True]
        assert [len(row) for row in table["output.y"].to_pylist()] == [3, 3, 4]
        assert table["output.mean"].to_pylist() == [2.5, 2.5, 2.5]

    def test_requests_of_another_form_are_another_file(self, world: ModelsWorld) -> None:
        other = json.loads(line(2))
        other["inputs"]["more"] = other["inputs"]["x"]
        files = to_parquet([line(1), json.dumps(other).encode(), line(3)])
        assert [pq.read_metadata(io.BytesIO(f)).num_rows for f in files] == [2, 1]

    @pytest.mark.parametrize(
        "broken",
        [
            line(1)[:-20],
            b"\n",
            b"[]\n",
            b"null\n",
            line(1).replace(b'"shape": [1, 2]', b'"shape": [9, 9]'),
            line(1).replace(b"FP32", b"FP8"),
            line(1).replace(b'"b64": "', b'"b64": "%%'),
            line(1).replace(b'"time_ms": 1000', b'"time_ms": null'),
        ],
    )
    def test_lines_that_are_none_are_left_out(self, world: ModelsWorld, broken: bytes) -> None:
        (data,) = to_parquet([line(1), broken, line(3)])
        assert pq.read_metadata(io.BytesIO(data)).num_rows == 2


class TestTaking:
    def test_a_minute_later_it_is_a_version(
        self, world: ModelsWorld, people: People, captures: Captures, parts: Parts, folder: Path
    ) -> None:
        part = parts.add(line(1, rows=2), line(2), age_s=59)
        captures.take()
        assert versions(world, people) == []
        world.jobs.clock.advance(1)
        captures.take()
        assert numbers(world, people) == [1, 1, 2]
        assert world.jobs.datasets.get_version(people.viewer, "asked", "1").note == (
            "Captured from the endpoint ask"
        )
        assert not part.exists()
        assert [p.name for p in folder.iterdir()] == ["target.json"]
        captures.take()
        assert versions(world, people) == [1]

    def test_later_versions_have_what_the_earlier_ones_had(
        self, world: ModelsWorld, people: People, captures: Captures, parts: Parts
    ) -> None:
        world.dataset(people.editor, "asked", {"readme.md": b"# mine"})
        parts.add(line(1))
        captures.take()
        parts.add(*[line(2)] * 20)
        captures.take()
        assert versions(world, people) == [1, 2, 3]
        files = world.jobs.datasets.files(people.viewer, "asked", "3").files
        assert sum(f.path.startswith("captured/") for f in files) == 2
        assert "readme.md" in {f.path for f in files}

    def test_a_large_dataset_gets_versions_seldom_unless_a_part_is_full(
        self, world: ModelsWorld, people: People, captures: Captures, parts: Parts
    ) -> None:
        rng = np.random.default_rng(0)
        parts.add(*(line(float(n)) for n in rng.standard_normal(4000)))
        captures.take()
        parts.add(line(1))
        captures.take()
        assert versions(world, people) == [1], "one line is less than a tenth of what is there"
        world.jobs.clock.advance(3600)
        captures.take()
        assert versions(world, people) == [1, 2]
        parts.add(line(2), age_s=0, pad=16 * 2**20)
        captures.take()
        assert versions(world, people) == [1, 2, 3]

    @pytest.mark.parametrize("point", ["create", "rmtree", "keep"])
    def test_killed_at_any_point_nothing_is_lost_or_there_twice(
        self,
        world: ModelsWorld,
        people: People,
        captures: Captures,
        parts: Parts,
        folder: Path,
        point: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        parts.add(line(1), line(2))

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            if point == "rmtree":
                patch.setattr("nacre.services.captures.shutil.rmtree", killed)
            else:
                patch.setattr(
                    *{"create": (world.jobs.datasets, "create"), "keep": (world.jobs.ledger, "keep")}[
                        point
                    ],
                    killed,
                )
            with pytest.raises(KeyboardInterrupt):
                captures.take()
        parts.add(line(3))
        again(world, folder).take()
        again(world, folder).take()
        assert numbers(world, people) == [1, 2, 3]
        assert list(folder.glob("taken-*")) == []

    def test_the_part_of_a_worker_that_was_killed_is_taken_when_it_is_old(
        self, world: ModelsWorld, people: People, captures: Captures, parts: Parts
    ) -> None:
        parts.add(line(1), line(2)[:50], suffix=".open", age_s=299)
        captures.take()
        assert versions(world, people) == []
        world.jobs.clock.advance(1)
        captures.take()
        assert numbers(world, people) == [1]

    def test_one_that_cannot_be_taken_holds_up_no_other(
        self, world: ModelsWorld, people: People, captures: Captures, parts: Parts, folder: Path
    ) -> None:
        world.deploy(people.editor, "also")
        update = EndpointUpdate.model_validate({"settings": {"capture": {"dataset": "also-asked"}}})
        world.endpoints.update(people.editor, "also", update)
        parts.add(line(1))
        other = folder.parent / "also"
        other.mkdir()
        Parts(other, world.jobs.clock).add(line(2))
        (other / "target.json").mkdir()  # it cannot be replaced
        captures.take()
        assert numbers(world, people) == [1]


class TestBudget:
    def left(self, world: ModelsWorld) -> int:
        with world.jobs.db.read() as session:
            routes = world.endpoints.settling._routes.wanted(session)
        config = routes.endpoints["vision/ask"].capture
        assert config is not None
        return config.budget_bytes

    def test_the_model_server_is_told_what_is_left(
        self, world: ModelsWorld, people: People, captures: Captures, parts: Parts
    ) -> None:
        assert self.left(world) == BUDGET
        parts.add(*(line(n) for n in range(100)))
        captures.take()
        parts.add(*(line(n) for n in range(100)))
        captures.take()
        files = world.jobs.datasets.files(people.viewer, "asked", "latest").files
        assert self.left(world) == BUDGET - sum(f.size for f in files)

    def test_what_somebody_deletes_is_room_again(
        self, world: ModelsWorld, people: People, captures: Captures, parts: Parts
    ) -> None:
        parts.add(line(1))
        captures.take()
        assert self.left(world) < BUDGET
        world.jobs.datasets.delete(people.editor, "asked")
        captures.take()
        assert self.left(world) == BUDGET

    def test_other_files_of_the_dataset_do_not_count(
        self, world: ModelsWorld, people: People, captures: Captures
    ) -> None:
        world.dataset(people.editor, "asked", {"mine.bin": bytes(5000)})
        captures.take()
        assert self.left(world) == BUDGET


class TestEnd:
    def test_what_was_captured_is_taken_after_it_is_switched_off(
        self, world: ModelsWorld, people: People, captures: Captures, parts: Parts, folder: Path
    ) -> None:
        captures.take()
        parts.add(line(1), age_s=5)
        open_part = parts.add(line(2), age_s=5, suffix=".open")
        capture(world, people, None)
        captures.take()
        assert numbers(world, people) == [1]
        open_part.rename(open_part.with_suffix(".jsonl"))
        again(world, folder).take()
        assert numbers(world, people) == [1, 2]
        assert not folder.exists()

    def test_also_when_the_endpoint_is_gone(
        self, world: ModelsWorld, people: People, captures: Captures, parts: Parts, folder: Path
    ) -> None:
        captures.take()
        parts.add(line(1), age_s=5)
        world.endpoints.delete(people.editor, "ask")
        captures.take()
        assert numbers(world, people) == [1]
        assert not folder.exists()

    def test_a_folder_of_nobody_goes_in_the_end(
        self, world: ModelsWorld, captures: Captures, folder: Path, clock: FixedClock
    ) -> None:
        stray = folder.parent / "stray"
        stray.mkdir()
        moment = clock.now().timestamp()
        os.utime(stray, (moment, moment))
        captures.take()
        assert stray.exists()
        clock.advance(3600)
        captures.take()
        assert not stray.exists()
