"""Drift reports: what an endpoint was asked, against what its model was trained on, measured by a job."""

from __future__ import annotations

import json
import shlex

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.queries.endpoints import find_endpoint
from nacre.db.queries.pages import newest_first
from nacre.db.tables.endpoints import EndpointRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import ModelVersionRow
from nacre.db.tables.predictions import DriftRow
from nacre.domain.identity import Caller
from nacre.domain.models import job_word
from nacre.errors import Conflict, NotFound
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.data import DatasetVersion
from nacre.schema.endpoints import EndpointSettings
from nacre.schema.jobs import JobSpec
from nacre.schema.predictions import Drift, DriftCreate, Drifted, WorkState
from nacre.services.batch_predictions import ENVIRONMENT, NEEDED, RESOURCES, answering
from nacre.services.job_results import OwnJobs, read_result

MAX_RESULT_BYTES = 2**20


class Drifts(OwnJobs):
    """The only writer of drift reports. Topic: ``drift:ID``."""

    def create(self, caller: Caller, endpoint: str, request: DriftCreate) -> Drift:
        """Submit the job that compares.

        Raises:
            NotFound: no such endpoint or dataset.
            Conflict: nothing was captured, or nothing tells what the model was trained on.
        """
        with self._db.write() as session:
            row = find_endpoint(session, caller.project_id, endpoint)
            model, version = answering(session, caller.project_id, endpoint)
            signature = version.signature or (version.inputs and {"inputs": version.inputs})
            if not signature:
                raise Conflict(f"nothing tells the inputs of {model.name}/{version.number}")
            captured = self._captured(session, row, request)
            reference = self._reference(session, caller.project_id, model.name, version, request)
            words = ["python", "-m", "nacre.workloads.drift", "--captured", "${{inputs.captured}}"]
            words += ["--reference", "${{inputs.reference}}"]
            words += ["--features", ",".join(request.features)] if request.features else []
            base = self._environments.ensure(session, caller.project_id, ENVIRONMENT)
            job_id = self._jobs.submit_internal(
                session,
                project_id=caller.project_id,
                user_id=caller.user_id,
                kind="drift",
                name=f"drift-{job_word(endpoint)}",
                spec=JobSpec(
                    commands=[shlex.join(words)],
                    resources=RESOURCES,
                    max_duration=3600,
                    env={"NACRE_MODEL_SIGNATURE": json.dumps(signature)},
                    description=f"Drift of {endpoint}: {_ref(captured)} against {_ref(reference)}",
                ),
                environment_id=self._environments.derive(session, caller.project_id, base, NEEDED),
                manifests={"captured": captured.manifest, "reference": reference.manifest},
            )
            report = DriftRow(
                id=new_id("drf"),
                project_id=caller.project_id,
                endpoint_id=row.id,
                model=model.name,
                version=version.number,
                captured=_ref(captured),
                reference=_ref(reference),
                job_id=job_id,
                state=WorkState.RUNNING,
                created_at=self._clock.now(),
            )
            session.add(report)
            self._events.add(
                session,
                caller.project_id,
                caller.user_id,
                "endpoints.drift",
                report.id,
                endpoint=endpoint,
                captured=_ref(captured),
                reference=_ref(reference),
            )
            session.flush()
            answer = _wire(session, endpoint, report)
        self._signals.notify("jobs")
        return answer

    def _captured(self, session: Session, row: EndpointRow, request: DriftCreate) -> DatasetVersion:
        if request.captured is not None:
            return self._datasets.resolve(session, row.project_id, request.captured)
        settings = EndpointSettings.model_validate(row.settings).capture
        if settings is None:
            raise Conflict(
                f"{row.name} captures nothing: 'nacre endpoint set {row.name} --capture DATASET', and ask "
                "again when there were requests"
            )
        try:
            return self._datasets.resolve(session, row.project_id, settings.dataset)
        except NotFound as error:
            raise Conflict(
                f"nothing of {row.name} was captured yet in {settings.dataset}: ask again when there were "
                "requests; they are there within some minutes"
            ) from error

    def _reference(
        self, session: Session, project_id: str, model: str, version: ModelVersionRow, request: DriftCreate
    ) -> DatasetVersion:
        if request.reference is not None:
            return self._datasets.resolve(session, project_id, request.reference)
        known: dict[str, str] = version.lineage.get("data") or {}
        chosen = known if len(known) == 1 else {n: r for n, r in known.items() if "train" in f"{n} {r}"}
        if len(chosen) != 1:
            listed = f"it used {', '.join(known.values())}" if known else "no job with data made it"
            raise Conflict(
                f"nothing tells which data {model}/{version.number} was trained on ({listed}): name it "
                "with --reference"
            )
        return self._datasets.resolve(session, project_id, next(iter(chosen.values())))

    def list(
        self, caller: Caller, endpoint: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Drift]:
        """An endpoint's, newest first."""
        with self._db.read() as session:
            row = find_endpoint(session, caller.project_id, endpoint)
            return newest_first(
                session,
                select(DriftRow).where(DriftRow.endpoint_id == row.id),
                DriftRow.id,
                lambda item: _wire(session, endpoint, item[0]),
                cursor=cursor,
                limit=limit,
            )

    def get(self, caller: Caller, endpoint: str, report: str) -> Drift:
        """One by id.

        Raises:
            NotFound: the endpoint has none of it.
        """
        with self._db.read() as session:
            row = find_endpoint(session, caller.project_id, endpoint)
            found = session.get(DriftRow, report)
            if found is None or found.endpoint_id != row.id:
                raise NotFound(f"endpoint {endpoint} has no drift report {report[:60]!r}")
            return _wire(session, endpoint, found)

    def settle(self) -> None:
        """Give every report whose job has ended its result, or the reason why there is none."""
        self._settle_each(DriftRow, "drift", self._settle)

    def _settle(self, report_id: str) -> None:
        self._store_result(
            DriftRow,
            report_id,
            lambda left: read_result(self._ledger, left, "drift.json", MAX_RESULT_BYTES, Drifted),
            failed="drift_failed",
            without="the program ended without a report",
            again="start it again",
        )


def _ref(version: DatasetVersion) -> str:
    return f"{version.dataset}@{version.number}"


def _wire(session: Session, endpoint: str, row: DriftRow) -> Drift:
    job = session.get(JobRow, row.job_id)
    return Drift(
        id=row.id,
        created_at=row.created_at,
        endpoint=endpoint,
        model=row.model,
        version=row.version,
        captured=row.captured,
        reference=row.reference,
        job=job.name if job else row.job_id,
        state=WorkState(row.state),
        reason=row.reason,
        message=row.message,
        result=None if row.result is None else Drifted.model_validate(row.result),
        ended_at=row.ended_at,
    )
