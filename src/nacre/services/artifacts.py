"""Files of runs and of logged models.

The files of a run are those of the manifest that its job left, under those that were logged one by one
(rows of ``artifacts``). A logged model has rows alone. Each row keeps its blob.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import ColumnElement, delete, or_, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.runs import find_run
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.artifacts import ArtifactRow
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.logged_models import LoggedModelRow
from nacre.db.tables.runs import ExperimentRow, RunRow
from nacre.domain.artifacts import Child, check_folder, check_path, children, overlay, parents
from nacre.domain.identity import Caller
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied, Unavailable
from nacre.schema.launch import FileEntry
from nacre.schema.manifests import canonical, check_paths
from nacre.services.blobs import BlobLedger
from nacre.services.signals import Signals

_TRIES = 20


@dataclass(frozen=True)
class Owner:
    """Whose files: ``id`` is a run's uuid or a logged model's id; ``manifest`` what the run's job left."""

    id: str
    project_id: str
    experiment_id: int
    experiment: str
    manifest: str | None
    name: str

    @property
    def run(self) -> bool:
        """Whether it is a run."""
        return not self.id.startswith("m-")


class Artifacts:
    """The only writer of the rows of ``artifacts``. Topic after commits: ``run:ID``.

    An ``owner`` is named as people name a run (id, name, job's name), or by a logged model's id.
    """

    def __init__(self, db: Database, clock: Clock, ledger: BlobLedger, signals: Signals) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._signals = signals

    # For other services

    def files(self, project_id: str, owner: str) -> list[FileEntry]:
        """Every file, sorted by path. Asks for no permission; not within a transaction.

        Raises:
            NotFound: the project has no such owner.
        """
        with self._db.read() as session:
            found = _find(session, project_id, owner)
            rows = _rows(session, found.id)
        return self._over(found, rows)

    def remove(self, session: Session, owner_id: str) -> None:
        """Forget every file of an owner that is being deleted; their blobs are freed later."""
        session.execute(delete(ArtifactRow).where(ArtifactRow.owner == owner_id))
        self._ledger.drop_reference(session, "run", owner_id)

    def set_manifest(self, session: Session, run: RunRow, digest: str | None) -> None:
        """Replace what a run's job left; the project must possess the manifest. The run is locked."""
        if run.artifacts is not None:
            self._ledger.drop_reference(session, "run", run.uuid)
        if digest is not None:
            self._ledger.add_reference(session, run.project_id, "run", run.uuid, digest)
        run.artifacts = digest
        session.flush()

    # Operations

    def owner(self, caller: Caller, reference: str) -> Owner:
        """Whose files these are, for who reads them.

        Raises:
            NotFound: the project has no such run or logged model.
        """
        with self._db.read() as session:
            return _find(session, caller.project_id, reference)

    def list(self, caller: Caller, owner: str, folder: str = "") -> builtins.list[Child]:
        """What lies directly in a folder; nothing when it is none.

        Raises:
            NotFound: no such owner.
            InvalidSpec: a path that nothing can have.
        """
        folder = check_folder(folder)
        with self._db.read() as session:
            found = _find(session, caller.project_id, owner)
            near = found.manifest is None and folder != ""
            rows = _rows(session, found.id, _below(folder) if near else None)
        return children(self._over(found, rows), folder)

    def open(self, caller: Caller, owner: str, path: str) -> tuple[FileEntry, BinaryIO]:
        """One file and a seekable stream of its bytes. Close it.

        Raises:
            NotFound: no such owner or file.
            InvalidSpec: a path that nothing can have.
        """
        check_path(path)
        with self._db.read() as session:
            found = _find(session, caller.project_id, owner)
            rows = _rows(session, found.id, ArtifactRow.path == path)
            if not rows and found.manifest is not None:
                rows = _rows(session, found.id)
        for entry in self._over(found, rows):
            if entry.path == path:
                return entry, self._ledger.open(caller, entry.digest)
        see = f": see 'nacre runs artifacts {owner}'" if found.run else ""
        raise NotFound(f"{found.name} has no artifact {path!r}{see}")

    def put(self, caller: Caller, owner: str, path: str, stream: BinaryIO) -> FileEntry:
        """Store a file from a stream of unknown length and digest; one of the same path is replaced.

        About a MiB is held in memory. When the stream breaks nothing is left.

        Raises:
            NotFound: no such owner.
            Conflict: it is in the trash.
            InvalidSpec: a path that nothing can have, or that is a folder, or lies in a file.
            PermissionDenied: a job writes to its own run alone.
        """
        check_path(path)
        with self._db.read() as session:
            found = self._to_write(session, caller, owner)
            _check_fit(session, found.id, [path])
        digest, size = self._ledger.put_stream(caller.project_id, stream)
        entry = FileEntry(path=path, size=size, digest=digest)
        with self._db.write() as session:
            self._insert(session, self._to_write(session, caller, found.id), [entry])
        self._notify(found)
        return entry

    def add(self, caller: Caller, owner: str, files: Sequence[FileEntry]) -> None:
        """Add files whose blobs the project has; those of the same path are replaced.

        Raises:
            NotFound: no such owner.
            Conflict: it is in the trash.
            InvalidSpec: a path is unsafe, or a blob has not been sent or has another length.
            PermissionDenied: a job writes to its own run alone.
        """
        check_paths([entry.path for entry in files])
        for entry in files:
            check_path(entry.path)
        with self._db.read() as session:
            found = self._to_write(session, caller, owner)
        self._ledger.take(caller.project_id, files)
        with self._db.write() as session:
            self._insert(session, self._to_write(session, caller, found.id), files)
        self._notify(found)

    def delete(self, caller: Caller, owner: str, path: str = "") -> None:
        """Delete a file or a folder; without a path everything.

        Raises:
            NotFound: no such owner, or nothing at this path.
            PermissionDenied: a job writes to its own run alone.
        """
        path = check_folder(path)
        for _ in range(_TRIES):
            with self._db.read() as session:
                found = self._to_write(session, caller, owner)
            kept = self._kept(found, path)
            with self._db.write() as session:
                now = self._to_write(session, caller, found.id)
                if now.manifest != found.manifest:
                    continue
                gone = delete(ArtifactRow).where(ArtifactRow.owner == found.id)
                if path:
                    gone = gone.where(or_(ArtifactRow.path == path, _below(path)))
                removed = int(getattr(session.execute(gone), "rowcount", 0))
                if path and not removed and kept == found.manifest:
                    raise NotFound(f"{found.name} has no artifact {path!r}")
                if kept != found.manifest:
                    run = session.scalars(
                        select(RunRow).where(RunRow.uuid == found.id).with_for_update()
                    ).one()
                    self.set_manifest(session, run, kept)
            self._notify(found)
            return
        raise Unavailable("others keep changing the artifacts of this run: try again")

    # Within

    def _over(self, owner: Owner, rows: builtins.list[FileEntry]) -> builtins.list[FileEntry]:
        if owner.manifest is None:
            return rows
        return overlay(self._ledger.read_manifest(owner.manifest).files, rows)

    def _kept(self, owner: Owner, path: str) -> str | None:
        """The manifest of the job's files without those at the path."""
        if owner.manifest is None:
            return None
        files = self._ledger.read_manifest(owner.manifest).files
        kept = [f for f in files if path and f.path != path and not f.path.startswith(path + "/")]
        if len(kept) == len(files):
            return owner.manifest
        if not kept:
            return None
        digest = self._ledger.keep(owner.project_id, canonical(kept))
        self._ledger.take_manifest(owner.project_id, digest)
        return digest

    def _to_write(self, session: Session, caller: Caller, reference: str) -> Owner:
        found = _find(session, caller.project_id, reference)
        if found.run:
            run: str | None = found.id
            statement = select(RunRow.deleted_at).where(RunRow.uuid == found.id)
        else:
            run = session.scalar(select(LoggedModelRow.run_uuid).where(LoggedModelRow.id == found.id))
            statement = select(LoggedModelRow.deleted_at).where(LoggedModelRow.id == found.id)
        if session.scalars(statement.with_for_update(read=True, key_share=True)).one() is not None:
            raise Conflict(f"{found.name} was deleted: restore it first")
        check_own_run(session, caller, run)
        return found

    def _insert(self, session: Session, owner: Owner, files: Sequence[FileEntry]) -> None:
        _check_fit(session, owner.id, [entry.path for entry in files])
        now = self._clock.now()
        rows = [
            {
                "owner": owner.id,
                "path": entry.path,
                "project_id": owner.project_id,
                "digest": entry.digest,
                "size": entry.size,
                "executable": entry.executable,
                "created_at": now,
            }
            for entry in files
        ]
        if not rows:
            return
        statement = insert_into(self._db, ArtifactRow)
        changed = ("digest", "size", "executable", "created_at")
        statement = statement.on_conflict_do_update(
            index_elements=["owner", "path"], set_={name: statement.excluded[name] for name in changed}
        )
        session.execute(statement, rows)

    def _notify(self, owner: Owner) -> None:
        if owner.run:
            self._signals.notify(f"run:{owner.id}")


