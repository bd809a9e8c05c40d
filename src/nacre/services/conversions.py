"""Conversions to ONNX: a job of the model's own environment, and what becomes of the version."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.db.tables.runs import RunRow
from nacre.domain.identity import Caller
from nacre.ports.converters import Converter
from nacre.schema.jobs import FINAL_STATES, JobSpec, JobState
from nacre.schema.models import ConversionState
from nacre.schema.resources import Resources
from nacre.schema.serving import Signature
from nacre.services.blobs import BlobLedger
from nacre.services.jobs import Jobs
from nacre.services.signals import Signals

RESOURCES = Resources(cpu=1, memory=4 * 2**30)
MAX_REPORT_BYTES = 2**20


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
        """Submit the job, with the code and the data of the run that made the model beside the model."""
        converter = self._converters[version.framework]
        words = ["python", "-m", converter.program, "--model", f"${{{{inputs.model}}}}/{version.entry}"]
        if version.inputs:
            words += ["--inputs", json.dumps(version.inputs)]
        manifests = {"model": version.manifest}
        record, script = self._origin(session, version)
        for name, digest in record.items():
            manifests[f"data-{name}"] = digest
            words += ["--data", f"${{{{inputs.data-{name}}}}}"]
        if script:
            words += ["--script", script]
        spec = JobSpec(
            commands=[shlex.join(words)],
            code=version.lineage.get("code"),
            resources=RESOURCES,
            max_duration=3600,
            description=f"Convert {model.name}/{version.number} to ONNX",
        )
        version.conversion_job_id = self._jobs.submit_internal(
            session,
            project_id=caller.project_id,
            user_id=caller.user_id,
            kind="convert",
            name=f"convert-{model.name}-{version.number}",
            spec=spec,
            environment_id=version.environment_id,
            manifests=manifests,
        )
        version.conversion = ConversionState.CONVERTING
        version.reason = version.message = None

    def _origin(self, session: Session, version: ModelVersionRow) -> tuple[dict[str, str], str | None]:
        """Input manifests of the job behind the version's run, and its script: the first ``.py`` word of
        its first command."""
        run = version.lineage.get("run")
        job = (
            session.execute(select(JobRow).where(JobRow.run_id == run)).scalar_one_or_none()
            if run
            else None
        )
        if job is None:
            return {}, None
        words = shlex.split(job.record["commands"][0], posix=True)
        script = next((w for w in words if w.endswith(".py")), None)
        return dict(job.record.get("manifests", {})), script

    def settle(self) -> None:
        """Give every version whose conversion job has ended its ONNX form, or the reason why not."""
        with self._db.read() as session:
            statement = (
                select(ModelVersionRow.id)
                .join(JobRow, JobRow.id == ModelVersionRow.conversion_job_id)
                .where(
                    ModelVersionRow.conversion == ConversionState.CONVERTING,
                    JobRow.state.in_([str(s) for s in FINAL_STATES]),
                )
            )
            waiting = session.execute(statement).scalars().all()
        for version_id in waiting:
            self._settle(version_id)
        if waiting:
            self._signals.notify("models")

    def _settle(self, version_id: str) -> None:
        with self._db.read() as session:
            version = session.get(ModelVersionRow, version_id)
            job = session.get(JobRow, version.conversion_job_id) if version else None
            run = session.scalar(select(RunRow).where(RunRow.uuid == job.run_id)) if job else None
        if version is None or job is None:
            return
        signature: Signature | None = None
        manifest: str | None = None
        onnx: str | None = None
        reason, message = job.reason or "conversion_failed", job.message
        if job.state == JobState.SUCCEEDED and run is not None and run.artifacts:
            manifest = run.artifacts
            onnx, signature = self._read(manifest)
        if signature is None and job.state == JobState.SUCCEEDED:
            reason, message = "conversion_failed", "the converter ended without a model.onnx and its report"
        with self._db.write() as session:
            row = session.get(ModelVersionRow, version_id)
            model = session.get(ModelRow, row.model_id) if row else None
            if row is None or model is None or row.conversion != ConversionState.CONVERTING:
                return
            if signature is None or manifest is None:
                row.conversion, row.reason, row.message = ConversionState.FAILED, reason, message
                return
            row.conversion, row.reason, row.message = ConversionState.READY, None, None
            row.onnx_manifest, row.onnx_digest = manifest, onnx
            row.signature = signature.model_dump()
            self._ledger.add_reference(session, model.project_id, "model_onnx", row.id, manifest)

    def _read(self, manifest: str) -> tuple[str | None, Signature | None]:
        """Digest of the ONNX file and the signature from the report; nulls when they are not there."""
        files = {f.path: f for f in self._ledger.read_manifest(manifest).files}
        onnx, report = files.get("model.onnx"), files.get("conversion.json")
        if onnx is None or report is None or report.size > MAX_REPORT_BYTES:
            return None, None
        try:
            found = json.loads(self._ledger.read(report.digest))
            return onnx.digest, Signature.model_validate(found["signature"])
        except (ValueError, KeyError, TypeError, ValidationError):
            return None, None
