"""What the server's own jobs leave behind: taken over by the evaluation or report that waits for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import select

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.models import job_over, left_by
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import EvaluationRow
from nacre.db.tables.predictions import BatchRow, DriftRow
from nacre.errors import RequestError, Unavailable
from nacre.schema.jobs import JobState
from nacre.schema.predictions import WorkState
from nacre.services.blobs import BlobLedger
from nacre.services.conversions import outcome
from nacre.services.datasets import Datasets
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.jobs import Jobs
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.models")
_Measured = TypeVar("_Measured", DriftRow, EvaluationRow)


class OwnJobs:
    """The ground of what the server has jobs of its own for: submitted, then settled by what they left."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        signals: Signals,
        ledger: BlobLedger,
        datasets: Datasets,
        jobs: Jobs,
        environments: EnvironmentCatalogue,
        events: Events,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._ledger = ledger
        self._datasets = datasets
        self._jobs = jobs
        self._environments = environments
        self._events = events

    def _settle_each(
        self,
        rows: type[BatchRow] | type[DriftRow] | type[EvaluationRow],
        topic: str,
        settle: Callable[[str], None],
    ) -> None:
        """Settle every row whose job has ended, and tell ``topic:ID``. One that cannot be read now holds
        up no other."""
        with self._db.read() as session:
            waiting = session.scalars(
                select(rows.id)
                .outerjoin(JobRow, JobRow.id == rows.job_id)
                .where(rows.state == WorkState.RUNNING, job_over())
            ).all()
        for row_id in waiting:
            try:
                settle(row_id)
            except Unavailable as error:
                _log.warning("the %s %s is settled later: %s", topic, row_id, error.detail)
            self._signals.notify(f"{topic}:{row_id}")

    def _store_result(
        self,
        rows: type[_Measured],
        row_id: str,
        read: Callable[[str], dict[str, Any] | None],
        *,
        failed: str,
        without: str,
        again: str,
    ) -> None:
        """Give a row what ``read`` finds in the manifest that its job left, or why there is nothing.

        ``failed``: the reason of a job that failed, or left nothing of use: ``without``. ``again``: what to
        do where the job was deleted.
        """
        with self._db.read() as session:
            row = session.get(rows, row_id)
            job = session.get(JobRow, row.job_id) if row else None
            left = left_by(session, job) if job else None
        result: dict[str, Any] | None = None
        if job is None:
            reason, message = "job_deleted", f"its job was deleted: {again}"
        elif job.state == JobState.SUCCEEDED:
            reason, message = failed, without
            result = read(left) if left else None
        else:
            reason, message = outcome(job, failed)
        with self._db.write() as session:
            row = session.get(rows, row_id, with_for_update=True)
            if row is None or row.state != WorkState.RUNNING:
                return
            row.ended_at = (job.ended_at if job else None) or self._clock.now()
            if result is not None:
                row.state, row.result = WorkState.SUCCEEDED, result
            else:
                row.state, row.reason, row.message = WorkState.FAILED, reason, message


def read_result(
    ledger: BlobLedger, manifest: str, path: str, most: int, form: type[BaseModel]
) -> dict[str, Any] | None:
    """A JSON file that a program wrote; null when it is not there, or not what it should be."""
    try:
        files = {f.path: f for f in ledger.read_manifest(manifest).files}
        written = json.loads(ledger.read(files[path].digest, most))
        return form.model_validate(written).model_dump()
    except (ValueError, KeyError, RequestError):
        return None
