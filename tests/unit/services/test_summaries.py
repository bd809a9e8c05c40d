"""Statistics of dataset versions: right numbers, and no hostile file costs the server."""

from __future__ import annotations

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import People
from tests.unit.services.test_dataset_files import send

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.schema.data import VersionCreate
from nacre.schema.summaries import ClassCounts, ColumnSummary, DataSummary
from nacre.sdk.tracking.pictures import png
from nacre.services.blobs import BlobLedger
from nacre.services.dataset_files import DatasetFiles
from nacre.services.datasets import Datasets
from nacre.services.events import Events
from nacre.services.summaries import Summaries
from nacre.services.summary_columns import Column
from nacre.testing.blobs import FakeBlobs

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class World:
    """Datasets in a store in memory."""

    def __init__(self, database: Database, clock: FixedClock, people: People) -> None:
        self.ledger = BlobLedger(database, clock, FakeBlobs())
        self.datasets = Datasets(database, clock, self.ledger, Events(database, clock))
        self.people = people
        self.files = DatasetFiles(self.datasets, self.ledger)
        self.summaries = Summaries(self.files, self.ledger)

    def summary(self, files: dict[str, bytes], **options: Any) -> DataSummary:
        made = self.datasets.create(
            self.people.editor, "d", VersionCreate(manifest=send(self.ledger, self.people.editor, files))
        )
        summaries = Summaries(self.files, self.ledger, **options) if options else self.summaries
        found = summaries.get(self.people.viewer, "d", str(made.number))
        json.dumps(json.loads(found.model_dump_json()), allow_nan=False)
        return found

    def column(self, name: str, path: str, data: bytes) -> ColumnSummary:
        (table,) = self.summary({path: data}).tables
        return next(column for column in table.columns if column.name == name)


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People) -> World:
    return World(database, clock, people)


def classes(found: DataSummary) -> ClassCounts:
    assert found.classes is not None
    return found.classes


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


