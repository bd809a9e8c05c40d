"""Which project has which blobs, and what is freed when."""

from __future__ import annotations

import io
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.data import DoomedBlobRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.errors import InvalidSpec, NotFound, Unavailable
from nacre.plugins.blobs.files import FileBlobs
from nacre.ports.blobs import PART_BYTES, blob_path, part_ranges
from nacre.schema.access import Role
from nacre.schema.launch import FileEntry, Manifest
from nacre.schema.manifests import canonical
from nacre.services.blobs import BlobLedger
from nacre.testing.blobs import FakeBlobs, digest_of

DAY = 24 * 3600


@pytest.fixture
def store() -> FakeBlobs:
    return FakeBlobs()


@pytest.fixture
def ledger(database: Database, clock: FixedClock, store: FakeBlobs) -> BlobLedger:
    return BlobLedger(database, clock, store)


@pytest.fixture
def other(database: Database, clock: FixedClock, people: People) -> Caller:
    """An editor of another project."""
    with database.write() as session:
        session.add(
            ProjectRow(id="prj_other", number=2, name="other", description="", created_at=clock.now())
        )
    return replace(people.stranger, project=ProjectRef("prj_other", "other", Role.EDITOR))


def send(ledger: BlobLedger, caller: Caller, data: bytes) -> str:
    digest = digest_of(data)
    ledger.put(caller, digest, io.BytesIO(data))
    return digest


def send_manifest(ledger: BlobLedger, caller: Caller, **files: bytes) -> str:
    entries = [
        FileEntry(path=name, size=len(data), digest=send(ledger, caller, data))
        for name, data in files.items()
    ]
    return send(ledger, caller, canonical(entries))


def refer(database: Database, ledger: BlobLedger, caller: Caller, owner: str, manifest: str) -> None:
    with database.write() as session:
        ledger.add_reference(session, caller.project_id, "run", owner, manifest)


class TestPossession:
    def test_what_was_sent_is_not_missing(self, ledger: BlobLedger, people: People) -> None:
        digest = digest_of(b"data")
        assert ledger.missing(people.editor, [digest]).missing == [digest]
        send(ledger, people.editor, b"data")
        assert ledger.missing(people.editor, [digest, digest]).missing == []
        with ledger.open(people.viewer, digest) as stream:
            assert stream.read() == b"data"

    def test_knowing_a_digest_gives_no_file(
        self, ledger: BlobLedger, people: People, other: Caller, store: FakeBlobs
    ) -> None:
        digest = send(ledger, people.editor, b"secret")
        assert ledger.missing(other, [digest]).missing == [digest]
        with pytest.raises(NotFound):
            ledger.open(other, digest)
        manifest = send(ledger, other, canonical([FileEntry(path="a", size=6, digest=digest)]))
        with pytest.raises(InvalidSpec, match="'a' have not been sent"):
            ledger.take_manifest(other.project_id, manifest)
        with pytest.raises(InvalidSpec):
            ledger.put(other, digest, io.BytesIO(b"a guess"))
        assert ledger.missing(other, [digest]).missing == [digest]
        send(ledger, other, b"secret")
        assert ledger.missing(other, [digest]).missing == []
        assert sorted(store.digests()) == sorted([digest, manifest])

    def test_a_large_file_of_another_project_must_be_sent_whole(
        self, ledger: BlobLedger, people: People, other: Caller
    ) -> None:
        data = os.urandom(PART_BYTES + 9)
        digest, ranges = digest_of(data), part_ranges(PART_BYTES + 9)
        ledger.put_part(people.editor, digest, len(data), 0, data[:PART_BYTES])
        assert ledger.parts(other, digest, len(data)).missing == ranges
        assert not ledger.put_part(other, digest, len(data), PART_BYTES, data[PART_BYTES:]).complete
        assert ledger.put_part(people.editor, digest, len(data), PART_BYTES, data[PART_BYTES:]).complete
        assert ledger.parts(people.editor, digest, len(data)).missing == []
        assert ledger.parts(other, digest, len(data)).missing == ranges[:1]
        with pytest.raises(NotFound):
            ledger.open(other, digest)
        assert ledger.put_part(other, digest, len(data), 0, data[:PART_BYTES]).complete
        with ledger.open(other, digest) as stream:
            assert stream.read() == data

    def test_a_batch_is_possessed_whole_or_not_at_all(self, ledger: BlobLedger, people: People) -> None:
        good, bad = digest_of(b"good"), digest_of(b"bad")
        with pytest.raises(InvalidSpec):
            ledger.put_many(people.editor, [(good, b"good"), (bad, b"worse")])
        assert ledger.missing(people.editor, [good, bad]).missing == [good, bad]
        assert ledger.put_many(people.editor, [(good, b"good"), (bad, b"bad")]).stored == 2
        assert ledger.missing(people.editor, [good, bad]).missing == []

    def test_a_store_that_fails_gives_nothing(
        self, ledger: BlobLedger, people: People, store: FakeBlobs
    ) -> None:
        store.fail("put", Unavailable("the disk is full"))
        with pytest.raises(Unavailable, match="full"):
            send(ledger, people.editor, b"data")
        assert ledger.missing(people.editor, [digest_of(b"data")]).missing == [digest_of(b"data")]

    def test_a_lost_blob_is_asked_for_again(
        self, ledger: BlobLedger, people: People, store: FakeBlobs
    ) -> None:
        digest = send(ledger, people.editor, b"data")
        store.delete(digest)
        with pytest.raises(Unavailable, match="push the data again"):
            ledger.open(people.editor, digest)
        assert ledger.missing(people.editor, [digest]).missing == [digest]

    def test_a_blob_of_the_wrong_length_is_not_served(
        self, ledger: BlobLedger, people: People, store: FakeBlobs
    ) -> None:
        digest = send(ledger, people.editor, b"data")
        store.spoil(digest)
        with pytest.raises(Unavailable, match=f"{digest} had 6 bytes where 4 belong"):
            ledger.open(people.editor, digest)
        assert digest in store.corrupt

    def test_a_damaged_file_is_found_named_and_healed_by_a_push(
        self, database: Database, clock: FixedClock, people: People, tmp_path: Path
    ) -> None:
        ledger = BlobLedger(database, clock, FileBlobs(tmp_path / "blobs"))
        digest = send(ledger, people.editor, b"data" * 100)
        path = blob_path(tmp_path / "blobs", digest)
        path.chmod(0o644)
        os.truncate(path, 10)
        with pytest.raises(Unavailable, match=digest):
            ledger.open(people.editor, digest)
        send(ledger, people.editor, b"data" * 100)
        with ledger.open(people.editor, digest) as stream:
            assert stream.read() == b"data" * 100


