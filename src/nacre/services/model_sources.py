"""Where a model version comes from: its files, what made them, and which of them is the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from nacre.db.connect import Database
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.logged_models import LoggedModelRow
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.domain import mlmodel
from nacre.domain.identity import Caller
from nacre.domain.mlmodel import Flavour
from nacre.domain.models import PROGRAM, REQUIREMENTS, within
from nacre.domain.requirements import logical_lines
from nacre.errors import InvalidSpec, NotFound
from nacre.schema.launch import FileEntry
from nacre.schema.models import Lineage, ModelRegister
from nacre.services.artifacts import Artifacts
from nacre.services.blobs import BlobLedger
from nacre.services.pickles import from_project
from nacre.services.runs import Runs

MAX_REQUIREMENTS = 2**16


@dataclass(frozen=True)
class Source:
    """Lineage, the job behind the run, the files to choose from, and the path of the model among them."""

    lineage: Lineage
    job: JobRow | None
    files: list[FileEntry]
    path: str


class ModelSources:
    """Finds what is to be registered, within the caller's project."""

    def __init__(self, db: Database, ledger: BlobLedger, runs: Runs, artifacts: Artifacts) -> None:
        self._db = db
        self._ledger = ledger
        self._runs = runs
        self._artifacts = artifacts

    def find(self, caller: Caller, request: ModelRegister) -> Source:
        """The source that a request names.

        Raises:
            NotFound: the project has no such run, logged model or manifest.
            InvalidSpec: it has no files, or several and the request names none of them.
        """
        if request.logged_model is not None:
            return self._of_logged_model(caller, request.logged_model, request.path)
        if request.run is not None:
            return self._of_run(caller, request.run, request.path)
        if request.manifest is None:
            raise InvalidSpec("name a run, a logged model, or files that were sent before (manifest)")
        files = self._ledger.take_manifest(caller.project_id, request.manifest).files
        if not files:
            raise InvalidSpec("the manifest names no files: a model has at least one")
        if request.path is None and len(files) > 1:
            raise InvalidSpec(
                f"the manifest names several files ({_some(files)}): say which one is the model (path)"
            )
        path = request.path or files[0].path
        known = self._known(caller.project_id, request.manifest)
        lineage, job = known or (Lineage(path=path), None)
        return Source(lineage, job, files, path)

    def flavour(self, entry: str, files: Sequence[FileEntry]) -> Flavour | None:
        """What the file ``MLmodel`` in the chosen folder tells; null when there is none."""
        inside = within(entry, files)
        found = inside.get(mlmodel.NAME)
        if found is None or PROGRAM in inside:
            return None
        if found.size > mlmodel.MAX_BYTES:
            return mlmodel.recognise(b"", inside)
        return mlmodel.recognise(self._ledger.read(found.digest), inside)

    def requirements(self, entry: str, files: Sequence[FileEntry]) -> tuple[str, ...]:
        """The lines of the file ``requirements.txt`` in the chosen folder.

        Raises:
            InvalidSpec: it is no text, or longer than any such file.
        """
        found = within(entry, files).get(REQUIREMENTS)
        if found is None:
            return ()
        try:
            if found.size > MAX_REQUIREMENTS:
                raise ValueError("too long")
            return tuple(logical_lines(self._ledger.read(found.digest).decode()))
        except ValueError as error:
            raise InvalidSpec(f"{REQUIREMENTS} is no list of packages, one a line") from error

    def _known(self, project_id: str, manifest: str) -> tuple[Lineage, JobRow | None] | None:
        """Where the very same files came from, when a run of the project left them before."""
        statement = (
            select(ModelVersionRow.lineage)
            .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
            .where(ModelRow.project_id == project_id, ModelVersionRow.manifest == manifest)
            .order_by(ModelVersionRow.id)
        )
        with self._db.read() as session:
            found = next((one for one in session.scalars(statement) if from_project(one)), None)
        if found is None:
            return None
        lineage = Lineage.model_validate(found)
        return lineage, self._lineage(lineage.run, "")[1]

    def _of_run(self, caller: Caller, reference: str, path: str | None) -> Source:
        run = self._runs.get(caller, reference)
        files = self._artifacts.files(caller.project_id, run.id)
        if not files:
            raise InvalidSpec(f"run {run.name} left no artifacts: write them to $NACRE_OUTPUT_DIR")
        if path is None and len(files) > 1:
            raise InvalidSpec(
                f"run {run.name} left several artifacts ({_some(files)}): name one, {run.name}:PATH"
            )
        path = path or files[0].path
        lineage, job = self._lineage(run.id, path)
        return Source(lineage, job, files, path)

    def _of_logged_model(self, caller: Caller, model_id: str, path: str | None) -> Source:
        with self._db.read() as session:
            row = session.get(LoggedModelRow, model_id)
        if row is None or row.project_id != caller.project_id or row.deleted_at is not None:
            raise NotFound(f"there is no logged model {model_id!r} in this project")
        files = self._artifacts.files(caller.project_id, model_id)
        if not files:
            raise InvalidSpec(f"the logged model {row.name} has no files: log it again")
        lineage, job = self._lineage(row.run_uuid, path or ".")
        return Source(lineage.model_copy(update={"logged_model": model_id}), job, files, path or ".")

    def _lineage(self, run: str | None, path: str) -> tuple[Lineage, JobRow | None]:
        if run is None:
            return Lineage(path=path), None
        with self._db.read() as session:
            job = session.execute(select(JobRow).where(JobRow.run_id == run)).scalar_one_or_none()
        record = job.record if job else {}
        lineage = Lineage(
            run=run,
            job=job.name if job else None,
            path=path,
            code=record.get("code"),
            data=record.get("inputs", {}),
            environment=record.get("environment"),
            environment_digest=record.get("environment_digest"),
        )
        return lineage, job


def _some(files: Sequence[FileEntry]) -> str:
    return ", ".join(f.path for f in files[:8])