class TestColumns:
    def test_numbers(self, world: World) -> None:
        rows = "".join(f"{value}\n" for value in (1.5, 2.5, "", 4, "NaN", 8))
        found = world.column("x", "a.csv", f"x,y\n{rows.replace(chr(10), ',z' + chr(10))}".encode())
        assert (found.count, found.missing, found.distinct) == (6, 2, 4)
        assert (found.type, found.min, found.max, found.mean) == ("number", 1.5, 8, 4)
        assert found.std == pytest.approx(np.std([1.5, 2.5, 4, 8]))
        assert found.histogram is not None
        assert (sum(found.histogram.counts), len(found.histogram.counts)) == (4, 20)

    def test_small_whole_numbers_have_bins_of_their_own(self, world: World) -> None:
        found = world.column("n", "a.csv", b"n\n" + b"3\n4\n4\n7\n" * 10)
        assert found.histogram is not None
        assert found.histogram.counts == [10, 20, 0, 0, 10]
        assert found.histogram.edges == [2.5, 3.5, 4.5, 5.5, 6.5, 7.5]

    def test_texts(self, world: World) -> None:
        found = world.column("word", "a.csv", b"word,n\nred,1\nblue,2\nred,3\n,4\n")
        assert (found.type, found.missing, found.distinct, found.mean) == ("text", 1, 2, None)
        assert [(one.value, one.count) for one in found.top] == [("red", 2), ("blue", 1)]

    def test_many_values_are_not_counted_one_by_one(self, world: World) -> None:
        found = world.column("id", "a.csv", b"id\n" + b"".join(b"id%d\n" % n for n in range(5000)))
        assert (found.count, found.distinct, found.top) == (5000, None, [])

    @pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
    def test_every_format_gives_the_same(self, world: World, ending: str) -> None:
        rows = [{"n": number, "ok": number % 2 == 0, "word": "ab"[number % 2]} for number in range(10)]
        data = {
            "jsonl": "".join(json.dumps(row) + "\n" for row in rows).encode(),
            "json": json.dumps(rows).encode(),
            "parquet": parquet(**{key: [row[key] for row in rows] for key in rows[0]}),
        }[ending]
        (table,) = world.summary({f"a.{ending}": data}).tables
        assert (table.format, table.rows, table.total, table.sampled) == (ending, 10, 10, False)
        n, ok, word = table.columns
        assert (n.min, n.max, n.mean, n.distinct) == (0, 9, 4.5, 10)
        assert sorted((one.value, one.count) for one in ok.top) == [("false", 5), ("true", 5)]
        assert (ok.mean, word.distinct) == (None, 2)

    def test_lines_of_json_may_lack_fields(self, world: World) -> None:
        (table,) = world.summary({"a.jsonl": b'{"a": 1}\n{"b": 2}\n{"a": 3, "b": null}\n'}).tables
        assert [(c.name, c.count, c.missing) for c in table.columns] == [("a", 3, 1), ("b", 3, 2)]

    def test_large_files_are_sampled_from_everywhere(self, world: World) -> None:
        rows = [
            b"%d,%s\n" % (number, b"early" if number < 10**6 else b"late") for number in range(2 * 10**6)
        ]
        (table,) = world.summary({"a.csv": b"n,when\n" + b"".join(rows)}).tables
        assert table.sampled
        assert table.total is None
        assert 100_000 < table.rows < 2 * 10**6
        n, when = table.columns
        assert n.mean == pytest.approx(10**6, rel=0.2)
        assert {one.value for one in when.top} == {"early", "late"}

    def test_large_parquet_is_sampled_from_everywhere(self, world: World) -> None:
        (table,) = world.summary({"a.parquet": parquet(n=np.arange(10**6))}).tables
        assert (table.sampled, table.total) == (True, 10**6)
        assert table.columns[0].mean == pytest.approx(500_000, rel=0.3)

    @pytest.mark.parametrize("chunks", [1, 7, 60])
    def test_the_chunks_do_not_matter(self, database: Database, chunks: int) -> None:
        values = [str(value) for value in np.random.default_rng(1).normal(5, 2, 60)]
        column = Column("x")
        for part in np.array_split(values, chunks):
            column.add(part.tolist())
        found = column.summary()
        assert found.mean == pytest.approx(np.mean([float(v) for v in values]))
        assert found.std == pytest.approx(np.std([float(v) for v in values]))

    @pytest.mark.parametrize(
        "values",
        [["1e308", "-1e308", "1e308"], ["inf", "-inf"], ["1", "1"], ["0", "5e-324"], [float("nan")]],
    )
    def test_no_number_is_too_odd(self, database: Database, values: list[Any]) -> None:
        column = Column("x")
        column.add(values)
        found = column.summary()
        json.dumps(json.loads(found.model_dump_json()), allow_nan=False)
        assert found.count == len(values)