def of_job(caller: Caller) -> bool:
    """Whether the token is that of a job's attempt (an instance's acts as its user)."""
    return caller.attempt_id is not None and "*" not in caller.scopes


def check_own_run(session: Session, caller: Caller, run: str | None) -> None:
    """Raise when a job's token would write to what belongs to another run.

    Raises:
        PermissionDenied: it would.
    """
    if run is None or not of_job(caller):
        return
    own = session.scalar(select(AttemptRow.run_id).where(AttemptRow.id == caller.attempt_id))
    if own != run:
        by = select(AttemptRow.run_id).join(RunRow, RunRow.maker == AttemptRow.id)
        if own is None or session.scalar(by.where(RunRow.uuid == run)) != own:
            raise PermissionDenied(
                "a job's token may write to the job's own run, and to runs that the job made, only"
            )


def _find(session: Session, project_id: str, reference: str) -> Owner:
    if reference.startswith("m-"):
        model = session.get(LoggedModelRow, reference)
        if model is not None and model.project_id == project_id:
            experiment = session.get_one(ExperimentRow, model.experiment_id)
            return Owner(
                model.id, project_id, experiment.id, experiment.name, None, f"the logged model {model.name}"
            )
    run = find_run(session, project_id, reference)
    if run is None:
        raise NotFound(f"there is no run {reference!r} in this project: see 'nacre runs ls'")
    experiment = session.get_one(ExperimentRow, run.experiment_id)
    return Owner(run.uuid, project_id, experiment.id, experiment.name, run.artifacts, f"the run {run.name}")


