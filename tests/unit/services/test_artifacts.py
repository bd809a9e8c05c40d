"""Files of runs one by one: over what the job left, kept alive, and only where the caller may write."""

from __future__ import annotations

import io
import threading
from dataclasses import replace

import pytest
from blake3 import blake3
from sqlalchemy import select
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.artifacts import ArtifactRow
from nacre.db.tables.attempts import AttemptRow
from nacre.domain.identity import Caller
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied, Unavailable
from nacre.schema.launch import FileEntry, Manifest
from nacre.schema.runs import Run, RunCreate
from nacre.services.artifacts import Artifacts
from nacre.services.blobs import BlobLedger
from nacre.services.events import Events
from nacre.services.runs import Runs
from nacre.services.signals import Signals
from nacre.testing.blobs import FakeBlobs

DAY = 24 * 3600


@pytest.fixture
def store() -> FakeBlobs:
    return FakeBlobs()


@pytest.fixture
def ledger(database: Database, clock: FixedClock, store: FakeBlobs) -> BlobLedger:
    return BlobLedger(database, clock, store)


@pytest.fixture
def runs(database: Database, clock: FixedClock, ledger: BlobLedger) -> Runs:
    return Runs(database, clock, ledger, Events(database, clock), Signals())


@pytest.fixture
def artifacts(database: Database, clock: FixedClock, ledger: BlobLedger) -> Artifacts:
    return Artifacts(database, clock, ledger, Signals())


@pytest.fixture
def run(runs: Runs, people: People) -> Run:
    return runs.create(people.editor, RunCreate(name="first"))


def put(artifacts: Artifacts, caller: Caller, run: str, path: str, data: bytes = b"x") -> FileEntry:
    return artifacts.put(caller, run, path, io.BytesIO(data))


def left(
    runs: Runs, ledger: BlobLedger, database: Database, people: People, run: str, **files: bytes
) -> None:
    """What the run's job left in its output folder."""
    entries = []
    for name, data in files.items():
        digest = str(blake3(data).hexdigest())
        ledger.put(people.editor, digest, io.BytesIO(data))
        entries.append(FileEntry(path=name.replace("__", "/"), size=len(data), digest=digest))
    manifest = ledger.write_manifest(people.project.id, Manifest(files=entries))
    with database.write() as session:
        runs.set_artifacts(session, run, manifest)


def paths(artifacts: Artifacts, people: People, run: str) -> list[str]:
    return [entry.path for entry in artifacts.files(people.project.id, run)]


def read(artifacts: Artifacts, caller: Caller, run: str, path: str) -> bytes:
    _, stream = artifacts.open(caller, run, path)
    with stream:
        return stream.read()


class TestOverlay:
    def test_files_lie_over_what_the_job_left_whenever_it_ends(
        self,
        artifacts: Artifacts,
        runs: Runs,
        ledger: BlobLedger,
        database: Database,
        people: People,
        run: Run,
    ) -> None:
        put(artifacts, people.editor, run.id, "plots/a.png", b"logged")
        put(artifacts, people.editor, run.id, "model", b"a file")
        left(
            runs,
            ledger,
            database,
            people,
            run.id,
            **{"plots__a.png": b"?", "model__w": b"?", "log": b"left"},
        )
        assert paths(artifacts, people, run.id) == ["log", "model", "plots/a.png"]
        assert read(artifacts, people.viewer, run.id, "plots/a.png") == b"logged"
        assert read(artifacts, people.viewer, run.id, "log") == b"left"
        assert [(c.path, c.size) for c in artifacts.list(people.viewer, run.id)] == [
            ("log", 4),
            ("model", 6),
            ("plots", None),
        ]

    def test_what_the_job_left_may_be_deleted_too(
        self,
        artifacts: Artifacts,
        runs: Runs,
        ledger: BlobLedger,
        database: Database,
        people: People,
        run: Run,
    ) -> None:
        left(runs, ledger, database, people, run.id, a__one=b"1", a__two=b"2", b=b"3")
        put(artifacts, people.editor, run.id, "a/three")
        artifacts.delete(people.editor, run.id, "a/")
        assert paths(artifacts, people, run.id) == ["b"]
        with pytest.raises(NotFound):
            artifacts.delete(people.editor, run.id, "a")
        artifacts.delete(people.editor, run.id)
        assert paths(artifacts, people, run.id) == []
        assert runs.get(people.viewer, run.id).artifacts is None

    def test_a_folder_may_have_odd_characters(self, artifacts: Artifacts, people: People, run: Run) -> None:
        for path in ("a%/x", "ab/x", "a_/x", "a/x"):
            put(artifacts, people.editor, run.id, path)
        assert [c.path for c in artifacts.list(people.viewer, run.id, "a%")] == ["a%/x"]
        artifacts.delete(people.editor, run.id, "a_")
        assert paths(artifacts, people, run.id) == ["a%/x", "a/x", "ab/x"]


