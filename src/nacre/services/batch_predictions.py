"""Predictions for whole datasets: a job that asks a model version, and the dataset that comes of it."""

from __future__ import annotations

import builtins
import json
import shlex
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.queries.models import find_version, left_by
from nacre.db.queries.pages import newest_first
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.db.tables.environments import EnvironmentRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.db.tables.predictions import BatchRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.domain.models import find_script, job_word
from nacre.errors import Conflict, NotFound, RequestError
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.data import VersionCreate
from nacre.schema.jobs import JobSpec, JobState
from nacre.schema.launch import FileEntry, Manifest
from nacre.schema.models import ConversionState
from nacre.schema.predictions import Batch, BatchCreate, WorkState
from nacre.schema.resources import Resources
from nacre.services.conversions import outcome
from nacre.services.endpoint_deploy import check_replicable
from nacre.services.job_results import OwnJobs

RESOURCES = Resources(cpu=1, memory=2 * 2**30)
ENVIRONMENT = "sklearn"
"""For ONNX forms: it has ONNX Runtime and Pillow."""
NEEDED = ("pyarrow",)
RESTARTS = 2
MAX_REPORT_BYTES = 2**20
FOLDER = "predictions/"


class _Program(NamedTuple):
    """What runs a version: words of its command, its job's code and folder, its environment, its files."""

    words: builtins.list[str]
    manifest: str
    environment_id: str
    code: str | None = None
    workdir: str = "."


class _Left(NamedTuple):
    files: builtins.list[FileEntry]
    samples: int


class BatchPredictions(OwnJobs):
    """The only writer of batch predictions. Topic: ``batch:ID``."""

    def create(self, caller: Caller, request: BatchCreate) -> Batch:
        """Submit the job.

        Raises:
            NotFound: no such endpoint, version, dataset or instance type.
            Conflict: nothing can run the version; the sentence says what to do.
        """
        with self._db.write() as session:
            model, version = self._version(session, caller.project_id, request)
            data = self._datasets.resolve(session, caller.project_id, request.data)
            reference = f"{data.dataset}@{data.number}"
            program = self._program(session, caller.project_id, f"{model.name}/{version.number}", version)
            words = [*program.words, "--data", "${{inputs.data}}", "--format", request.format]
            words += ["--features", ",".join(request.features)] if request.features else []
            signature = version.signature or (version.inputs and {"inputs": version.inputs, "outputs": []})
            job_id = self._jobs.submit_internal(
                session,
                project_id=caller.project_id,
                user_id=caller.user_id,
                kind="predict",
                name=f"predict-{job_word(model.name)}-{version.number}",
                spec=JobSpec(
                    commands=[shlex.join(words)],
                    code=program.code,
                    workdir=program.workdir,
                    resources=RESOURCES,
                    instance_type=request.type,
                    env={"NACRE_MODEL_SIGNATURE": json.dumps(signature)} if signature else {},
                    max_restarts=RESTARTS,
                    description=f"Predictions of {model.name}/{version.number} for {reference}",
                ),
                environment_id=program.environment_id,
                manifests={"model": program.manifest, "data": data.manifest},
            )
            row = BatchRow(
                id=new_id("bat"),
                project_id=caller.project_id,
                user_id=caller.user_id,
                endpoint=request.endpoint,
                version_id=version.id,
                data=reference,
                out=request.out,
                job_id=job_id,
                state=WorkState.RUNNING,
                created_at=self._clock.now(),
            )
            session.add(row)
            self._events.add(
                session,
                caller.project_id,
                caller.user_id,
                "endpoints.batch",
                row.id,
                model=model.name,
                version=version.number,
                data=reference,
                out=request.out,
            )
            session.flush()
            answer = _wire(session, row)
        self._signals.notify("jobs")
        return answer

    def _version(
        self, session: Session, project_id: str, request: BatchCreate
    ) -> tuple[ModelRow, ModelVersionRow]:
        if request.model is not None:
            return find_version(session, project_id, request.model, request.version)
        return answering(session, project_id, str(request.endpoint))

    def _program(self, session: Session, project_id: str, name: str, version: ModelVersionRow) -> _Program:
        """The ONNX form where there is one; else the version's own files, as a replica would run them."""
        words = ["python", "-m", "nacre.workloads.predict", "--framework"]
        if version.conversion == ConversionState.READY and version.onnx_manifest is not None:
            base = self._environments.ensure(session, project_id, ENVIRONMENT)
            return _Program(
                [*words, "onnx", "--model", "${{inputs.model}}/model.onnx"],
                version.onnx_manifest,
                self._environments.derive(session, project_id, base, NEEDED),
            )
        if version.conversion in (ConversionState.CONVERTING, ConversionState.PENDING):
            raise Conflict(f"{name} is still being converted: 'nacre model show {name} --wait'")
        check_replicable(name, version, self._ledger.read_manifest(version.manifest).files)
        entry = "" if version.entry == "." else f"/{version.entry}"
        words += [version.framework, "--model", f"${{{{inputs.model}}}}{entry}"]
        known = session.get(EnvironmentRow, version.environment_id) if version.environment_id else None
        home = known.id if known else str(version.lineage.get("environment"))
        base = self._environments.ensure(session, project_id, home)
        environment_id = self._environments.derive(session, project_id, base, NEEDED)
        run, code = version.lineage.get("run"), version.lineage.get("code")
        job = session.scalars(select(JobRow).where(JobRow.run_id == run)).one_or_none() if run else None
        if job is None or code is None or not self._ledger.has(session, project_id, [code]):
            return _Program(words, version.manifest, environment_id)
        if script := find_script(job.record["commands"]):
            words += ["--module" if script.module else "--script", script.name]
        return _Program(words, version.manifest, environment_id, code, job.spec.get("workdir", "."))

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Batch]:
        """The project's, newest first."""
        statement = select(BatchRow).where(BatchRow.project_id == caller.project_id)
        with self._db.read() as session:
            return newest_first(
                session,
                statement,
                BatchRow.id,
                lambda item: _wire(session, item[0]),
                cursor=cursor,
                limit=limit,
            )

    def get(self, caller: Caller, batch: str) -> Batch:
        """One by id.

        Raises:
            NotFound: there is none in this project.
        """
        with self._db.read() as session:
            row = session.get(BatchRow, batch)
            if row is None or row.project_id != caller.project_id:
                raise NotFound(f"there is no batch prediction {batch[:60]!r} in this project")
            return _wire(session, row)

    def settle(self) -> None:
        """Give every one whose job has ended its dataset, or the reason why there is none."""
        self._settle_each(BatchRow, "batch", self._settle)

    def _settle(self, batch_id: str) -> None:
        with self._db.read() as session:
            row = session.get_one(BatchRow, batch_id)
            job = session.get(JobRow, row.job_id)
            left = left_by(session, job) if job else None
            caller = _owner(session, row)
            note = _note(session, row)
        number = samples = None
        if job is None:
            reason, message = "job_deleted", "its job was deleted: start it again"
        elif job.state == JobState.SUCCEEDED:
            reason, message = "prediction_failed", "the program ended without predictions and their report"
            if found := self._read(left) if left else None:
                samples = found.samples
                manifest = self._ledger.write_manifest(row.project_id, Manifest(files=found.files))
                request = VersionCreate(manifest=manifest, note=note)
                number = self._datasets.create(caller, row.out, request).number
        else:
            reason, message = outcome(job, "prediction_failed")
        with self._db.write() as session:
            row = session.get_one(BatchRow, batch_id, with_for_update=True)
            if row.state != WorkState.RUNNING:
                return
            row.ended_at = (job.ended_at if job else None) or self._clock.now()
            if number is not None:
                row.state, row.out_number, row.samples = WorkState.SUCCEEDED, number, samples
            else:
                row.state, row.reason, row.message = WorkState.FAILED, reason, message

    def _read(self, manifest: str) -> _Left | None:
        """What the program left; null when it is not there, or not what it should be."""
        try:
            files = self._ledger.read_manifest(manifest).files
            report = next(f for f in files if f.path == "predictions.json")
            samples = int(json.loads(self._ledger.read(report.digest, MAX_REPORT_BYTES))["samples"])
        except (ValueError, KeyError, TypeError, StopIteration, RequestError):
            return None
        parts = [
            f.model_copy(update={"path": f.path.removeprefix(FOLDER)})
            for f in files
            if f.path.startswith(FOLDER)
        ]
        return _Left(parts, samples) if parts else None