class TestClasses:
    def test_folders_with_splits(self, world: World) -> None:
        files = {f"train/cat/{n}.png": png(1, 1, 1, bytes([n])) for n in range(5)}
        files |= {f"train/dog/{n}.png": png(1, 1, 1, bytes([50 + n])) for n in range(3)}
        files |= {f"test/cat/{n}.png": png(1, 1, 1, bytes([90 + n])) for n in range(2)}
        files |= {"readme.md": b"hello"}
        found = classes(world.summary(files))
        assert (found.source, found.total, found.samples, found.splits) == (
            "folders",
            2,
            10,
            ["train", "test"],
        )
        assert [(one.label, one.count, one.splits) for one in found.classes] == [
            ("cat", 7, {"train": 5, "test": 2}),
            ("dog", 3, {"train": 3, "test": 0}),
        ]

    def test_classes_are_in_order_of_number(self, world: World) -> None:
        files = {f"{label}/{n}.png": png(1, 1, 1, bytes([n])) for label in (10, 9, 2) for n in range(3)}
        assert [one.label for one in classes(world.summary(files)).classes] == ["2", "9", "10"]

    def test_folders_that_are_no_classes(self, world: World) -> None:
        assert (
            world.summary({f"images/{n}.png": png(1, 1, 1, bytes([n])) for n in range(9)}).classes is None
        )
        assert world.summary({f"{n}/a.png": png(1, 1, 1, bytes([n])) for n in range(9)}).classes is None

    def test_a_column_of_labels(self, world: World) -> None:
        rows = "".join(f"{n},{'ab'[n % 2]},{n}\n" for n in range(10))
        found = classes(world.summary({"a.csv": f"x,label,z\n{rows}".encode()}))
        assert (found.source, found.name) == ("column", "label")
        assert [(one.label, one.count) for one in found.classes] == [("a", 5), ("b", 5)]

    def test_labels_of_several_files_by_split(self, world: World) -> None:
        files = {
            "train.csv": b"x,label\n1,a\n2,b\n3,a\n",
            "test.csv": b"x,label\n1,a\n",
        }
        found = classes(world.summary(files))
        assert [(one.label, one.splits) for one in found.classes] == [
            ("a", {"train": 2, "test": 1}),
            ("b", {"train": 1, "test": 0}),
        ]

    def test_a_last_column_of_few_values(self, world: World) -> None:
        rows = "".join(f"{n / 7},{n % 3}\n" for n in range(90))
        found = classes(world.summary({"a.csv": f"x,kind\n{rows}".encode()}))
        assert (found.name, found.total) == ("kind", 3)
        assert world.summary({"a.csv": b"x,kind\n" + b"1,2\n2,3\n"}).classes is None

    def test_arrays_of_labels(self, world: World) -> None:
        data = npz(
            x_train=np.zeros((6, 2)), y_train=np.array([0, 1, 1, 2, 2, 2]), y_test=np.array([[1], [1]])
        )
        found = world.summary({"digits.npz": data})
        assert [(one.label, one.splits) for one in classes(found).classes] == [
            ("0", {"train": 1, "test": 0}),
            ("1", {"train": 2, "test": 2}),
            ("2", {"train": 3, "test": 0}),
        ]
        assert [(one.path, one.array.name) for one in found.arrays] == [
            ("digits.npz", "x_train"),
            ("digits.npz", "y_train"),
            ("digits.npz", "y_test"),
        ]

    def test_arrays_that_are_no_labels(self, world: World) -> None:
        assert world.summary({"a.npz": npz(y=np.arange(5000))}).classes is None
        assert world.summary({"a.npz": npz(y=np.zeros((4, 4), int))}).classes is None
        assert world.summary({"a.npz": npz(y=np.array([{"a": 1}], dtype=object))}).classes is None
        assert world.summary({"a.npz": npz(labels=np.array(["cat", "dog", "cat"]))}).classes is not None