class TestKeeping:
    def test_a_row_keeps_its_blob_and_lets_it_go(
        self,
        artifacts: Artifacts,
        runs: Runs,
        ledger: BlobLedger,
        store: FakeBlobs,
        people: People,
        run: Run,
        clock: FixedClock,
    ) -> None:
        kept = put(artifacts, people.editor, run.id, "kept", b"kept")
        replaced = put(artifacts, people.editor, run.id, "other", b"replaced")
        put(artifacts, people.editor, run.id, "other", b"newer")
        for _ in range(2):  # first the project loses it, then the store
            clock.advance(2 * DAY)
            ledger.collect()
        assert store.missing([kept.digest, replaced.digest]) == [replaced.digest]
        runs.delete(people.editor, run.id)
        runs.purge(people.editor, run.id)
        for _ in range(2):
            clock.advance(2 * DAY)
            ledger.collect()
        assert list(store.digests()) == []

    def test_a_run_that_goes_takes_its_rows_with_it(
        self, artifacts: Artifacts, runs: Runs, database: Database, people: People, run: Run
    ) -> None:
        put(artifacts, people.editor, run.id, "a")
        runs.delete(people.editor, run.id)
        runs.purge(people.editor, run.id)
        with database.read() as session:
            assert session.scalars(select(ArtifactRow)).all() == []

    @pytest.mark.parametrize("error", [Unavailable("the disk is full"), InvalidSpec("cut")])
    def test_an_upload_that_fails_leaves_what_was_there(
        self, artifacts: Artifacts, store: FakeBlobs, people: People, run: Run, error: Exception
    ) -> None:
        put(artifacts, people.editor, run.id, "a", b"old")
        store.fail("stage", error)
        with pytest.raises(type(error)):
            put(artifacts, people.editor, run.id, "a", b"new")
        assert read(artifacts, people.viewer, run.id, "a") == b"old"
        assert len(list(store.digests())) == 1

    def test_many_writers_of_one_path_leave_one_whole_file(
        self, artifacts: Artifacts, people: People, run: Run
    ) -> None:
        threads = [
            threading.Thread(target=put, args=(artifacts, people.editor, run.id, "a", b"%d" % n * 1000))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        data = read(artifacts, people.viewer, run.id, "a")
        assert len(data) == 1000
        assert len(set(data)) == 1


class TestRefused:
    @pytest.mark.parametrize(
        "path",
        [
            "",
            "/etc/x",
            "a//b",
            "../x",
            "a/../b",
            ".",
            "a\\b",
            "a\0",
            "n" * 256,
            "d/" * 600 + "x",
            "a\ud800",
        ],
    )
    def test_a_path_that_no_file_has(
        self, artifacts: Artifacts, people: People, run: Run, store: FakeBlobs, path: str
    ) -> None:
        with pytest.raises(InvalidSpec):
            put(artifacts, people.editor, run.id, path)
        with pytest.raises(InvalidSpec):
            artifacts.open(people.editor, run.id, path)
        assert list(store.digests()) == []

    def test_a_file_in_a_file(self, artifacts: Artifacts, people: People, run: Run) -> None:
        put(artifacts, people.editor, run.id, "a/b")
        for path in ("a", "a/b/c"):
            with pytest.raises(InvalidSpec):
                put(artifacts, people.editor, run.id, path)
        with pytest.raises(InvalidSpec):
            artifacts.add(people.editor, run.id, [FileEntry(path="a", size=0, digest="0" * 64)])

    def test_a_run_in_the_trash_takes_nothing_and_still_gives(
        self, artifacts: Artifacts, runs: Runs, people: People, run: Run
    ) -> None:
        put(artifacts, people.editor, run.id, "a", b"1")
        runs.delete(people.editor, run.id)
        with pytest.raises(Conflict, match="restore"):
            put(artifacts, people.editor, run.id, "b")
        assert read(artifacts, people.viewer, run.id, "a") == b"1"

    def test_another_projects_run_is_not_there(
        self, artifacts: Artifacts, people: People, run: Run
    ) -> None:
        project = replace(people.project, id="prj_other", name="other")
        other = replace(people.editor, project=project)
        put(artifacts, people.editor, run.id, "a")
        for call in (
            lambda: put(artifacts, other, run.id, "a"),
            lambda: artifacts.open(other, run.id, "a"),
            lambda: artifacts.list(other, run.id),
            lambda: artifacts.delete(other, run.id),
        ):
            with pytest.raises(NotFound):
                call()

    def test_a_job_writes_to_its_own_run_alone(
        self,
        artifacts: Artifacts,
        runs: Runs,
        database: Database,
        people: People,
        run: Run,
        clock: FixedClock,
    ) -> None:
        with database.write() as session:
            own = runs.create_for_job(
                session,
                project_id=people.project.id,
                user_id=people.editor.user_id,
                job_id="job_1",
                job_name="train",
            )
            session.add(
                AttemptRow(
                    id="att_1",
                    project_id=people.project.id,
                    kind="job",
                    subject_id="job_1",
                    number=1,
                    run_id=own,
                    allocated_at=clock.now(),
                    state="running",
                    cpu=1.0,
                    memory=1,
                )
            )
        job = replace(people.editor, attempt_id="att_1", scopes=frozenset({"runs:write", "runs:read"}))
        put(artifacts, job, own, "a")
        with pytest.raises(PermissionDenied):
            put(artifacts, job, run.id, "a")
        with pytest.raises(PermissionDenied):
            artifacts.delete(job, run.id)
        assert artifacts.list(job, run.id) == []
