"""Endpoints: which model versions each URL should serve. What really answers is the model server's word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.endpoints import find_endpoint
from nacre.db.queries.models import find_version
from nacre.db.queries.pages import newest_first
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.domain.identity import Caller
from nacre.domain.models import check_name
from nacre.domain.traffic import Shares, checked, read, scaled, stored, taken, without
from nacre.errors import Conflict, NotFound
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.endpoints import (
    Endpoint,
    EndpointDeploy,
    EndpointSettings,
    EndpointState,
    EndpointUpdate,
    RevisionChoice,
    Scaling,
    TrafficSet,
)
from nacre.schema.launch import FileEntry
from nacre.schema.serving import ServingStatus, Signature
from nacre.services.blobs import BlobLedger
from nacre.services.endpoint_bills import EndpointBills
from nacre.services.endpoint_deploy import as_stored, choose_runtime, merged
from nacre.services.endpoint_routes import EndpointRoutes
from nacre.services.endpoint_samples import keep_sample
from nacre.services.endpoint_settling import EndpointSettling
from nacre.services.endpoint_traffic import FAILED, EndpointTraffic, answering, wanted
from nacre.services.endpoint_usage import keep_name
from nacre.services.endpoint_wire import EndpointWire, Replicas
from nacre.services.events import Events
from nacre.services.prices import Prices
from nacre.services.signals import Signals
from nacre.services.usage import UsageLedger

_Wish = tuple[Shares, dict[int, int], bool]
"""Shares, percents of copies, and whether it is a roll-back."""
TYPE = "cpu.small"
"""The instance type of an endpoint that asks for none."""


class Endpoints:
    """The only writer of endpoints and revisions, with ``settling``, but for the number of replicas.

    ``observed`` gives the model server's latest status, or null when it cannot tell; ``base_url`` is the
    inference listener's; ``serving`` the model server's folder.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        ledger: BlobLedger,
        prices: Prices,
        usage: UsageLedger,
        events: Events,
        replicas: Replicas,
        blobs_root: Path,
        serving: Path,
        base_url: str,
        observed: Callable[[], ServingStatus | None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._ledger = ledger
        self._prices = prices
        self._events = events
        self._serving = serving
        self._observed = observed
        self._bills = EndpointBills(clock, prices, usage)
        self._traffic = EndpointTraffic(clock, self._bills, replicas.ready_sockets)
        self.settling = EndpointSettling(
            db, clock, signals, events, EndpointRoutes(blobs_root, serving, replicas), self._traffic
        )
        self._wire = EndpointWire(prices, usage, replicas, base_url)

    def deploy(self, caller: Caller, name: str, request: EndpointDeploy) -> Endpoint:
        """Make the endpoint, or give it a new revision; what answers goes on until the new one is ready.

        Raises:
            InvalidSpec: a name that is none, or an instance type or scaling that it cannot have.
            NotFound: no such model version or instance type.
            Conflict: the version cannot run so, or not yet.
        """
        check_name(name)
        if request.type is not None:
            self._prices.type(request.type)
        files = self._prepare(caller, request)
        status = self._observed()
        with self._db.write() as session:
            _, version = find_version(session, caller.project_id, request.model, request.version, lock=True)
            row = self._row_for_update(session, caller, name)
            scaling = merged(Scaling, row.scaling, request.scaling)
            settings = merged(EndpointSettings, row.settings, request.settings)
            shape = self._prices.type(request.type or row.type or TYPE)
            runtime = choose_runtime(request, scaling, shape, version, files)
            row.scaling, row.settings = as_stored(scaling, settings)
            self._bills.shape(session, row, shape)
            row.revision += 1
            shadow = request.shadow
            traffic = request.traffic if request.traffic is not None else (0 if shadow else 100)
            shares = taken(self._base(session, row), row.revision, traffic)
            session.add(
                RevisionRow(
                    endpoint_id=row.id,
                    number=row.revision,
                    version_id=version.id,
                    runtime=runtime,
                    type=shape.name,
                    traffic=0,
                    shadow=0,
                    served=0,
                    wanted=0,
                    state="",
                    created_at=self._clock.now(),
                )
            )
            session.flush()
            shadows = {row.revision: shadow} if shadow else {}
            if traffic < 100:
                shadows = self._shadows(session, row) | shadows
            self._traffic.want(session, row, shares, shadows, back=False)
            detail = {"model": request.model, "version": version.number, "traffic": traffic}
            answer = self._done(session, caller, "endpoints.deploy", row, status, **detail)
        self._signals.notify("endpoints")
        return answer

    def _prepare(self, caller: Caller, request: EndpointDeploy) -> Sequence[FileEntry]:
        """The version's files; with its sample where the model server finds it."""
        with self._db.read() as session:
            _, version = find_version(session, caller.project_id, request.model, request.version)
        files = self._ledger.read_manifest(version.manifest).files
        signature = Signature.model_validate(version.signature) if version.signature else None
        keep_sample(self._ledger, self._serving, version.id, files, signature)
        return files

    def _base(self, session: Session, row: EndpointRow) -> Shares:
        """The shares that a new revision takes its own from: what is wanted, of those that may answer."""
        revisions = self._traffic.of(session, row)
        failed = [one.number for one in revisions if one.state == FAILED]
        return without(wanted(revisions), *failed) or without(answering(revisions), *failed)

    def _shadows(self, session: Session, row: EndpointRow) -> dict[int, int]:
        return {one.number: one.shadow for one in self._traffic.of(session, row) if one.shadow}

    def _row_for_update(self, session: Session, caller: Caller, name: str) -> EndpointRow:
        row = {
            "id": new_id("end"),
            "project_id": caller.project_id,
            "name": name,
            "user_id": caller.user_id,
            "state": EndpointState.STARTING,
            "revision": 0,
            "type": "",
            "price_per_hour": 0,
            "allocation_id": "",
            "scaling": {},
            "settings": {},
            "created_at": self._clock.now(),
        }
        session.execute(insert_into(self._db, EndpointRow).on_conflict_do_nothing(), [row])
        return find_endpoint(session, caller.project_id, name, lock=True)

    def update(self, caller: Caller, name: str, request: EndpointUpdate) -> Endpoint:
        """Change how it scales and is called; the fields that the request names, and no others.

        Raises:
            NotFound: there is no such endpoint.
            InvalidSpec: bounds that exclude each other.
        """
        status = self._observed()
        with self._db.write() as session:
            row = find_endpoint(session, caller.project_id, name, lock=True)
            scaling = merged(Scaling, row.scaling, request.scaling)
            settings = merged(EndpointSettings, row.settings, request.settings)
            row.scaling, row.settings = as_stored(scaling, settings)
            detail = request.model_dump(mode="json", exclude_unset=True)
            answer = self._done(session, caller, "endpoints.update", row, status, **detail)
        self._signals.notify("endpoints")
        return answer

    def set_traffic(self, caller: Caller, name: str, request: TrafficSet) -> Endpoint:
        """Share the requests; revisions that do not run are started first.

        Raises:
            NotFound: there is no such endpoint, or revision.
            InvalidSpec: the shares do not add up to 100.
        """
        shares = checked(request.traffic)
        shadows = {number: share for number, share in request.shadow.items() if share}
        return self._share(caller, name, "endpoints.set_traffic", lambda *_: (shares, shadows, False))

    def promote(self, caller: Caller, name: str, request: RevisionChoice) -> Endpoint:
        """Give a revision (the newest) all of the requests.

        Raises:
            NotFound: there is no such endpoint, or revision.
            Conflict: the newest has failed; name one.
        """

        def chosen(row: EndpointRow, revisions: Sequence[RevisionRow]) -> _Wish:
            if request.revision is not None:
                return {request.revision: 100}, {}, False
            if revisions[-1].state == FAILED:
                raise Conflict(
                    f"revision {revisions[-1].number} has failed: {revisions[-1].message}. "
                    "Promote another one with --revision"
                )
            return {revisions[-1].number: 100}, {}, False

        return self._share(caller, name, "endpoints.promote", chosen)

    def rollback(self, caller: Caller, name: str, request: RevisionChoice) -> Endpoint:
        """Go back to a revision, or one step: end a change that is under way, or the copies to a shadow, or
        restore the shares that were before the latest change. What answers goes on until they can.

        Raises:
            NotFound: there is no such endpoint, or revision.
            Conflict: there is nothing to go back to.
        """

        def chosen(row: EndpointRow, revisions: Sequence[RevisionRow]) -> _Wish:
            if request.revision is not None:
                return {request.revision: 100}, {}, True
            now = answering(revisions)
            if (now and wanted(revisions) != now) or any(one.shadow for one in revisions):
                return now or wanted(revisions), {}, True
            return _before(row.name, revisions), {}, True

        return self._share(caller, name, "endpoints.rollback", chosen)

    def _share(
        self,
        caller: Caller,
        name: str,
        verb: str,
        choose: Callable[[EndpointRow, Sequence[RevisionRow]], _Wish],
    ) -> Endpoint:
        status = self._observed()
        with self._db.write() as session:
            row = find_endpoint(session, caller.project_id, name, lock=True)
            revisions = self._traffic.of(session, row)
            shares, shadows, back = choose(row, revisions)
            known = {one.number for one in revisions}
            for number in (*shares, *shadows):
                if number not in known:
                    raise NotFound(
                        f"endpoint {name} has no revision {number}: see 'nacre endpoint show {name}'"
                    )
            self._traffic.want(session, row, shares, shadows, back=back)
            detail = {"traffic": stored(shares), "shadow": stored(shadows)}
            answer = self._done(session, caller, verb, row, status, name=name, **detail)
        self._signals.notify("endpoints")
        return answer

    def delete(self, caller: Caller, name: str) -> None:
        """Stop serving and end the usage record.

        Raises:
            NotFound: there is no such endpoint.
        """
        with self._db.write() as session:
            row = find_endpoint(session, caller.project_id, name, lock=True)
            self._bills.end(session, row)
            keep_name(self._db, session, row, self._clock.now())
            self._events.add(
                session, caller.project_id, caller.user_id, "endpoints.delete", row.id, name=name
            )
            session.execute(delete(RevisionRow).where(RevisionRow.endpoint_id == row.id))
            session.delete(row)
        self._signals.notify("endpoints")

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Endpoint]:
        """The project's endpoints, newest first."""
        statement = select(EndpointRow).where(EndpointRow.project_id == caller.project_id)
        status = self._observed()
        with self._db.read() as session:
            return newest_first(
                session,
                statement,
                EndpointRow.id,
                lambda row: self._wire.show(session, row[0], status),
                cursor=cursor,
                limit=limit,
            )

    def get(self, caller: Caller, name: str) -> Endpoint:
        """One endpoint, with what the model server counts of it."""
        status = self._observed()
        with self._db.read() as session:
            return self._wire.show(session, find_endpoint(session, caller.project_id, name), status)

    def _done(
        self,
        session: Session,
        caller: Caller,
        verb: str,
        row: EndpointRow,
        status: ServingStatus | None,
        **detail: Any,
    ) -> Endpoint:
        self._events.add(session, caller.project_id, caller.user_id, verb, row.id, **detail)
        session.flush()
        return self._wire.show(session, row, status)


def _before(name: str, revisions: Sequence[RevisionRow]) -> Shares:
    """The shares before the latest change, which is forgotten.

    Raises:
        Conflict: there are none that can be had again.
    """
    changed = [one for one in revisions if one.served and one.before]
    if not changed:
        raise Conflict(
            f"endpoint {name} has nothing to go back to: name a revision with --to, "
            f"see 'nacre endpoint show {name}'"
        )
    latest = max(changed, key=lambda one: (one.served_at or one.created_at, one.number))
    usable = {one.number for one in revisions if one.state != FAILED}
    before = read(latest.before)
    shares = scaled({number: share for number, share in before.items() if number in usable})
    if not shares:
        raise Conflict(f"endpoint {name} has nothing to go back to: the revisions before have failed")
    latest.before = stored(without(before, latest.number))
    return shares
