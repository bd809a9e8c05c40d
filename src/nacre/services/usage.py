"""Usage: every allocation is exactly one record, whatever crashes in between."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.usage import UsageRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.domain.money import at_the_pace, cost_between, month_of, split_by_day
from nacre.errors import InvalidSpec
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.usage import Cost, CostLine, Forecast, Projection, UsageKind, UsageRecord
from nacre.services.prices import Prices

KEYS = ("project", "user", "kind", "day", "subject")
_RECENT = timedelta(days=7)
_LEAST_RECENT = timedelta(days=1)
_Group = tuple[str | None, ...]


class UsageLedger:
    """Opens and closes usage records, and sums what they cost."""

    def __init__(self, db: Database, clock: Clock, prices: Prices) -> None:
        self._db = db
        self._clock = clock
        self._prices = prices

    def open(
        self,
        session: Session,
        *,
        allocation_id: str,
        project_id: str,
        user_id: str,
        kind: UsageKind,
        subject_id: str,
        subject_name: str,
        cpu: float,
        memory: int,
        gpu: float,
        price_per_hour: int,
        started_at: datetime,
    ) -> None:
        """Begin the record of an allocation; nothing when there is one already."""
        make = sqlite_insert if self._db.sqlite else postgres_insert
        session.execute(
            make(UsageRow)
            .values(
                id=new_id("use"),
                allocation_id=allocation_id,
                project_id=project_id,
                user_id=user_id,
                kind=kind,
                subject_id=subject_id,
                subject_name=subject_name[:250],
                cpu=cpu,
                memory=memory,
                gpu=gpu,
                price_per_hour=price_per_hour,
                started_at=started_at,
            )
            .on_conflict_do_nothing(index_elements=["allocation_id"])
        )

    def close(self, session: Session, allocation_id: str, ended_at: datetime) -> None:
        """End the record; nothing when it has ended, or was never begun. The first end counts.

        An end before the start (clocks of two machines) becomes the start.
        """
        started = session.execute(
            select(UsageRow.started_at)
            .where(UsageRow.allocation_id == allocation_id, UsageRow.ended_at.is_(None))
            .with_for_update()
        ).scalar_one_or_none()
        if started is not None:
            session.execute(
                update(UsageRow)
                .where(UsageRow.allocation_id == allocation_id, UsageRow.ended_at.is_(None))
                .values(ended_at=max(started, ended_at))
            )

    def cost_of(self, session: Session, subject_ids: Iterable[str]) -> dict[str, int]:
        """Micros that each of these subjects has cost so far; 0 for one that was never allocated."""
        sums = dict.fromkeys(subject_ids, 0)
        now = self._clock.now()
        names = list(sums)
        for at in range(0, len(names), 1000):
            rows = session.execute(
                select(
                    UsageRow.subject_id, UsageRow.price_per_hour, UsageRow.started_at, UsageRow.ended_at
                ).where(UsageRow.subject_id.in_(names[at : at + 1000]))
            )
            for subject, price, start, ended in rows:
                end = ended or max(now, start)
                sums[subject] += cost_between(price, start, end, start, end)[1]
        return sums

    def list(
        self, caller: Caller, *, cursor: str | None = None, limit: int = 100, since: datetime | None = None
    ) -> Page[UsageRecord]:
        """The project's records, newest first. ``since`` leaves out those that ended before."""
        now = self._clock.now()
        statement = (
            select(UsageRow, UserRow.name)
            .outerjoin(UserRow, UserRow.id == UsageRow.user_id)
            .where(UsageRow.project_id == caller.project_id)
            .order_by(UsageRow.id.desc())
            .limit(limit + 1)
        )
        if cursor is not None:
            statement = statement.where(UsageRow.id < cursor)
        if since is not None:
            statement = statement.where(or_(UsageRow.ended_at.is_(None), UsageRow.ended_at > since))
        assert caller.project is not None
        with self._db.read() as session:
            found = session.execute(statement).all()
        items = [self._record(row, user, caller.project.name, now) for row, user in found[:limit]]
        return Page(items=items, next=items[-1].id if len(found) > limit else None)

    def cost(
        self,
        caller: Caller,
        *,
        by: Iterable[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        project: str | None = None,
        top: int | None = None,
    ) -> Cost:
        """What was used between ``since`` and ``until`` (up to now), summed by the keys of :data:`KEYS`.

        The caller sees the projects that they are a member of and the token reaches; an administrator,
        who pays for the machine, sees all of them. Days are days of UTC. Lines are in the order of the
        keys; with ``top``, only so many of them, the dearest first.

        Raises:
            InvalidSpec: an unknown key.
        """
        keys = tuple(dict.fromkeys(by))
        if unknown := [key for key in keys if key not in KEYS]:
            raise InvalidSpec(f"cannot sum by {unknown[0]!r}: use {', '.join(KEYS)}")
        now = self._clock.now()
        end = min(until, now) if until else now
        statement = (
            select(UsageRow, ProjectRow.name, UserRow.name)
            .join(ProjectRow, ProjectRow.id == UsageRow.project_id)
            .outerjoin(UserRow, UserRow.id == UsageRow.user_id)
            .where(UsageRow.started_at < end, *visible(caller), *_of(project))
        )
        if since is not None:
            statement = statement.where(or_(UsageRow.ended_at.is_(None), UsageRow.ended_at > since))
        sums: dict[_Group, list[int]] = {}
        names: dict[str | None, str] = {}
        with self._db.read() as session:
            for row, project_name, user in session.execute(statement).yield_per(1000):
                named = {
                    "project": project_name,
                    "user": user or row.user_id,
                    "kind": row.kind,
                    "subject": row.subject_id,
                }
                if "subject" in keys:
                    names[row.subject_id] = row.subject_name
                for day, length, cost in _parts(row, "day" in keys, since or row.started_at, end):
                    group = tuple((named | {"day": day})[key] for key in keys)
                    total = sums.setdefault(group, [0, 0])
                    total[0] += length
                    total[1] += cost
        lines = [
            CostLine(
                **(values := dict(zip(keys, group, strict=True))),
                subject_name=names.get(values.get("subject")),
                seconds=length / 1000,
                cost=cost,
            )
            for group, (length, cost) in sorted(sums.items(), key=_order)
        ]
        whole = sum(line.cost for line in lines)
        if top is not None:
            lines = sorted(lines, key=lambda line: -line.cost)[:top]
        return Cost(currency=self._prices.currency, total=whole, lines=lines)

    def forecast(self, caller: Caller, *, project: str | None = None) -> Forecast:
        """What this month will have cost at its end, by two assumptions, over what :meth:`cost` counts."""
        now = self._clock.now()
        first, end = month_of(now)
        seen = (*visible(caller), *_of(project))
        columns = (UsageRow.price_per_hour, UsageRow.started_at, UsageRow.ended_at)
        earliest = min(first, now - _RECENT)
        statement = (
            select(*columns)
            .join(ProjectRow, ProjectRow.id == UsageRow.project_id)
            .where(or_(UsageRow.ended_at.is_(None), UsageRow.ended_at > earliest), *seen)
        )
        oldest = (
            select(func.min(UsageRow.started_at))
            .join(ProjectRow, ProjectRow.id == UsageRow.project_id)
            .where(*seen)
        )
        spent = recent = ahead = running = per_hour = 0
        with self._db.read() as session:
            since = _recent_since(session.execute(oldest).scalar_one(), now)
            for price, start, ended in session.execute(statement).yield_per(1000):
                stop = ended or max(now, start)
                spent += cost_between(price, start, stop, first, now)[1]
                recent += cost_between(price, start, stop, since, now)[1]
                if ended is None:
                    running += 1
                    per_hour += price
                    ahead += cost_between(price, start, max(end, start), now, end)[1]
        days = (now - since) / timedelta(days=1)
        return Forecast(
            currency=self._prices.currency,
            month=first.strftime("%Y-%m"),
            since=first,
            now=now,
            until=end,
            spent=spent,
            running=running,
            running_per_hour=per_hour,
            recent_since=since,
            recent=recent,
            by_running=Projection(
                total=spent + ahead,
                assumption=f"what runs now ({running}) goes on at its price, and nothing else starts",
            ),
            by_recent=Projection(
                total=spent + at_the_pace(recent, now - since, end - now),
                assumption=f"it goes on as on average in the last {days:.3g} day{'s' * (days != 1)}",
            ),
        )

    def _record(self, row: UsageRow, user: str | None, project: str, now: datetime) -> UsageRecord:
        end = row.ended_at or max(now, row.started_at)
        length, cost = cost_between(row.price_per_hour, row.started_at, end, row.started_at, end)
        return UsageRecord.model_validate(
            {
                "id": row.id,
                "created_at": row.started_at,
                "project": project,
                "user": user or row.user_id,
                "kind": row.kind,
                "subject": row.subject_id,
                "subject_name": row.subject_name,
                "started_at": row.started_at,
                "ended_at": row.ended_at,
                "cpu": row.cpu,
                "memory": row.memory,
                "gpu": row.gpu,
                "price_per_hour": row.price_per_hour,
                "seconds": length / 1000,
                "cost": cost,
            }
        )


def visible(caller: Caller) -> Iterable[ColumnElement[bool]]:
    """Which usage records the caller sees: those of their projects, an administrator all of them."""
    if caller.project_ids is not None:
        yield UsageRow.project_id.in_(caller.project_ids)
    if not caller.admin:
        mine = select(MemberRow.project_id).where(MemberRow.user_id == caller.user_id)
        yield UsageRow.project_id.in_(mine)


def _of(project: str | None) -> Iterable[ColumnElement[bool]]:
    """One project by name or id; null means every one."""
    if project is not None:
        yield or_(ProjectRow.name == project, ProjectRow.id == project)


def _recent_since(oldest: datetime | None, now: datetime) -> datetime:
    """Seven days ago, or when the first thing was used, but a day ago at least."""
    return max(now - _RECENT, min(oldest or now, now - _LEAST_RECENT))


def _order(entry: tuple[_Group, list[int]]) -> tuple[str, ...]:
    return tuple(part or "" for part in entry[0])


def _parts(
    row: UsageRow, by_day: bool, since: datetime, until: datetime
) -> Iterable[tuple[str | None, int, int]]:
    end = row.ended_at or max(until, row.started_at)
    if by_day:
        for part in split_by_day(row.price_per_hour, row.started_at, end, since, until):
            yield part.day, part.milliseconds, part.cost
        return
    length, cost = cost_between(row.price_per_hour, row.started_at, end, since, until)
    if length:
        yield None, length, cost