class TestManifests:
    @pytest.mark.parametrize(
        "path", ["../up", "a/../../up", "/root", "a//b", "./a", "a/.", "", "nul\0", "a/" + "x" * 256]
    )
    def test_a_path_that_may_leave_the_folder_is_refused(
        self, ledger: BlobLedger, people: People, path: str
    ) -> None:
        digest = send(ledger, people.editor, b"x")
        files = {"files": [{"path": path, "size": 1, "digest": digest}]}
        manifest = send(ledger, people.editor, json.dumps(files).encode())
        with pytest.raises(InvalidSpec, match="path"):
            ledger.take_manifest(people.project.id, manifest)

    @pytest.mark.parametrize(("paths", "sentence"), [(["a", "a"], "twice"), (["a", "a/b"], "at once")])
    def test_paths_that_cannot_be_together_are_refused(
        self, ledger: BlobLedger, people: People, paths: list[str], sentence: str
    ) -> None:
        digest = send(ledger, people.editor, b"x")
        files = [{"path": path, "size": 1, "digest": digest} for path in paths]
        manifest = send(ledger, people.editor, json.dumps({"files": files}).encode())
        with pytest.raises(InvalidSpec, match=sentence):
            ledger.take_manifest(people.project.id, manifest)

    def test_a_length_that_is_not_the_blobs_is_refused(self, ledger: BlobLedger, people: People) -> None:
        entry = FileEntry(path="a", size=5, digest=send(ledger, people.editor, b"x"))
        manifest = send(ledger, people.editor, canonical([entry]))
        with pytest.raises(InvalidSpec, match="'a' has 1 bytes, but the manifest says 5"):
            ledger.take_manifest(people.project.id, manifest)

    @pytest.mark.parametrize(
        "data", [b"", b"{}", b"\x89PNG", b'{"files": 3}', b'{"files": [{"path": "a"}]}']
    )
    def test_other_bytes_are_no_manifest(self, ledger: BlobLedger, people: People, data: bytes) -> None:
        with pytest.raises(InvalidSpec, match="not a manifest"):
            ledger.take_manifest(people.project.id, send(ledger, people.editor, data))

    def test_a_manifest_of_the_servers_own_is_read_again(self, ledger: BlobLedger, people: People) -> None:
        entry = FileEntry(path="a", size=1, digest=ledger.keep(people.project.id, b"x"))
        digest = ledger.write_manifest(people.project.id, Manifest(files=[entry]))
        assert ledger.take_manifest(people.project.id, digest).files == [entry]

    def test_a_reference_needs_possession(
        self, ledger: BlobLedger, people: People, other: Caller, database: Database
    ) -> None:
        manifest = send_manifest(ledger, people.editor, a=b"x")
        with pytest.raises(NotFound):
            refer(database, ledger, other, "run1", manifest)


