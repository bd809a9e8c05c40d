"""Files of dataset versions by path, and notes."""

from __future__ import annotations

import io

import pytest
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NotFound
from nacre.schema.data import VersionCreate
from nacre.schema.launch import FileEntry
from nacre.schema.manifests import canonical
from nacre.schema.previews import PreviewKind
from nacre.services.blobs import BlobLedger
from nacre.services.dataset_files import DatasetFiles, ManifestCache
from nacre.services.datasets import MAX_NOTE, Datasets
from nacre.services.events import Events
from nacre.testing.blobs import FakeBlobs, digest_of

FILES = {"a.csv": b"x,y\n1,2\n3,4\n", "train/cat/1.txt": b"miau", "train/dog/1.txt": b"wuff"}


def send(ledger: BlobLedger, caller: Caller, files: dict[str, bytes]) -> str:
    entries = []
    for path, data in files.items():
        ledger.put(caller, digest_of(data), io.BytesIO(data))
        entries.append(FileEntry(path=path, size=len(data), digest=digest_of(data)))
    manifest = canonical(entries)
    ledger.put(caller, digest_of(manifest), io.BytesIO(manifest))
    return digest_of(manifest)


@pytest.fixture
def ledger(database: Database, clock: FixedClock) -> BlobLedger:
    return BlobLedger(database, clock, FakeBlobs())


@pytest.fixture
def datasets(database: Database, clock: FixedClock, ledger: BlobLedger, people: People) -> Datasets:
    found = Datasets(database, clock, ledger, Events(database, clock))
    found.create(people.editor, "d", VersionCreate(manifest=send(ledger, people.editor, FILES), note="n"))
    return found


@pytest.fixture
def files(datasets: Datasets, ledger: BlobLedger) -> DatasetFiles:
    return DatasetFiles(datasets, ledger)


class TestOpen:
    def test_a_file_has_its_bytes(self, files: DatasetFiles, people: People) -> None:
        entry, stream = files.open(people.viewer, "d", "1", "train/cat/1.txt")
        with stream:
            assert (entry.size, stream.read()) == (4, b"miau")

    def test_each_version_has_its_own(
        self, files: DatasetFiles, datasets: Datasets, ledger: BlobLedger, people: People
    ) -> None:
        manifest = send(ledger, people.editor, {"a.csv": b"new"})
        datasets.create(people.editor, "d", VersionCreate(manifest=manifest))
        contents = []
        for version in ("1", "2", "latest"):
            with files.open(people.viewer, "d", version, "a.csv")[1] as stream:
                contents.append(stream.read())
        assert contents == [FILES["a.csv"], b"new", b"new"]

    @pytest.mark.parametrize(
        ("name", "version", "path"),
        [
            ("d", "1", "absent"),
            ("d", "1", "train"),
            ("d", "1", "../a.csv"),
            ("d", "2", "a.csv"),
            ("e", "1", "a"),
        ],
    )
    def test_what_is_not_there_is_not_found(
        self, files: DatasetFiles, people: People, name: str, version: str, path: str
    ) -> None:
        with pytest.raises(NotFound):
            files.open(people.viewer, name, version, path)

    def test_another_project_has_none_of_it(
        self, files: DatasetFiles, people: People, ledger: BlobLedger
    ) -> None:
        with files.open(people.viewer, "d", "1", "a.csv")[1]:
            pass  # the manifest is kept in memory now
        elsewhere = Caller("usr_x", "x", project=people.project.__class__("prj_other", "other", None))
        with pytest.raises(NotFound):
            files.open(elsewhere, "d", "1", "a.csv")


class TestPreview:
    def test_files_and_folders(self, files: DatasetFiles, people: People) -> None:
        table = files.preview(people.viewer, "d", "1", "a.csv", offset=1, limit=1).table
        assert table is not None
        assert (table.rows, table.total) == ([["3", "4"]], 2)
        for path, names in (
            ("", ["a.csv", "train"]),
            ("train", ["cat", "dog"]),
            ("train/", ["cat", "dog"]),
        ):
            found = files.preview(people.viewer, "d", "1", path)
            assert found.kind is PreviewKind.FOLDER
            assert found.folder is not None
            assert [item.name for item in found.folder.items] == names
        page = files.preview(people.viewer, "d", "1", "train", offset=1, limit=5).folder
        assert page is not None
        assert ([item.name for item in page.items], page.total) == (["dog"], 2)

    def test_what_is_not_there_is_not_found(self, files: DatasetFiles, people: People) -> None:
        for path in ("absent", "tra", "a.csv/x", "../a.csv"):
            with pytest.raises(NotFound, match="has no file"):
                files.preview(people.viewer, "d", "1", path)


def test_a_manifest_is_read_once_and_forgotten_when_there_are_too_many(
    ledger: BlobLedger, people: People
) -> None:
    reads: list[str] = []
    read = ledger.read_manifest
    ledger.read_manifest = lambda digest: (reads.append(digest), read(digest))[1]  # type: ignore[method-assign]
    cache = ManifestCache(ledger, kept=3)
    first = send(ledger, people.editor, {"a": b"1", "b": b"2"})
    second = send(ledger, people.editor, {"c": b"3", "d": b"4"})
    for digest in (first, first, second, second, first):
        cache.get(digest)
    assert reads == [first, second, first]


class TestNote:
    def test_it_is_changed_and_the_rest_stays(self, datasets: Datasets, people: People) -> None:
        before = datasets.get_version(people.editor, "d", "1")
        after = datasets.update(people.editor, "d", "latest", "better")
        assert after == before.model_copy(update={"note": "better"})
        assert datasets.get_version(people.viewer, "d", "1").note == "better"

    def test_too_long_ones_are_refused(self, datasets: Datasets, people: People) -> None:
        with pytest.raises(InvalidSpec, match="over"):
            datasets.update(people.editor, "d", "1", "x" * (MAX_NOTE + 1))
        with pytest.raises(NotFound):
            datasets.update(people.editor, "d", "7", "x")
