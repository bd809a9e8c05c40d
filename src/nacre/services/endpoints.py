"""Endpoints: which model version each URL should serve. What really answers is the model server's word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.models import find_version
from nacre.db.queries.pages import newest_first
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.domain.models import check_name
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.ids import new_id
from nacre.ports.blobs import blob_path
from nacre.schema.base import Page
from nacre.schema.endpoints import Endpoint, EndpointDeploy, EndpointState, Revision
from nacre.schema.models import ConversionState
from nacre.schema.resources import InstanceType
from nacre.schema.serving import Routes, ServedRevision, ServedState, ServingStatus, Signature, TokenGrant
from nacre.services.events import Events
from nacre.services.prices import Prices
from nacre.services.signals import Signals
from nacre.services.usage import UsageLedger

STARTING, READY, FAILED, RETIRED = "starting", "ready", "failed", "retired"
"""States of a revision. ``ready`` is the one that answers, also while a newer one loads or has failed."""


class Endpoints:
    """The only writer of endpoints and revisions.

    ``observed`` gives the model server's latest status, or null when it cannot tell; ``base_url`` is the
    inference listener's; ``blobs_root`` the folder where the model server reads ONNX files.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        signals: Signals,
        blobs_root: Path,
        prices: Prices,
        usage: UsageLedger,
        events: Events,
        base_url: str,
        observed: Callable[[], ServingStatus | None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._blobs_root = blobs_root
        self._prices = prices
        self._usage = usage
        self._events = events
        self._base_url = base_url
        self._observed = observed

    def deploy(self, caller: Caller, name: str, request: EndpointDeploy) -> Endpoint:
        """Make the endpoint, or give it a new revision; the old one answers until the new one is ready.

        Raises:
            InvalidSpec: a name that is none, or an instance type that endpoints cannot use.
            NotFound: no such model version or instance type.
            Conflict: the version is not converted.
        """
        check_name(name)
        shape = self._prices.type(request.type)
        if shape.gpu:
            raise InvalidSpec(f"endpoints run on CPUs, and {shape.name} has a GPU: see 'nacre offer'")
        status = self._observed()
        with self._db.write() as session:
            _, version = find_version(session, caller.project_id, request.model, request.version, lock=True)
            if version.conversion == ConversionState.NONE:
                raise Conflict(f"{request.model}/{version.number} cannot be deployed: {version.message}")
            if version.conversion != ConversionState.READY:
                raise Conflict(
                    f"{request.model}/{version.number} is not ready to serve, its conversion is "
                    f"{version.conversion}: see 'nacre model show {request.model}/{version.number}'"
                )
            row = self._row_for_update(session, caller, name)
            self._allocate(session, row, shape)
            row.revision += 1
            row.reason = row.message = None
            serving = self._answering(session, row) is not None
            row.state = EndpointState.UPDATING if serving else EndpointState.STARTING
            session.add(
                RevisionRow(
                    endpoint_id=row.id,
                    number=row.revision,
                    version_id=version.id,
                    state=STARTING,
                    created_at=self._clock.now(),
                )
            )
            self._events.add(
                session,
                caller.project_id,
                caller.user_id,
                "endpoints.deploy",
                row.id,
                model=request.model,
                version=version.number,
            )
            session.flush()
            answer = self._wire(session, row, status)
        self._signals.notify("endpoints")
        return answer

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
            "created_at": self._clock.now(),
        }
        session.execute(insert_into(self._db, EndpointRow).on_conflict_do_nothing(), [row])
        return self._named(session, caller.project_id, name, lock=True)

    def _allocate(self, session: Session, row: EndpointRow, shape: InstanceType) -> None:
        """Open the usage record of this shape, once; another shape closes it and opens its own."""
        if row.allocation_id and (row.type, row.price_per_hour) == (shape.name, shape.price_per_hour):
            return
        now = self._clock.now()
        if row.allocation_id:
            self._usage.close(session, row.allocation_id, now)
        row.allocation_id = new_id("alc")
        row.type, row.price_per_hour = shape.name, shape.price_per_hour
        self._usage.open(
            session,
            allocation_id=row.allocation_id,
            project_id=row.project_id,
            user_id=row.user_id,
            kind="endpoint",
            subject_id=row.id,
            subject_name=row.name,
            cpu=shape.cpu,
            memory=shape.memory,
            gpu=shape.gpu,
            price_per_hour=shape.price_per_hour,
            started_at=now,
        )

    def delete(self, caller: Caller, name: str) -> None:
        """Stop serving and end the usage record.

        Raises:
            NotFound: there is no such endpoint.
        """
        with self._db.write() as session:
            row = self._named(session, caller.project_id, name, lock=True)
            self._usage.close(session, row.allocation_id, self._clock.now())
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
                lambda row: self._wire(session, row[0], status),
                cursor=cursor,
                limit=limit,
            )

    def get(self, caller: Caller, name: str) -> Endpoint:
        """One endpoint, with what the model server counts of it."""
        status = self._observed()
        with self._db.read() as session:
            return self._wire(session, self._named(session, caller.project_id, name), status)

    def routes(self, generation: int, tokens: dict[str, TokenGrant]) -> Routes:
        """What the model server should serve now, and to whom."""
        with self._db.read() as session:
            return Routes(generation=generation, endpoints=self._wanted(session), tokens=tokens)

    def _wanted(self, session: Session) -> dict[str, ServedRevision]:
        """The revision that each endpoint should serve: the newest, or the one that still answers when
        the newest could not be loaded."""
        statement = (
            select(EndpointRow, RevisionRow, ModelVersionRow, ModelRow.name, ProjectRow.name)
            .join(RevisionRow, RevisionRow.endpoint_id == EndpointRow.id)
            .join(ModelVersionRow, ModelVersionRow.id == RevisionRow.version_id)
            .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
            .join(ProjectRow, ProjectRow.id == EndpointRow.project_id)
            .where(or_(RevisionRow.number == EndpointRow.revision, RevisionRow.state == READY))
            .order_by(RevisionRow.number)
        )
        found: dict[str, ServedRevision] = {}
        for endpoint, revision, version, model, project in session.execute(statement):
            key = f"{project}/{endpoint.name}"
            if revision.state == FAILED and key in found:
                continue
            assert version.onnx_digest is not None  # only converted versions are deployed
            found[key] = ServedRevision(
                revision=revision.number,
                model=model,
                model_version=version.number,
                path=str(blob_path(self._blobs_root, version.onnx_digest)),
                digest=version.onnx_digest,
                signature=Signature.model_validate(version.signature),
            )
        return dict(sorted(found.items()))

    def settle(self, applied: Routes, status: ServingStatus) -> None:
        """Take over what the model server says of the routes that were applied.

        What was deployed or deleted meanwhile is left for the next time.
        """
        moved = False
        with self._db.write() as session:
            wanted = self._wanted(session)
            statement = select(EndpointRow, ProjectRow.name).join(
                ProjectRow, ProjectRow.id == EndpointRow.project_id
            )
            for row, project in session.execute(statement.with_for_update(of=EndpointRow)).all():
                key = f"{project}/{row.name}"
                told, served = status.endpoints.get(key), applied.endpoints.get(key)
                if told is None or served is None or served != wanted.get(key):
                    continue
                if served.revision == row.revision:
                    moved |= self._settle(session, row, told)
        if moved:
            self._signals.notify("serving")

    def _settle(self, session: Session, row: EndpointRow, told: ServedState) -> bool:
        before = (row.state, row.message)
        if told.state == "ready":
            row.state, row.reason, row.message = EndpointState.READY, None, None
            self._settle_revisions(session, row, row.revision, None)
        else:
            row.state, row.reason, row.message = EndpointState.FAILED, "load_failed", told.message
            answering = None if told.revision == row.revision else told.revision
            self._settle_revisions(session, row, answering, told.message or "it could not be loaded")
        return (row.state, row.message) != before

    def _settle_revisions(
        self, session: Session, row: EndpointRow, answering: int | None, failure: str | None
    ) -> None:
        """``answering``: the one that answers in place of the newest; null when nobody can tell."""
        for revision in session.scalars(select(RevisionRow).where(RevisionRow.endpoint_id == row.id)):
            if revision.number == row.revision:
                revision.state = READY if failure is None else FAILED
                revision.message = failure
            elif failure is None or (answering is not None and revision.number != answering):
                revision.state = FAILED if revision.state == FAILED else RETIRED
            elif revision.number == answering:
                revision.state = READY

    def hold_up(self, message: str) -> None:
        """Say of every endpoint that waits for the model server why it waits."""
        waiting = (EndpointState.STARTING, EndpointState.UPDATING)
        with self._db.write() as session:
            for row in session.scalars(select(EndpointRow).where(EndpointRow.state.in_(waiting))):
                row.reason, row.message = "model_server_unavailable", message

    def _answering(self, session: Session, row: EndpointRow) -> int | None:
        """The revision that the model server has been told to answer with, and has loaded."""
        mine = (RevisionRow.endpoint_id == row.id, RevisionRow.state == READY)
        return session.scalars(select(RevisionRow.number).where(*mine)).first()

    def _named(self, session: Session, project_id: str, name: str, *, lock: bool = False) -> EndpointRow:
        statement = select(EndpointRow).where(
            EndpointRow.project_id == project_id, EndpointRow.name == name
        )
        row = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
        if row is None:
            raise NotFound(f"there is no endpoint {name!r} in this project: see 'nacre endpoint ls'")
        return row

    def _wire(self, session: Session, row: EndpointRow, status: ServingStatus | None) -> Endpoint:
        project = session.get_one(ProjectRow, row.project_id).name
        user = session.get(UserRow, row.user_id)
        revisions = session.execute(
            select(RevisionRow, ModelVersionRow, ModelRow.name)
            .join(ModelVersionRow, ModelVersionRow.id == RevisionRow.version_id)
            .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
            .where(RevisionRow.endpoint_id == row.id)
            .order_by(RevisionRow.number.desc())
        ).all()
        _, wanted, model = revisions[0]
        told = status.endpoints.get(f"{project}/{row.name}") if status else None
        return Endpoint(
            id=row.id,
            created_at=row.created_at,
            project=project,
            name=row.name,
            user=user.name if user else row.user_id,
            state=EndpointState(row.state),
            reason=row.reason,
            message=row.message,
            url=f"{self._base_url}/endpoints/{project}/{row.name}",
            model=model,
            version=wanted.number,
            signature=Signature.model_validate(wanted.signature) if wanted.signature else None,
            revisions=[
                Revision(
                    number=revision.number,
                    model=name,
                    version=version.number,
                    state=revision.state,
                    message=revision.message,
                    created_at=revision.created_at,
                )
                for revision, version, name in revisions
            ],
            type=row.type,
            price_per_hour=row.price_per_hour,
            cost=self._usage.cost_of(session, [row.id]).get(row.id, 0),
            currency=self._prices.currency,
            requests=told.requests if told else None,
            errors=told.errors if told else None,
            latency_p50_ms=told.latency_p50_ms if told else None,
            latency_p99_ms=told.latency_p99_ms if told else None,
        )