class TestCollect:
    def test_fresh_blobs_stay(self, ledger: BlobLedger, people: People, clock: FixedClock) -> None:
        digest = send(ledger, people.editor, b"fresh")
        clock.advance(DAY - 60)
        assert ledger.collect().released == 0
        assert ledger.missing(people.editor, [digest]).missing == []

    def test_what_nothing_refers_to_goes_and_the_rest_stays(
        self,
        ledger: BlobLedger,
        people: People,
        clock: FixedClock,
        database: Database,
        store: FakeBlobs,
    ) -> None:
        kept = send_manifest(ledger, people.editor, a=b"kept", b=b"shared")
        gone = send_manifest(ledger, people.editor, a=b"gone", b=b"shared")
        refer(database, ledger, people.editor, "run1", kept)
        refer(database, ledger, people.editor, "run2", gone)
        clock.advance(2 * DAY)
        assert ledger.collect().released == 0
        with database.write() as session:
            ledger.drop_reference(session, "run", "run2")
        assert ledger.collect().released == 2
        assert ledger.missing(people.editor, [digest_of(b"gone")]).missing == [digest_of(b"gone")]
        clock.advance(3600)
        done = ledger.collect()
        assert (done.removed, done.bytes) == (
            2,
            len(b"gone") + len(_manifest(gone=b"gone", shared=b"shared")),
        )
        assert set(store.digests()) == {kept, digest_of(b"kept"), digest_of(b"shared")}

    def test_two_references_to_one_manifest(
        self, ledger: BlobLedger, people: People, clock: FixedClock, database: Database
    ) -> None:
        manifest = send_manifest(ledger, people.editor, a=b"x")
        refer(database, ledger, people.editor, "run1", manifest)
        refer(database, ledger, people.editor, "run1", manifest)
        refer(database, ledger, people.editor, "run2", manifest)
        clock.advance(2 * DAY)
        for owner, released in (("run1", 0), ("run2", 2)):
            with database.write() as session:
                ledger.drop_reference(session, "run", owner)
            assert ledger.collect().released == released

    def test_what_another_project_has_stays_on_disk(
        self,
        ledger: BlobLedger,
        people: People,
        other: Caller,
        clock: FixedClock,
        database: Database,
        store: FakeBlobs,
    ) -> None:
        digest = send(ledger, people.editor, b"both")
        manifest = send_manifest(ledger, other, a=b"both")
        refer(database, ledger, other, "run1", manifest)
        clock.advance(2 * DAY)
        assert ledger.collect().released == 1
        clock.advance(2 * DAY)
        ledger.collect()
        assert ledger.missing(people.editor, [digest]).missing == [digest]
        assert store.missing([digest]) == []

    def test_asking_begins_the_grace_anew(
        self, ledger: BlobLedger, people: People, clock: FixedClock
    ) -> None:
        digest = send(ledger, people.editor, b"asked for")
        clock.advance(DAY - 60)
        assert ledger.missing(people.editor, [digest]).missing == []
        clock.advance(DAY - 60)
        assert ledger.collect().released == 0

    def test_bytes_sent_again_are_rescued(
        self, ledger: BlobLedger, people: People, clock: FixedClock, store: FakeBlobs
    ) -> None:
        digest = send(ledger, people.editor, b"back again")
        clock.advance(2 * DAY)
        ledger.collect()
        clock.advance(3599)
        send(ledger, people.editor, b"back again")
        clock.advance(3600)
        assert ledger.collect().removed == 0
        assert store.missing([digest]) == []

    def test_an_upload_waits_for_a_removal_that_has_begun(
        self,
        ledger: BlobLedger,
        people: People,
        clock: FixedClock,
        store: FakeBlobs,
        database: Database,
    ) -> None:
        digest = digest_of(b"crossing")
        store.put(digest, io.BytesIO(b"crossing"))
        with database.write() as session:
            session.add(DoomedBlobRow(digest=digest, since=clock.now(), deleting=True))
        sender = threading.Thread(target=send, args=(ledger, people.editor, b"crossing"))
        sender.start()
        sender.join(0.3)
        assert sender.is_alive()
        clock.advance(3600)
        assert ledger.collect().removed == 1
        sender.join(30)
        assert not sender.is_alive()
        with ledger.open(people.editor, digest) as stream:
            assert stream.read() == b"crossing"

    def test_an_unreadable_manifest_frees_nothing(
        self, ledger: BlobLedger, people: People, clock: FixedClock, database: Database, store: FakeBlobs
    ) -> None:
        manifest = send_manifest(ledger, people.editor, a=b"precious")
        refer(database, ledger, people.editor, "run1", manifest)
        store.spoil(manifest)
        clock.advance(2 * DAY)
        assert ledger.collect().released == 0
        assert store.missing([digest_of(b"precious")]) == []

    def test_bytes_stored_by_a_server_that_died_go_too(
        self, ledger: BlobLedger, people: People, clock: FixedClock, store: FakeBlobs
    ) -> None:
        store.put(digest_of(b"orphan"), io.BytesIO(b"orphan"))
        assert ledger.collect().removed == 0
        clock.advance(3600)
        assert ledger.collect().removed == 1
        assert list(store.digests()) == []


def _manifest(**files: bytes) -> bytes:
    pairs = zip("ab", files.values(), strict=True)
    return canonical([FileEntry(path=p, size=len(d), digest=digest_of(d)) for p, d in pairs])
