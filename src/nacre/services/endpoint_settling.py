"""Endpoints, seen from the loop that tells the model server: what it shall serve, and what came of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import String, cast, or_, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.traffic import Counts, Shares, Verdict, read
from nacre.schema.endpoints import EndpointSettings, EndpointState, RollbackRule
from nacre.schema.serving import Routes, ServedEndpoint, ServedRevision, ServingStatus
from nacre.services.endpoint_routes import EndpointRoutes
from nacre.services.endpoint_traffic import HELD_UP, LIVE, READY, EndpointTraffic
from nacre.services.events import Events
from nacre.services.signals import Signals


@dataclass(frozen=True)
class Trial:
    """A revision that is younger than those that answered before it, which it is compared with.

    ``key``: ``project/endpoint``. ``since``: when it got its share. ``before``: the shares until then;
    ``before_counts``: what was kept of what these counted. ``beside``: the others that answer now.
    """

    endpoint_id: str
    key: str
    number: int
    since: datetime
    before: Shares
    before_counts: Counts | None
    beside: Shares
    rule: RollbackRule


class EndpointSettling:
    """Part of endpoints."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        signals: Signals,
        events: Events,
        routes: EndpointRoutes,
        traffic: EndpointTraffic,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._events = events
        self._routes = routes
        self._traffic = traffic
        self._latest: tuple[object, Routes] | None = None

    def any(self) -> bool:
        """Whether there is an endpoint at all."""
        with self._db.read() as session:
            return session.scalar(select(EndpointRow.id).limit(1)) is not None

    def wanted_routes(self) -> Routes:
        """What the model server should serve now; of generation 0."""
        with self._db.read() as session:
            mark = self._routes.mark(session)
            if self._latest is None or self._latest[0] != mark:
                self._latest = mark, self._routes.wanted(session)
            return self._latest[1]

    def settle(self, applied: Routes, status: ServingStatus) -> bool:
        """Take over what the model server says after it was told ``applied``; whether anything changed.

        What was deployed or deleted meanwhile is left for the next time.
        """
        with self._db.read() as session:
            unsettled = self._unsettled(session, status)
        moved = False
        for endpoint_id, key in unsettled:
            served = applied.endpoints.get(key)
            if served is None:
                continue
            with self._db.write() as session:
                row = session.get(EndpointRow, endpoint_id, with_for_update=True)
                if row is None or not _same(served, self._routes.wanted(session, endpoint_id), key):
                    continue
                moved |= self._traffic.settle(session, row, served, status.endpoints.get(key))
        if moved:
            self._signals.notify("serving")
        return moved

    def _unsettled(self, session: Session, status: ServingStatus) -> list[tuple[str, str]]:
        """Endpoints (id and key) of which something is to be done, or to be said."""
        statement = select(EndpointRow.id, EndpointRow.state, ProjectRow.name, EndpointRow.name).join(
            ProjectRow, ProjectRow.id == EndpointRow.project_id
        )
        keys, found = {}, set()
        for endpoint_id, state, project, name in session.execute(statement):
            keys[endpoint_id] = f"{project}/{name}"
            if state != EndpointState.READY:
                found.add(endpoint_id)
        failed = {
            (key, one.revision)
            for key, told in status.endpoints.items()
            for one in told.revisions
            if one.state == "failed"
        }
        shares = (RevisionRow.traffic, RevisionRow.shadow, RevisionRow.served)
        running = or_(*(share > 0 for share in shares), RevisionRow.state.in_(LIVE))
        for one in session.scalars(select(RevisionRow).where(running)):
            wanted = one.traffic or one.shadow
            calm = wanted and one.state == READY and one.served == one.traffic
            if not calm or (keys.get(one.endpoint_id), one.number) in failed:
                found.add(one.endpoint_id)
        return [(endpoint_id, keys[endpoint_id]) for endpoint_id in keys if endpoint_id in found]

    def hold_up(self, message: str) -> None:
        """Say of every endpoint that waits for the model server why it waits."""
        waiting = (EndpointState.STARTING, EndpointState.UPDATING)
        with self._db.write() as session:
            for row in session.scalars(select(EndpointRow).where(EndpointRow.state.in_(waiting))):
                row.reason, row.message = HELD_UP, message

    # -- automatic roll-back ------------------------------------------------------------------------------

    def trials(self) -> list[Trial]:
        """The revisions that would be taken back, were they worse than others."""
        answers = (RevisionRow.served > 0, RevisionRow.state == READY)
        statement = (
            select(RevisionRow, EndpointRow, ProjectRow.name)
            .join(EndpointRow, EndpointRow.id == RevisionRow.endpoint_id)
            .join(ProjectRow, ProjectRow.id == EndpointRow.project_id)
            .where(*answers, cast(RevisionRow.before, String) != "null")
        )
        beside: defaultdict[str, Shares] = defaultdict(dict)
        with self._db.read() as session:
            found = session.execute(statement).all()
            mine = RevisionRow.endpoint_id.in_({endpoint.id for _, endpoint, _ in found})
            for other in session.scalars(select(RevisionRow).where(*answers, mine)):
                beside[other.endpoint_id][other.number] = other.served
        trials = []
        for revision, endpoint, project in found:
            before, number = read(revision.before), revision.number
            others = [one for one in before if one != number]
            rule = EndpointSettings.model_validate(endpoint.settings).rollback
            if not others or max(others) > number or revision.served_at is None or not rule.enabled:
                continue
            shares = {one: share for one, share in beside[endpoint.id].items() if one != number}
            key = f"{project}/{endpoint.name}"
            kept = _counts(revision.before_counts)
            trials.append(Trial(endpoint.id, key, number, revision.served_at, before, kept, shares, rule))
        return trials

    def keep(self, trial: Trial, counts: Counts) -> None:
        """Remember what those before a revision counted, for as long as it is on trial."""
        with self._db.write() as session:
            revision = session.get(RevisionRow, (trial.endpoint_id, trial.number))
            if revision is not None and revision.served_at == trial.since:
                revision.before_counts = asdict(counts)

    def take_back(self, trial: Trial, verdict: Verdict) -> bool:
        """Let the others answer in place of a revision; false when it is gone, or there are none."""
        with self._db.write() as session:
            row = session.get(EndpointRow, trial.endpoint_id, with_for_update=True)
            revision = session.get(RevisionRow, (trial.endpoint_id, trial.number))
            if row is None or revision is None or revision.served_at != trial.since:
                return False
            if not self._traffic.take_back(session, row, trial.number, verdict.reason, verdict.message):
                return False
            detail = {"name": row.name, "revision": trial.number, "reason": verdict.reason}
            self._events.add(
                session,
                row.project_id,
                None,
                "endpoints.rollback",
                row.id,
                message=verdict.message,
                **detail,
            )
        self._signals.notify("endpoints", "serving")
        return True


def _counts(stored: dict[str, Any] | None) -> Counts | None:
    return Counts(**stored | {"buckets": tuple(stored["buckets"])}) if stored else None


def _same(served: ServedEndpoint, wanted: Routes, key: str) -> bool:
    """Whether the endpoint is still that of which was told: its revisions are the same models. Shares and
    replicas may be others by now, and revisions may have come."""
    now = {one.revision: one for one in wanted.endpoints[key].revisions} if key in wanted.endpoints else {}
    return all(
        one.revision not in now or _model(one) == _model(now[one.revision]) for one in served.revisions
    )


def _model(one: ServedRevision) -> tuple[str, int, str | None, str]:
    return one.model, one.model_version, one.digest, one.runtime
