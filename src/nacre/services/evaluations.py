"""Evaluations: metrics of a model version on a dataset version, measured by a job."""

from __future__ import annotations

import shlex

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.queries.models import find_version
from nacre.db.queries.pages import newest_first
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import EvaluationRow, ModelRow, ModelVersionRow
from nacre.domain.identity import Caller
from nacre.domain.models import job_word
from nacre.errors import Conflict, NotFound
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.jobs import JobSpec
from nacre.schema.models import ConversionState, Evaluation, EvaluationCreate, EvaluationState, Measures
from nacre.schema.resources import Resources
from nacre.services.job_results import OwnJobs, read_result

RESOURCES = Resources(cpu=1, memory=2 * 2**30)
ENVIRONMENT = "sklearn"
MAX_RESULT_BYTES = 16 * 2**20


class Evaluations(OwnJobs):
    """The only writer of evaluations."""

    def create(self, caller: Caller, model: str, version: str, request: EvaluationCreate) -> Evaluation:
        """Submit the job that evaluates the version's ONNX form.

        Raises:
            NotFound: no such version or dataset.
            Conflict: the version is not converted; the sentence says what to do.
        """
        with self._db.write() as session:
            row, found = find_version(session, caller.project_id, model, version)
            if found.conversion != ConversionState.READY or found.onnx_manifest is None:
                raise Conflict(_not_ready(model, found))
            data = self._datasets.resolve(session, caller.project_id, request.data)
            words = ["python", "-m", "nacre.workloads.evaluate", "--model", "${{inputs.model}}/model.onnx"]
            words += ["--data", "${{inputs.data}}"]
            for option, value in (("--features", request.features), ("--label", request.label)):
                words += [option, value] if value else []
            reference = f"{data.dataset}@{data.number}"
            job_id = self._jobs.submit_internal(
                session,
                project_id=caller.project_id,
                user_id=caller.user_id,
                kind="evaluate",
                name=f"evaluate-{job_word(model)}-{found.number}",
                spec=JobSpec(
                    commands=[shlex.join(words)],
                    resources=RESOURCES,
                    max_duration=3600,
                    description=f"Evaluate {model}/{found.number} on {reference}",
                ),
                environment_id=self._environments.ensure(session, caller.project_id, ENVIRONMENT),
                manifests={"model": found.onnx_manifest, "data": data.manifest},
            )
            evaluation = EvaluationRow(
                id=new_id("evl"),
                project_id=caller.project_id,
                version_id=found.id,
                data=reference,
                job_id=job_id,
                state=EvaluationState.RUNNING,
                created_at=self._clock.now(),
            )
            session.add(evaluation)
            self._events.add(
                session,
                caller.project_id,
                caller.user_id,
                "evaluations.create",
                evaluation.id,
                data=reference,
            )
            session.flush()
            answer = _wire(session, row.name, found.number, evaluation)
        self._signals.notify("jobs")
        return answer

    def list(
        self, caller: Caller, model: str, version: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Evaluation]:
        """The version's evaluations, newest first."""
        with self._db.read() as session:
            row, found = find_version(session, caller.project_id, model, version)
            statement = select(EvaluationRow).where(EvaluationRow.version_id == found.id)
            return newest_first(
                session,
                statement,
                EvaluationRow.id,
                lambda item: _wire(session, row.name, found.number, item[0]),
                cursor=cursor,
                limit=limit,
            )

    def get(self, caller: Caller, evaluation: str) -> Evaluation:
        """One evaluation by id.

        Raises:
            NotFound: there is none in this project.
        """
        with self._db.read() as session:
            row = session.get(EvaluationRow, evaluation)
            if row is None or row.project_id != caller.project_id:
                raise NotFound(f"there is no evaluation {evaluation!r} in this project")
            version = session.get_one(ModelVersionRow, row.version_id)
            model = session.get_one(ModelRow, version.model_id)
            return _wire(session, model.name, version.number, row)

    def settle(self) -> None:
        """Give every evaluation whose job has ended its result, or the reason why not."""
        self._settle_each(EvaluationRow, "evaluation", self._settle)

    def _settle(self, evaluation_id: str) -> None:
        self._store_result(
            EvaluationRow,
            evaluation_id,
            lambda left: read_result(self._ledger, left, "evaluation.json", MAX_RESULT_BYTES, Measures),
            failed="evaluation_failed",
            without="the evaluator ended without a result",
            again="evaluate again",
        )


def _not_ready(model: str, version: ModelVersionRow) -> str:
    name = f"{model}/{version.number}"
    if version.conversion == ConversionState.NONE:
        return f"{name} cannot be evaluated here: {version.message}"
    if version.conversion == ConversionState.FAILED:
        return (
            f"{name} could not be converted to ONNX ({version.message}): mend that, then "
            f"'nacre model convert {name}', or register it again"
        )
    return f"{name} is still being converted to ONNX: wait for it with 'nacre model show {name} --wait'"


def of_version(session: Session, model: str, version: ModelVersionRow) -> list[Evaluation]:
    """The evaluations of a version, newest first."""
    statement = select(EvaluationRow).where(EvaluationRow.version_id == version.id)
    rows = session.execute(statement.order_by(EvaluationRow.id.desc())).scalars()
    return [_wire(session, model, version.number, row) for row in rows]


def _wire(session: Session, model: str, number: int, row: EvaluationRow) -> Evaluation:
    job = session.get(JobRow, row.job_id)
    return Evaluation.model_validate(
        {
            "id": row.id,
            "created_at": row.created_at,
            "model": model,
            "version": number,
            "data": row.data,
            "job": job.name if job else row.job_id,
            "state": row.state,
            "reason": row.reason,
            "message": row.message,
            "ended_at": row.ended_at,
            **(row.result or {}),
        }
    )
