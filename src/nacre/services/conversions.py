"""Conversions to ONNX: a job of the model's own environment, and what becomes of the version."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.models import job_over, left_by
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.domain.identity import Caller
from nacre.domain.jobs import CANNOT
from nacre.domain.models import Script, find_script, job_word
from nacre.errors import RequestError, Unavailable
from nacre.ports.converters import Converter
from nacre.schema.jobs import JobSpec, JobState
from nacre.schema.models import ConversionState
from nacre.schema.resources import Resources
from nacre.schema.serving import Signature
from nacre.services.blobs import BlobLedger
from nacre.services.jobs import Jobs
from nacre.services.pickles import check_data, from_project
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.models")
RESOURCES = Resources(cpu=1, memory=2 * 2**30)
MAX_REPORT_BYTES = 2**20


@dataclass(frozen=True)
class _Origin:
    """The job behind a version: its code and folder in it, its data (name → manifest), its program."""

    code: str | None
    workdir: str = "."
    data: Mapping[str, str] = field(default_factory=dict)
    script: Script | None = None


class _Converted(NamedTuple):
    manifest: str
    onnx: str
    signature: Signature


class Conversions:
    """Starts conversion jobs and settles the versions whose jobs have ended."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        signals: Signals,
        ledger: BlobLedger,
        jobs: Jobs,
        converters: Sequence[Converter],
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._ledger = ledger
        self._jobs = jobs
        self._converters = {c.framework: c for c in converters}

    def start(self, session: Session, caller: Caller, model: ModelRow, version: ModelVersionRow) -> None:
        """Submit the job, with the code and the data of the run that made the model beside the model.

        Raises:
            InvalidSpec: it is a pickle that no run of the project left.
        """
        converter = self._converters[version.framework]
        words = ["python", "-m", converter.program, "--model", f"${{{{inputs.model}}}}/{version.entry}"]
        if not from_project(version.lineage):
            files = self._ledger.read_manifest(version.manifest).files
            check_data(self._ledger, version.framework, version.entry, files)
            words.append("--untrusted")
        if version.inputs:
            words += ["--inputs", json.dumps(version.inputs)]
        manifests = {"model": version.manifest}
        origin = self._origin(session, model.project_id, version)
        for name, digest in origin.data.items():
            manifests[f"data-{name}"] = digest
            words += ["--data", f"${{{{inputs.data-{name}}}}}"]
        if origin.script:
            words += ["--module" if origin.script.module else "--script", origin.script.name]
        spec = JobSpec(
            commands=[shlex.join(words)],
            code=origin.code,
            workdir=origin.workdir,
            resources=RESOURCES,
            max_duration=3600,
            description=f"Convert {model.name}/{version.number} to ONNX",
        )
        version.conversion_job_id = self._jobs.submit_internal(
            session,
            project_id=caller.project_id,
            user_id=caller.user_id,
            kind="convert",
            name=f"convert-{job_word(model.name)}-{version.number}",
            spec=spec,
            environment_id=version.environment_id,
            manifests=manifests,
        )
        version.conversion = ConversionState.CONVERTING
        version.reason = version.message = None

    def _origin(self, session: Session, project_id: str, version: ModelVersionRow) -> _Origin:
        """Where the version comes from, as far as it is still there."""
        code, run = version.lineage.get("code"), version.lineage.get("run")
        if code is not None and not self._ledger.has(session, project_id, [code]):
            code = None
        job = session.scalars(select(JobRow).where(JobRow.run_id == run)).one_or_none() if run else None
        if job is None:
            return _Origin(code=code)
        return _Origin(
            code=code,
            workdir=job.spec.get("workdir", "."),
            data=job.record.get("manifests", {}),
            script=find_script(job.record["commands"]),
        )

    def settle(self) -> None:
        """Give every version whose conversion job has ended its ONNX form, or the reason why not."""
        with self._db.read() as session:
            statement = (
                select(ModelVersionRow.id)
                .outerjoin(JobRow, JobRow.id == ModelVersionRow.conversion_job_id)
                .where(
                    ModelVersionRow.conversion == ConversionState.CONVERTING,
                    job_over(),
                )
            )
            waiting = session.scalars(statement).all()
        for version_id in waiting:
            try:
                self._settle(version_id)
            except Unavailable as error:  # one that cannot be read now holds up no other
                _log.warning("the conversion of %s is settled later: %s", version_id, error.detail)
        if waiting:
            self._signals.notify("models")

    def _settle(self, version_id: str) -> None:
        with self._db.read() as session:
            version = session.get(ModelVersionRow, version_id)
            job = session.get(JobRow, version.conversion_job_id) if version else None
            left = left_by(session, job) if job else None
        converted: _Converted | None = None
        if job is None:
            reason, message = (
                "job_deleted",
                "its job was deleted: start it again with 'nacre model convert'",
            )
        elif job.state == JobState.SUCCEEDED:
            reason, message = "conversion_failed", "the converter ended without a model.onnx and its report"
            converted = self._read(left) if left else None
        else:
            reason, message = outcome(job, "conversion_failed")
        with self._db.write() as session:
            row = session.get(ModelVersionRow, version_id, with_for_update=True)
            if row is None or row.conversion != ConversionState.CONVERTING:
                return
            if job is not None and row.conversion_job_id != job.id:
                return  # it was started again meanwhile
            project_id = session.get_one(ModelRow, row.model_id).project_id
            if converted is None or not self._ledger.has(session, project_id, [converted.manifest]):
                row.conversion, row.reason, row.message = ConversionState.FAILED, reason, message
                return
            row.conversion, row.reason, row.message = ConversionState.READY, None, None
            row.onnx_manifest, row.onnx_digest = converted.manifest, converted.onnx
            row.signature = converted.signature.model_dump()
            self._ledger.add_reference(session, project_id, "model_onnx", row.id, converted.manifest)

    def _read(self, manifest: str) -> _Converted | None:
        """What the converter left; null when it is not there, or not what it should be."""
        try:
            files = {f.path: f for f in self._ledger.read_manifest(manifest).files}
            onnx, report = files.get("model.onnx"), files.get("conversion.json")
            if onnx is None or report is None:
                return None
            found = json.loads(self._ledger.read(report.digest, MAX_REPORT_BYTES))
            return _Converted(manifest, onnx.digest, Signature.model_validate(found["signature"]))
        except (ValueError, KeyError, TypeError, RequestError):
            return None


def outcome(job: JobRow, failed: str) -> tuple[str, str]:
    """Reason and message of what a job did not bring about.

    The programs of ``nacre.workloads`` end with 2 and a sentence when they cannot do it, whatever the
    machine: that is ``failed``, in their own words.
    """
    message = job.message or f"job {job.name} ended as {job.state}"
    if job.exit_code == CANNOT:
        _, _, said = message.partition("error: ")
        return failed, said or message
    return job.reason or failed, message
