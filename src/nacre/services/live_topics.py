"""What can be watched: each topic reads what is new past a position. Blocking; called in threads."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson
from sqlalchemy import select

from nacre.db.connect import Database
from nacre.db.queries.run_table import snapshot, table_rows
from nacre.db.queries.series import Series, find_series, points, points_after
from nacre.db.tables.projects import EventRow
from nacre.db.tables.runs import RunRow
from nacre.db.tables.users import UserRow
from nacre.domain.blocks import Points
from nacre.domain.run_columns import Columns, Keys
from nacre.errors import NotFound
from nacre.ids import id_at
from nacre.schema.live import Cursor

MAX_POINTS = 20_000
"""Of points in one update. Who is further behind in one metric is told to fetch it instead."""
SETTLED_S = 1.0
"""Events are told once they are this old: ids are made before commits, which may overtake each other."""
_EVENTS = 200
_METRIC = "m:"
_JSON = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


@dataclass(frozen=True)
class Position:
    """How far a subscriber is: its cursor, and a key that equal cursors share."""

    members: Mapping[str, str | int]
    key: str

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Position:
        """The position of a cursor that a client sent."""
        kept = {str(k): v for k, v in members.items() if v is not None}
        raw = orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)
        return cls(kept, hashlib.blake2b(raw, digest_size=16).hexdigest())

    def moved(self, change: Cursor) -> Position:
        """The position after an update."""
        return Position.of({**self.members, **change}) if change else self

    def text(self, name: str) -> str:
        """A member as text; empty where there is none."""
        return str(self.members.get(name, ""))

    def number(self, name: str) -> int:
        """A member as a number; 0 where there is none or it makes no sense."""
        try:
            return max(0, int(self.members.get(name, 0)))
        except ValueError:
            return 0


@dataclass(frozen=True)
class Reading:
    """What was found past a position. ``payload`` is the JSON of cursor and data, to be put into the
    messages of all who were there; null when nothing is new. ``more``: there is more already."""

    position: Position
    payload: str | None
    more: bool = False


def reading(position: Position, change: Cursor, data: dict[str, Any], more: bool = False) -> Reading:
    """The reading that says ``data``; nothing new when both are empty."""
    if not change and not data:
        return Reading(position, None, more)
    payload = orjson.dumps({"cursor": change, "data": data}, option=_JSON).decode()
    return Reading(position.moved(change), payload, more)


class Topic(Protocol):
    """Something that can be watched. Subscribers with the same ``key`` share it."""

    key: str
    signals: tuple[str, ...]
    urgent: tuple[str, ...]
    """Those of the signals' changes that are not to wait for the next look."""
    every_s: float
    """The pace: between two looks are half to one and a half of it, and one in the mean."""
    again_s: float
    """Looks without a signal, for what other processes change."""

    def start(self, cursor: Cursor | None) -> Position:
        """Where a subscriber begins."""
        ...

    def read(self, position: Position) -> Reading:
        """What is new.

        Raises:
            NotFound: it is gone.
        """
        ...