class TestFilesAndImages:
    def test_endings(self, world: World) -> None:
        found = world.summary(
            {"a.PNG": b"1", "b.png": b"22", "LICENSE": b"x", ".hidden": b"x", "c.tar.gz": b"123"}
        )
        assert [(one.ending, one.files, one.size) for one in found.endings] == [
            ("", 2, 2),
            (".png", 2, 3),
            (".gz", 1, 3),
        ]

    def test_sizes_and_modes(self, world: World) -> None:
        files = {f"{n}.png": png(3, 2, 1, bytes([n] * 6)) for n in range(3)}
        files |= {"rgb.png": png(4, 4, 3, bytes(48)), "broken.png": b"no image", "gif.gif": _gif()}
        images = world.summary(files).images
        assert images is not None
        assert (images.files, images.looked, images.sampled) == (6, 6, False)
        assert [(one.value, one.count) for one in images.sizes] == [
            ("3 × 2", 3),
            ("4 × 4", 1),
            ("5 × 6", 1),
        ]
        assert {one.value: one.count for one in images.modes} == {"L": 3, "RGB": 1, "P": 1}
        assert {one.value: one.count for one in images.formats} == {"png": 4, "gif": 1, "?": 1}
        assert (images.width, images.height) == ((3, 5), (2, 6))

    def test_many_images_are_sampled(self, world: World) -> None:
        files = {f"{n:04}.png": png(1 + n // 500, 1, 1, bytes(1 + n // 500)) for n in range(1000)}
        found = world.summary(files)
        assert found.images is not None
        assert (found.images.looked, found.images.sampled, found.sampled) == (400, True, True)
        assert {one.value: one.count for one in found.images.sizes} == {"1 × 1": 200, "2 × 1": 200}


def _gif() -> bytes:
    return b"GIF89a" + (5).to_bytes(2, "little") + (6).to_bytes(2, "little") + bytes(20)


class TestHostileFiles:
    @pytest.mark.parametrize(
        "name",
        ["a.csv", "a.jsonl", "a.json", "a.parquet", "a.npz", "y.npy", "a.png", "a.tsv"],
    )
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\0" * 1000,
            b"PAR1" + b"\xff" * 200 + b"PAR1",
            b"PK\x03\x04" + b"\xff" * 200,
            b"\x93NUMPY\x01\x00v\x00{'descr': '<U99999999', 'fortran_order': False, 'shape': (9,), }"
            + b" " * 60,
            b'"' * 70_000,
            b"[" * 100_000,
            bytes(range(256)) * 10,
        ],
        ids=["empty", "zeros", "parquet", "zip", "numpy", "quotes", "nested", "bytes"],
    )
    def test_no_file_breaks_it(self, world: World, name: str, data: bytes) -> None:
        started = time.monotonic()
        found = world.summary({name: data, "fine.csv": b"x\n1\n"})
        assert any(table.path == "fine.csv" and table.rows == 1 for table in found.tables)
        assert time.monotonic() - started < 20

    def test_it_stops_when_time_is_over(self, world: World) -> None:
        files = {f"{n}.csv": b"x\n" + b"1\n" * 200_000 for n in range(8)}
        started = time.monotonic()
        found = world.summary(files, seconds=0.2)
        assert found.sampled
        assert time.monotonic() - started < 10

    def test_a_lost_blob_leaves_the_rest(self, world: World) -> None:
        files = {"a.csv": b"x\n1\n", "b.csv": b"x\n2\n"}
        manifest = send(world.ledger, world.people.editor, files)
        world.datasets.create(world.people.editor, "d", VersionCreate(manifest=manifest))
        entry = world.ledger.read_manifest(manifest).files[0]
        world.ledger.store.delete(entry.digest)
        found = world.summaries.get(world.people.viewer, "d", "1")
        assert [table.path for table in found.tables] == ["b.csv"]


class TestCache:
    def test_it_is_computed_once_for_many_who_ask_at_once(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked: list[int] = []
        look = world.summaries._look
        monkeypatch.setattr(
            world.summaries, "_look", lambda files: (looked.append(1), time.sleep(0.2), look(files))[2]
        )
        manifest = send(world.ledger, world.people.editor, {"a.csv": b"x\n1\n"})
        for name in ("d", "e"):
            world.datasets.create(world.people.editor, name, VersionCreate(manifest=manifest))
        with ThreadPoolExecutor(8) as pool:
            asked = [
                pool.submit(world.summaries.get, world.people.viewer, name, "1") for name in "dedededed"
            ]
        found = [one.result() for one in asked]
        assert len(looked) == 1
        assert {one.version.dataset for one in found} == {"d", "e"}
        assert all(one.tables == found[0].tables for one in found)

    def test_a_failure_is_not_kept(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        manifest = send(world.ledger, world.people.editor, {"a.csv": b"x\n1\n"})
        world.datasets.create(world.people.editor, "d", VersionCreate(manifest=manifest))
        with monkeypatch.context() as patched:
            patched.setattr(world.summaries, "_look", lambda files: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                world.summaries.get(world.people.viewer, "d", "1")
        assert world.summaries.get(world.people.viewer, "d", "1").tables[0].rows == 1