def answering(session: Session, project_id: str, endpoint: str) -> tuple[ModelRow, ModelVersionRow]:
    """The version that answers most requests of an endpoint, or shall.

    Raises:
        NotFound: there is no such endpoint.
    """
    found = session.execute(
        select(ModelRow, ModelVersionRow)
        .join(ModelVersionRow, ModelVersionRow.model_id == ModelRow.id)
        .join(RevisionRow, RevisionRow.version_id == ModelVersionRow.id)
        .join(EndpointRow, EndpointRow.id == RevisionRow.endpoint_id)
        .where(EndpointRow.project_id == project_id, EndpointRow.name == endpoint)
        .order_by(RevisionRow.served.desc(), RevisionRow.traffic.desc(), RevisionRow.number.desc())
    ).first()
    if found is None:
        raise NotFound(f"there is no endpoint {endpoint!r} in this project: see 'nacre endpoint ls'")
    return found[0], found[1]


def _owner(session: Session, row: BatchRow) -> Caller:
    """Who asked for it, to own what comes of it."""
    user = session.get(UserRow, row.user_id)
    project = session.get_one(ProjectRow, row.project_id)
    return Caller(
        row.user_id, user.name if user else "", project=ProjectRef(project.id, project.name, None)
    )


def _note(session: Session, row: BatchRow) -> str:
    version = session.get_one(ModelVersionRow, row.version_id)
    model = session.get_one(ModelRow, version.model_id)
    return f"Predictions of {model.name}/{version.number} for {row.data}"


def _wire(session: Session, row: BatchRow) -> Batch:
    version = session.get_one(ModelVersionRow, row.version_id)
    job = session.get(JobRow, row.job_id)
    return Batch(
        id=row.id,
        created_at=row.created_at,
        endpoint=row.endpoint,
        model=session.get_one(ModelRow, version.model_id).name,
        version=version.number,
        data=row.data,
        out=row.out,
        result=None if row.out_number is None else f"{row.out}@{row.out_number}",
        job=job.name if job else row.job_id,
        state=WorkState(row.state),
        reason=row.reason,
        message=row.message,
        samples=row.samples,
        ended_at=row.ended_at,
    )