def _digest(thing: Any) -> str:
    raw = orjson.dumps(thing, option=_JSON | orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(raw, digest_size=9).hexdigest()


class RunTopic:
    """A run: its state, params and tags when they change, and the points of its metrics."""

    every_s = 1.0  # points; nobody sees a curve grow faster, and it is fifty people's curve

    def __init__(self, db: Database, run: RunRow, keys: Sequence[str] | None) -> None:
        self._db = db
        self._id = run.id
        self._keys = Keys(tuple(keys) if keys is not None else None)
        self.key = f"run:{run.uuid}:{_digest(keys)}"
        self.signals: tuple[str, ...] = (f"run:{run.uuid}",)
        self.urgent: tuple[str, ...] = (f"run_state:{run.uuid}",)
        self.again_s = again_s(db)

    def start(self, cursor: Cursor | None) -> Position:
        if cursor is not None:
            return Position.of(cursor)
        with self._db.read() as session:
            return Position.of({_METRIC + s.key: _mark(s) for s in self._series(session)})

    def _series(self, session: Any) -> list[Series]:
        if self._keys.none:
            return []
        found = find_series(session, [self._id], self._keys.names)
        wanted = set(self._keys.pick([series.key for series in found]))
        return [series for series in found if series.key in wanted]

    def read(self, position: Position) -> Reading:
        change: Cursor = {}
        data: dict[str, Any] = {}
        left = MAX_POINTS
        with self._db.read() as session:
            snapshot(session)
            row = session.get(RunRow, self._id)
            if row is None:
                raise NotFound("the run was deleted")
            [head] = table_rows(session, [row], Columns(metrics=Keys(())))
            del head["metrics"]
            head["deleted"] = row.deleted_at is not None
            head["artifacts"] = row.artifacts
            if (digest := _digest(head)) != position.text("head"):
                change["head"], data["run"] = digest, head
            metrics: dict[str, Any] = {}
            for series in self._series(session):
                mark, known = _mark(series), position.text(_METRIC + series.key)
                if mark == known:
                    continue
                if left <= 0:
                    return reading(position, change, data | {"metrics": metrics}, more=True)
                metrics[series.key] = _news(session, series, known)
                change[_METRIC + series.key] = mark
                left -= len(metrics[series.key].get("step", ()))
            if metrics:
                data["metrics"] = metrics
        return reading(position, change, data)


def series_cursor(series: Series) -> tuple[str, str]:
    """The member of a run's cursor that stands for all of a series as it was read."""
    return _METRIC + series.key, _mark(series)


def _mark(series: Series) -> str:
    return f"{series.n}:{series.last_step}:{series.last_ts}"


def _news(session: Any, series: Series, known: str) -> dict[str, Any]:
    """The points that were appended, or ``refetch`` when that is not all that happened."""
    facts = {
        "count": series.n,
        "last": series.last_value,
        "last_step": series.last_step,
        "min": series.min,
        "max": series.max,
    }
    before = _parse(known)
    if before is None:  # not seen at all
        found = points(session, series) if series.n <= MAX_POINTS else None
        appended = series.n
    else:
        appended = series.n - before[0]
        fits = 0 < appended <= MAX_POINTS and (series.last_step, series.last_ts) > before[1:]
        found = points_after(session, series, before[1], before[2]) if fits else None
    if found is None or len(found) != appended:
        return facts | {"refetch": True}
    return facts | _columns(found)


def _columns(found: Points) -> dict[str, Any]:
    whole = np.ascontiguousarray
    return {"step": whole(found.step), "time_ms": whole(found.ts), "value": whole(found.value)}


def _parse(mark: str) -> tuple[int, int, int] | None:
    try:
        count, step, ts = (int(part) for part in mark.split(":"))
    except ValueError:
        return None
    return count, step, ts


class ListTopic:
    """A list that is read anew: rows that changed, those that left, and the order when it is another.

    ``signals`` with ``*`` wake for any of that kind.
    """

    urgent: tuple[str, ...] = ()
    every_s = 1.0

    def __init__(
        self,
        key: str,
        signals: tuple[str, ...],
        db: Database,
        rows: Callable[[], Sequence[Mapping[str, Any]]],
        again: float | None = None,
    ) -> None:
        """``again``: look after so many seconds at the latest, where not every change has a signal."""
        self.key = key
        self.signals = signals
        self.again_s = min(again or again_s(db), again_s(db))
        self._rows = rows

    def start(self, cursor: Cursor | None) -> Position:
        return Position.of(cursor or {})

    def read(self, position: Position) -> Reading:
        rows = self._rows()
        order = [str(row["id"]) for row in rows]
        digests = {f"r:{row['id']}": _digest(row) for row in rows}
        changed = [row for row in rows if digests[f"r:{row['id']}"] != position.text(f"r:{row['id']}")]
        gone = [name for name in position.members if name.startswith("r:") and name not in digests]
        change: Cursor = {f"r:{row['id']}": digests[f"r:{row['id']}"] for row in changed}
        change |= dict.fromkeys(gone)
        data: dict[str, Any] = {}
        if changed:
            data["rows"] = changed
        if gone:
            data["removed"] = [name.removeprefix("r:") for name in gone]
        if (digest := _digest(order)) != position.text("order"):
            change["order"], data["order"] = digest, order
        return reading(position, change, data)


class ThingTopic:
    """One thing that is read anew and told when it changed, under ``name``."""

    urgent: tuple[str, ...] = ()
    every_s = 0.1

    def __init__(
        self,
        key: str,
        signals: tuple[str, ...],
        db: Database,
        name: str,
        read: Callable[[], Mapping[str, Any]],
        again: float | None = None,
    ) -> None:
        """``again``: as of :class:`ListTopic`."""
        self.key = key
        self.signals = signals
        self.again_s = min(again or again_s(db), again_s(db))
        self._name = name
        self._read = read

    def start(self, cursor: Cursor | None) -> Position:
        return Position.of(cursor or {})

    def read(self, position: Position) -> Reading:
        found = self._read()
        digest = _digest(found)
        if digest == position.text("head"):
            return reading(position, {}, {})
        return reading(position, {"head": digest}, {self._name: found})


class EventsTopic:
    """What happens in a project, oldest first."""

    urgent: tuple[str, ...] = ()
    every_s = 1.0
    again_s = 2.0

    def __init__(self, db: Database, project_id: str) -> None:
        self._db = db
        self._project_id = project_id
        self.key = f"events:{project_id}"
        self.signals: tuple[str, ...] = ("jobs", "run:*")

    def start(self, cursor: Cursor | None) -> Position:
        return Position.of({"last": self._horizon()} if cursor is None else cursor)

    @staticmethod
    def _horizon() -> str:
        return id_at("evt", int((time.time() - SETTLED_S) * 1000))

    def read(self, position: Position) -> Reading:
        statement = (
            select(EventRow, UserRow.name)
            .outerjoin(UserRow, UserRow.id == EventRow.user_id)
            .where(
                EventRow.project_id == self._project_id,
                EventRow.id > position.text("last"),
                EventRow.id < self._horizon(),
            )
            .order_by(EventRow.id)
            .limit(_EVENTS)
        )
        with self._db.read() as session:
            found = [_event(row, name) for row, name in session.execute(statement)]
        if not found:
            return reading(position, {}, {})
        return reading(position, {"last": found[-1]["id"]}, {"events": found}, len(found) == _EVENTS)


def _event(row: EventRow, user: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": row.created_at,
        "verb": row.verb,
        "subject": row.subject,
        "user": user or row.user_id,
        "detail": row.detail,
    }


def again_s(db: Database) -> float:
    """How often to look without a signal: other servers send none, and SQLite has no other servers."""
    return 10.0 if db.sqlite else 2.0


def plain(models: Iterable[Any]) -> list[dict[str, Any]]:
    """Wire types as plain JSON."""
    return [model.model_dump(mode="json") for model in models]
