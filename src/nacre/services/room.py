"""Work told to go although nobody asked for its end: it comes back from its checkpoint."""

from __future__ import annotations

from collections.abc import Iterable

from nacre.db.connect import Database
from nacre.db.tables.jobs import JobRow
from nacre.domain.jobs import PREEMPTED, may_follow
from nacre.schema.jobs import JobState
from nacre.services.attempts import Attempts
from nacre.services.signals import Signals


def make_room(db: Database, attempts: Attempts, signals: Signals, attempt_ids: Iterable[str]) -> None:
    """Tell spot work to go for what is not; it waits for its place again once it has ended."""
    for attempt_id in attempt_ids:
        send_away(db, attempts, signals, attempt_id, PREEMPTED, "it makes room for work that is not spot")


def send_away(
    db: Database, attempts: Attempts, signals: Signals, attempt_id: str, reason: str, message: str
) -> bool:
    """Stop a job's attempt for a reason of ``FREE_RESTARTS``; False when it ended or was told before."""
    with db.write() as session:
        attempt = attempts.stop(session, attempt_id, reason)
        job = session.get(JobRow, attempt.subject_id, with_for_update=True) if attempt else None
        if job is not None and may_follow(JobState(job.state), JobState.STOPPING):
            job.state, job.reason, job.message = JobState.STOPPING, reason, message
    if job is None:
        return False
    signals.notify("attempts", f"job:{job.id}")
    return True
