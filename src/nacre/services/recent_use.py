"""What projects and people used of late: the part of fair shares that remembers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select

from nacre.db.connect import Database
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.usage import UsageRow
from nacre.domain.scheduling import HALF_LIFE_S, Machine
from nacre.domain.scheduling.shares import Totals

_KEPT_S = 30.0
_HALF_LIVES = 6
"""What is older counts less than a sixty-fourth: it is left out."""

Shares = tuple[dict[str, float], dict[tuple[str, str], float]]


class RecentUse:
    """Averages over the records of usage, the only place that knows every allocation exactly once."""

    def __init__(self, db: Database, half_life: float = HALF_LIFE_S) -> None:
        self._db = db
        self._half_life = half_life
        self._at: datetime | None = None
        self._found: Shares = ({}, {})

    def shares(self, machines: Sequence[Machine], now: datetime) -> Shares:
        """The average share of each project, and of each user in a project, by the project's name.

        Read anew when the last answer is half a minute old: it changes over hours.
        """
        if self._at is None or not timedelta(0) <= now - self._at < timedelta(seconds=_KEPT_S):
            self._found, self._at = self._read(machines, now), now
        return self._found

    def _read(self, machines: Sequence[Machine], now: datetime) -> Shares:
        totals = Totals(machines)
        oldest = now - timedelta(seconds=_HALF_LIVES * self._half_life)
        rows = select(
            ProjectRow.name,
            UsageRow.user_id,
            UsageRow.cpu,
            UsageRow.memory,
            UsageRow.gpu,
            UsageRow.started_at,
            UsageRow.ended_at,
        ).join(ProjectRow, ProjectRow.id == UsageRow.project_id)
        used: dict[str, float] = defaultdict(float)
        used_by: dict[tuple[str, str], float] = defaultdict(float)
        with self._db.read() as session:
            found = session.execute(
                rows.where(or_(UsageRow.ended_at.is_(None), UsageRow.ended_at > oldest))
            )
            for project, user, cpu, memory, gpu, start, end in found:
                share = totals.share(cpu, memory, gpu) * self._weight(start, end or now, now)
                used[project] += share
                used_by[project, user] += share
        return dict(used), dict(used_by)

    def _weight(self, start: datetime, end: datetime, now: datetime) -> float:
        """The part of an exponentially weighted average that a time has."""

        def left(at: datetime) -> float:
            return math.exp2(-max(0.0, (now - at).total_seconds()) / self._half_life)

        return max(0.0, left(end) - left(start))
