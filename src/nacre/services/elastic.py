"""Jobs of LEAST..MOST replicas: started again with more when there is room, with fewer when others wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.jobs import RESIZED
from nacre.domain.scheduling import (
    GANG_INCOMPLETE,
    NO_CAPACITY,
    RESERVED,
    Demand,
    Holding,
    Lane,
    Machine,
    Shape,
    plan,
)
from nacre.ports.engines import Engine
from nacre.schema.jobs import JobSpec, JobState
from nacre.services.attempts import Attempts
from nacre.services.queued import queued, queued_instances
from nacre.services.room import send_away
from nacre.services.scheduling import Scheduling
from nacre.services.signals import Signals

CALM = timedelta(seconds=60)
"""How long an attempt has run at least before it is asked to start again: that costs something."""


@dataclass(frozen=True)
class _Running:
    """An attempt of an elastic job. ``demand``: for the replicas that it could have beyond those it has."""

    attempt_id: str
    demand: Demand
    may_grow: bool
    least: int


class Elastic:
    """One pass asks one attempt at most to end; the queue then places its job anew, from its checkpoint."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        attempts: Attempts,
        engine: Engine,
        scheduling: Scheduling,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._attempts = attempts
        self._engine = engine
        self._scheduling = scheduling

    def advance(self) -> int:
        """One pass; how many attempts were asked to start again with another number of replicas.

        Raises:
            Unavailable: the engine cannot tell what machines there are; nothing was changed.
        """
        with self._db.read() as session:
            running = self._running(session)
            if not running:
                return 0
            now = self._clock.now().timestamp()
            waiting = [item.demand for item in queued_instances(session, ready=True)]
            waiting += [item.demand for item in queued(session) if item.backing_off(now) is None]
            holdings = self._attempts.holdings(session)
        there = self._scheduling.machines(self._engine.nodes())
        chosen = (
            self._shrinking(running, waiting, there, holdings)
            if waiting
            else self._growing(running, there, holdings)
        )
        return int(chosen is not None and self._resize(chosen.attempt_id))

    def _running(self, session: Session) -> list[_Running]:
        rows = session.execute(
            select(JobRow, AttemptRow, ProjectRow.name)
            .join(AttemptRow, AttemptRow.subject_id == JobRow.id)
            .join(ProjectRow, ProjectRow.id == JobRow.project_id)
            .options(selectinload(AttemptRow.replicas))
            .where(
                JobRow.state == JobState.RUNNING,
                JobRow.spec["replicas"].as_string().contains(".."),
                AttemptRow.ended_at.is_(None),
                AttemptRow.desired == "run",
                AttemptRow.started_at <= self._clock.now() - CALM,
            )
            .order_by(JobRow.queued_at, JobRow.id)
        )
        found = []
        for job, attempt, project in rows:
            spec, size = JobSpec.model_validate(job.spec), len(attempt.replicas)
            limit = spec.max_duration and spec.max_duration + spec.stop_duration
            shape = Shape(job.cpu, job.memory, job.gpu, job.gpu_name)
            lane = Lane(shape, 1, max(1, spec.most - size), time_limit=limit, spot=spec.spot)
            demand = Demand(job.id, job.name, lane, project, job.user_id)
            found.append(_Running(attempt.id, demand, size < spec.most, spec.least))
        return found

    def _growing(
        self, running: Sequence[_Running], there: Sequence[Machine], holdings: Sequence[Holding]
    ) -> _Running | None:
        """The oldest for which there is more room."""
        policy, now = self._scheduling.policy(there), self._clock.now().timestamp()
        for one in running:
            if one.may_grow and one.demand.id in plan([one.demand], there, holdings, policy, now).placed:
                return one
        return None

    def _shrinking(
        self,
        running: Sequence[_Running],
        waiting: Sequence[Demand],
        there: Sequence[Machine],
        holdings: Sequence[Holding],
    ) -> _Running | None:
        """The newest that can give the first of those that wait its place and keep enough for itself."""
        policy, now = self._scheduling.policy(there), self._clock.now().timestamp()
        why = plan(waiting, there, holdings, policy, now).waiting
        first = next(
            (
                demand
                for demand in waiting
                if demand.id in why and why[demand.id].reason in (NO_CAPACITY, GANG_INCOMPLETE, RESERVED)
            ),
            None,
        )
        if first is None:
            return None
        for one in reversed(running):
            mine = [held for held in holdings if held.id == one.attempt_id]
            left = [held for held in holdings if held.id != one.attempt_id] + mine[: one.least]
            if len(mine) > one.least and first.id in plan([first], there, left, policy, now).placed:
                return one
        return None

    def _resize(self, attempt_id: str) -> bool:
        message = "it starts again with another number of replicas, from its checkpoint"
        return send_away(self._db, self._attempts, self._signals, attempt_id, RESIZED, message)