def _rows(session: Session, owner_id: str, where: ColumnElement[bool] | None = None) -> list[FileEntry]:
    statement = select(ArtifactRow).where(ArtifactRow.owner == owner_id)
    if where is not None:
        statement = statement.where(where)
    found = [
        FileEntry(path=row.path, size=row.size, digest=row.digest, executable=row.executable)
        for row in session.scalars(statement)
    ]
    return sorted(found, key=lambda entry: entry.path)


def _below(folder: str) -> ColumnElement[bool]:
    return ArtifactRow.path.startswith(folder + "/", autoescape=True)


def _check_fit(session: Session, owner_id: str, paths: Sequence[str]) -> None:
    """Raise when one of the paths is a folder of what is there, or lies in a file.

    Raises:
        InvalidSpec: the sentence names both.
    """
    mine = select(ArtifactRow.path).where(ArtifactRow.owner == owner_id)
    if len(paths) == 1:
        above = list(parents(paths[0]))
        there = session.scalars(
            mine.where(or_(ArtifactRow.path.in_(above), _below(paths[0]))).limit(1)
        ).all()
    else:
        there = session.scalars(mine).all()
    files = set(there)
    folders = {folder: path for path in there for folder in parents(path)}
    for path in paths:
        if path in folders:
            raise InvalidSpec(f"{path!r} is a folder, since there is {folders[path]!r}", path=path)
        if file := next((folder for folder in parents(path) if folder in files), None):
            raise InvalidSpec(f"{file!r} is a file already, so {path!r} cannot lie in it", path=path)
