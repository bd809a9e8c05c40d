"""Datasets: immutable versions of what was pushed."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.data import VersionCreate, VersionCreated
from nacre.schema.launch import FileEntry
from nacre.schema.manifests import canonical
from nacre.services.blobs import BlobLedger
from nacre.services.datasets import Datasets
from nacre.services.events import Events
from nacre.testing.blobs import FakeBlobs, digest_of

DAY = 24 * 3600


@pytest.fixture
def store() -> FakeBlobs:
    return FakeBlobs()


@pytest.fixture
def ledger(database: Database, clock: FixedClock, store: FakeBlobs) -> BlobLedger:
    return BlobLedger(database, clock, store)


@pytest.fixture
def datasets(database: Database, clock: FixedClock, ledger: BlobLedger) -> Datasets:
    return Datasets(database, clock, ledger, Events(database, clock))


def send(ledger: BlobLedger, caller: Caller, **files: bytes) -> str:
    entries = []
    for name, data in files.items():
        ledger.put(caller, digest_of(data), io.BytesIO(data))
        entries.append(FileEntry(path=name, size=len(data), digest=digest_of(data)))
    manifest = canonical(entries)
    ledger.put(caller, digest_of(manifest), io.BytesIO(manifest))
    return digest_of(manifest)


@pytest.fixture
def make(datasets: Datasets, ledger: BlobLedger, people: People):
    def one(name: str, **files: bytes) -> VersionCreated:
        manifest = send(ledger, people.editor, **files)
        return datasets.create(people.editor, name, VersionCreate(manifest=manifest, note="a note"))

    return one


class TestCreate:
    def test_versions_count_from_one(self, make, datasets: Datasets, people: People) -> None:
        first, second = make("digits", a=b"12", b=b"3"), make("digits", a=b"12")
        assert (first.number, first.files, first.size, first.note, first.user) == (
            1,
            2,
            3,
            "a note",
            "editor",
        )
        assert (second.number, second.created) == (2, True)
        found = datasets.get(people.viewer, "digits")
        assert found.versions == [1, 2]
        assert found.latest is not None
        assert found.latest.number == 2

    def test_the_same_content_again_is_the_same_version(
        self, make, datasets: Datasets, people: People
    ) -> None:
        first, again = make("digits", a=b"1"), make("digits", a=b"1")
        assert (again.number, again.created, again.id) == (1, False, first.id)
        make("digits", a=b"2")
        assert make("digits", a=b"1").number == 3

    def test_no_files_is_no_dataset(self, make) -> None:
        with pytest.raises(InvalidSpec, match="no files"):
            make("digits")

    @pytest.mark.parametrize("name", ["Digits", "../digits", "", "a b", "x" * 65, "a@1"])
    def test_a_name_that_is_none(self, make, name: str) -> None:
        with pytest.raises(InvalidSpec, match="is not a name"):
            make(name, a=b"1")

    def test_many_at_once_get_different_numbers(
        self, datasets: Datasets, ledger: BlobLedger, people: People
    ) -> None:
        manifests = [send(ledger, people.editor, a=str(n).encode()) for n in range(8)]
        with ThreadPoolExecutor(8) as pool:
            made = list(
                pool.map(
                    lambda m: datasets.create(people.editor, "digits", VersionCreate(manifest=m)), manifests
                )
            )
        assert sorted(version.number for version in made) == list(range(1, 9))

    def test_a_manifest_that_was_not_sent(self, datasets: Datasets, people: People) -> None:
        with pytest.raises(NotFound, match="send the manifest first"):
            datasets.create(people.editor, "digits", VersionCreate(manifest=digest_of(b"nothing")))


class TestRead:
    def test_references(self, make, datasets: Datasets, people: People) -> None:
        make("digits", a=b"1")
        make("digits", a=b"2")
        for ref, number in (("digits", 2), ("digits@latest", 2), ("digits@1", 1)):
            assert datasets.resolve(None, people.project.id, ref).number == number

    def test_what_does_not_exist_names_what_does(self, make, datasets: Datasets, people: People) -> None:
        with pytest.raises(NotFound, match="nacre data push"):
            datasets.get(people.viewer, "digits")
        make("digits", a=b"1")
        with pytest.raises(NotFound, match=r"there are digits$"):
            datasets.get(people.viewer, "digit")
        for ref in ("digits@2", "digits@x", "digits@-1", "digits@99999999999999999999"):
            with pytest.raises(NotFound, match="there are digits@1"):
                datasets.resolve(None, people.project.id, ref)

    def test_files(self, make, datasets: Datasets, people: People) -> None:
        make("digits", b=b"2", a=b"1")
        found = datasets.files(people.viewer, "digits", "latest")
        assert [(f.path, f.size) for f in found.files] == [("a", 1), ("b", 1)]
        assert found.version.number == 1

    def test_pages(self, make, datasets: Datasets, people: People) -> None:
        for number in range(5):
            make(f"d{number}", a=b"1")
        first = datasets.list(people.viewer, limit=3)
        rest = datasets.list(people.viewer, cursor=first.next, limit=3)
        assert {d.name for d in first.items + rest.items} == {f"d{n}" for n in range(5)}
        assert (len(first.items), rest.next) == (3, None)


class TestDelete:
    def test_only_unreferenced_blobs_are_freed(
        self,
        make,
        datasets: Datasets,
        ledger: BlobLedger,
        people: People,
        clock: FixedClock,
        store: FakeBlobs,
    ) -> None:
        make("digits", a=b"only in one", b=b"in both")
        two = make("digits", b=b"in both")
        datasets.delete_version(people.editor, "digits", "1")
        clock.advance(2 * DAY)
        ledger.collect()
        clock.advance(2 * DAY)
        ledger.collect()
        assert set(store.digests()) == {two.manifest, digest_of(b"in both")}
        datasets.delete(people.editor, "digits")
        ledger.collect()
        clock.advance(2 * DAY)
        ledger.collect()
        assert list(store.digests()) == []

    def test_a_number_is_never_used_again(self, make, datasets: Datasets, people: People) -> None:
        make("digits", a=b"1")
        make("digits", a=b"2")
        datasets.delete_version(people.editor, "digits", "latest")
        assert make("digits", a=b"3").number == 3
        datasets.delete(people.editor, "digits")
        with pytest.raises(NotFound):
            datasets.get(people.viewer, "digits")
        assert datasets.list(people.viewer).items == []
        assert make("digits", a=b"1").number == 4

    def test_the_last_version_takes_the_dataset_with_it(
        self, make, datasets: Datasets, people: People
    ) -> None:
        make("digits", a=b"1")
        datasets.delete_version(people.editor, "digits", "1")
        with pytest.raises(NotFound):
            datasets.get(people.viewer, "digits")

    def test_what_is_in_use_stays(
        self, make, datasets: Datasets, people: People, database: Database
    ) -> None:
        make("digits", a=b"1")
        two = make("digits", a=b"2")
        with database.write() as session:
            datasets.hold(session, people.project.id, "job", "job_1", two)
        for attempt in (
            lambda: datasets.delete_version(people.editor, "digits", "2"),
            lambda: datasets.delete(people.editor, "digits"),
        ):
            with pytest.raises(Conflict, match="digits@2 is in use by job job_1"):
                attempt()
        assert datasets.get(people.viewer, "digits").versions == [1, 2]
        with database.write() as session:
            datasets.release(session, "job", "job_1")
        datasets.delete(people.editor, "digits")
