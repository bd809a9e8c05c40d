"""What endpoints answered, for the bill: taken from the files that the model server's workers append to.

Each line is counted exactly once, whatever is killed: how far a file was read is committed together with
the sums. The file of a worker that is gone is deleted once all of it is counted.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from nacre.clock import Clock, epoch_ms
from nacre.db.connect import Database
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.endpoints import EndpointRequestsRow, EndpointRow, RevisionRow, UsageFileRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.identity import Caller
from nacre.schema.serving import ServedUsage
from nacre.schema.usage import RequestLine, RequestUsage

_log = logging.getLogger("nacre.endpoints")
_HOUR_S = 3600
_AT_ONCE = 4 * 2**20
_SLACK_MS = 1000
"""Clocks of two processes differ by less."""
_NUMBERS = ("requests", "errors", "samples", "micros")


class _Subject(NamedTuple):
    id: str
    project_id: str
    name: str


class EndpointUsage:
    """Books usage files, and sums what they told."""

    def __init__(self, db: Database, clock: Clock, folder: Path) -> None:
        self._db = db
        self._clock = clock
        self._folder = folder

    # -- booking ------------------------------------------------------------------------------------------

    def book(self) -> int:
        """Count what was appended since the last time; how many lines."""
        with self._db.read() as session:
            booked = {row.name: row.read for row in session.scalars(select(UsageFileRow))}
        count = 0
        for path in sorted(self._folder.glob("*.jsonl")):
            gone = not _lives(path.stem)  # before its end is looked for: nothing comes after that
            at = booked.pop(path.name, 0)
            while (data := _whole_lines(path, at)) and self._book(path.name, at, data):
                at += len(data)
                count += data.count(b"\n")
            if gone and not data:
                path.unlink(missing_ok=True)
        if missing := [name for name in booked if not (self._folder / name).exists()]:
            # only now: a file that is there, and not known to have been booked, is booked
            with self._db.write() as session:
                session.execute(delete(UsageFileRow).where(UsageFileRow.name.in_(missing)))
        return count

    def _book(self, name: str, start: int, data: bytes) -> bool:
        """Count these lines, which begin at ``start``; false when somebody else has done so meanwhile."""
        with self._db.write() as session:
            row = session.get(UsageFileRow, name, with_for_update=True)
            if (row.read if row else 0) != start:
                return False
            self._add(session, _lines(name, data))
            if row is None:
                row = UsageFileRow(name=name, read=0, read_at=self._clock.now())
                session.add(row)
            row.read, row.read_at = start + len(data), self._clock.now()
        return True

    def _add(self, session: Session, lines: Iterable[ServedUsage]) -> None:
        subjects = _Subjects(session)
        sums: dict[tuple[_Subject, int, int], Counter[str]] = {}
        for line in lines:
            subject = subjects.find(line)
            if subject is None:
                _log.warning("usage of an endpoint that nobody knows: %s", line.model_dump_json())
                continue
            hour = line.time_ms // 1000 // _HOUR_S * _HOUR_S
            numbers = sums.setdefault((subject, line.revision, hour), Counter())
            numbers["requests"] += line.requests
            numbers["errors"] += line.errors
            numbers["samples"] += line.samples
            numbers["micros"] += round(line.seconds * 1e6)
        if not sums:
            return
        insert = insert_into(self._db, EndpointRequestsRow)
        grown = {name: getattr(EndpointRequestsRow, name) + insert.excluded[name] for name in _NUMBERS}
        session.execute(
            insert.on_conflict_do_update(index_elements=["endpoint_id", "revision", "hour"], set_=grown),
            [
                {
                    "endpoint_id": subject.id,
                    "revision": revision,
                    "hour": hour,
                    "project_id": subject.project_id,
                    "endpoint_name": subject.name,
                    **{name: numbers[name] for name in _NUMBERS},
                }
                for (subject, revision, hour), numbers in sums.items()
            ],
        )

    # -- what was used ------------------------------------------------------------------------------------

    def requests(
        self, caller: Caller, *, since: datetime | None = None, until: datetime | None = None
    ) -> RequestUsage:
        """What each endpoint of the project answered on each day (of UTC), newest day first.

        ``since`` and ``until`` count whole hours: that in which they lie is the first, or the last.
        """
        statement = select(EndpointRequestsRow).where(EndpointRequestsRow.project_id == caller.project_id)
        if since is not None:
            statement = statement.where(EndpointRequestsRow.hour > since.timestamp() - _HOUR_S)
        if until is not None:
            statement = statement.where(EndpointRequestsRow.hour <= until.timestamp())
        sums: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        names: dict[str, str] = {}
        with self._db.read() as session:
            for row in session.scalars(statement.order_by(EndpointRequestsRow.hour)).yield_per(1000):
                day = datetime.fromtimestamp(row.hour, UTC).date().isoformat()
                names[row.endpoint_id] = row.endpoint_name
                sums[day, row.endpoint_id].update({name: getattr(row, name) for name in _NUMBERS})
        lines = [
            RequestLine(
                endpoint=names[endpoint_id],
                endpoint_id=endpoint_id,
                day=day,
                requests=numbers["requests"],
                errors=numbers["errors"],
                samples=numbers["samples"],
                seconds=numbers["micros"] / 1e6,
            )
            for (day, endpoint_id), numbers in sums.items()
            if numbers["requests"]
        ]
        lines.sort(key=lambda line: (line.endpoint, line.endpoint_id))
        lines.sort(key=lambda line: line.day, reverse=True)
        return RequestUsage(
            requests=sum(line.requests for line in lines),
            seconds=sum(numbers["micros"] for numbers in sums.values()) / 1e6,
            lines=lines,
        )


def keep_name(db: Database, session: Session, row: EndpointRow, now: datetime) -> None:
    """Before an endpoint is deleted: what its workers have still to tell is counted for it afterwards."""
    revision = session.scalar(select(func.max(RevisionRow.number)).where(RevisionRow.endpoint_id == row.id))
    session.execute(
        insert_into(db, EndpointRequestsRow)
        .values(
            endpoint_id=row.id,
            revision=revision or 0,
            hour=epoch_ms(now) // 1000 // _HOUR_S * _HOUR_S,
            project_id=row.project_id,
            endpoint_name=row.name,
            **dict.fromkeys(_NUMBERS, 0),
        )
        .on_conflict_do_nothing()
    )


class _Subjects:
    """Which endpoint a name meant at a time: names are used again after an endpoint was deleted."""

    def __init__(self, session: Session) -> None:
        self._session = session
        statement = select(EndpointRow, ProjectRow.name).join(
            ProjectRow, ProjectRow.id == EndpointRow.project_id
        )
        self._living = {f"{project}/{row.name}": row for row, project in session.execute(statement)}
        self._gone: dict[str, _Subject | None] = {}

    def find(self, line: ServedUsage) -> _Subject | None:
        """Null for one of a project that has another name by now, or is gone."""
        row = self._living.get(line.endpoint)
        known = _Subject(row.id, row.project_id, row.name) if row is not None else None
        if row is not None and epoch_ms(row.created_at) <= line.time_ms + _SLACK_MS:
            return known
        if line.endpoint not in self._gone:
            self._gone[line.endpoint] = self._deleted(line.endpoint, row)
        return self._gone[line.endpoint] or known

    def _deleted(self, key: str, other: EndpointRow | None) -> _Subject | None:
        """The latest that was deleted: it left its name in the table of requests (:func:`keep_name`)."""
        project, _, name = key.partition("/")
        statement = (
            select(EndpointRequestsRow.endpoint_id, EndpointRequestsRow.project_id)
            .join(ProjectRow, ProjectRow.id == EndpointRequestsRow.project_id)
            .where(
                ProjectRow.name == project,
                EndpointRequestsRow.endpoint_name == name,
                EndpointRequestsRow.endpoint_id != (other.id if other is not None else ""),
            )
            .order_by(EndpointRequestsRow.endpoint_id.desc())
            .limit(1)
        )
        found = self._session.execute(statement).one_or_none()
        return _Subject(found.endpoint_id, found.project_id, name) if found else None


def _whole_lines(path: Path, start: int) -> bytes:
    """What is to be booked next. A line that a killed worker did not end is none."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(_AT_ONCE)
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]


def _lines(name: str, data: bytes) -> Iterable[ServedUsage]:
    for line in data.splitlines():
        try:
            yield ServedUsage.model_validate_json(line)
        except ValidationError:
            _log.warning("%s has a line that is none of the model server's: %r", name, line[:200])


def _lives(name: str) -> bool:
    """Whether the worker that writes ``<pid>-<start>`` may be there: a model server has that number."""
    pid = name.partition("-")[0]
    try:
        return b"nacre.modelserver" in Path(f"/proc/{int(pid)}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
