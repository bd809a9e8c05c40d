"""Quotas: the most that a project's work holds at one moment, and its weight in turns."""

from __future__ import annotations

from typing import cast

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nacre.db.connect import Database
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.quotas import QuotaRow
from nacre.domain import scheduling
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NotFound
from nacre.schema.jobs import PRIORITIES, Priority
from nacre.schema.queue import Quota, QuotaUpdate
from nacre.services.events import Events
from nacre.services.signals import Signals


class Quotas:
    """Set by administrators, read by a project's members and by the scheduler."""

    def __init__(self, db: Database, events: Events, signals: Signals) -> None:
        self._db = db
        self._events = events
        self._signals = signals

    def get(self, caller: Caller) -> Quota:
        """The quota of the caller's project."""
        assert caller.project is not None
        with self._db.read() as session:
            row = session.get(QuotaRow, caller.project_id)
        return _wire(caller.project.name, row)

    def update(self, caller: Caller, project: str, body: QuotaUpdate) -> Quota:
        """Change the fields that were sent; what runs goes on, also where it is more than the new limit.

        Raises:
            NotFound: there is no such project.
        """
        with self._db.write() as session:
            found = session.execute(
                select(ProjectRow.id, ProjectRow.name).where(
                    or_(ProjectRow.name == project, ProjectRow.id == project)
                )
            ).one_or_none()
            if found is None:
                raise NotFound(f"there is no project {project!r}: see 'nacre project ls'")
            row = session.get(QuotaRow, found.id, with_for_update=True)
            if row is None:
                row = QuotaRow(project_id=found.id, weight=1.0, priority="normal")
                session.add(row)
            change = {name: getattr(body, name) for name in sorted(body.model_fields_set)}
            for name, value in change.items():
                setattr(row, name, value)
            self._events.add(session, found.id, caller.user_id, "quotas.update", found.id, **change)
            quota = _wire(found.name, row)
        self._signals.notify("jobs")
        return quota

    def check_priority(self, caller: Caller, priority: Priority) -> None:
        """Whether the project's jobs may be of this class.

        Raises:
            InvalidSpec: it is above what the quota allows.
        """
        highest = self.get(caller).priority
        if PRIORITIES.index(priority) > PRIORITIES.index(highest):
            project = caller.project.name if caller.project else ""
            message = (
                f"project {project} may submit jobs up to priority {highest}: leave priority out, or ask "
                f"an administrator for 'nacre quota set {project} --priority {priority}'"
            )
            raise InvalidSpec(message, fields=[{"field": "priority", "message": message}])

    def every(self, session: Session) -> dict[str, Quota]:
        """The quotas that were set, by the project's name."""
        rows = session.execute(
            select(QuotaRow, ProjectRow.name).join(ProjectRow, ProjectRow.id == QuotaRow.project_id)
        )
        return {name: _wire(name, row) for row, name in rows}


def limits(quota: Quota) -> scheduling.Quota:
    """As the scheduler reads it."""
    return scheduling.Quota(quota.cpu, quota.memory, quota.gpu, quota.running_jobs)


def _wire(project: str, row: QuotaRow | None) -> Quota:
    if row is None:
        return Quota(project=project)
    return Quota(
        project=project,
        cpu=row.cpu,
        memory=row.memory,
        gpu=row.gpu,
        running_jobs=row.running_jobs,
        weight=row.weight,
        priority=cast("Priority", row.priority),
    )
