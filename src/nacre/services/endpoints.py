"""Endpoints: which model version each URL should serve. What really answers is the model server's word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.models import find_version
from nacre.db.queries.pages import newest_first
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.errors import Conflict, NotFound
from nacre.ids import new_id
from nacre.ports.blobs import blob_path
from nacre.schema.base import Page
from nacre.schema.endpoints import Endpoint, EndpointDeploy, EndpointState, Revision
from nacre.schema.models import ConversionState
from nacre.schema.serving import Routes, ServedRevision, ServingStatus, Signature, TokenGrant
from nacre.services.events import Events
from nacre.services.prices import Prices
from nacre.services.signals import Signals
from nacre.services.usage import UsageLedger


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
            NotFound: no such model version or instance type.
            Conflict: the version is not converted.
        """
        price = self._prices.type(request.type)
        with self._db.write() as session:
            _, version = find_version(session, caller.project_id, request.model, request.version)
            if version.conversion != ConversionState.READY:
                raise Conflict(
                    f"{request.model}/{version.number} is not ready to serve, its conversion is "
                    f"{version.conversion}: see 'nacre model show {request.model}/{version.number}'"
                )
            row = self._find(session, caller.project_id, name)
            now = self._clock.now()
            if row is None:
                row = EndpointRow(
                    id=new_id("end"),
                    project_id=caller.project_id,
                    name=name,
                    user_id=caller.user_id,
                    state=EndpointState.STARTING,
                    revision=0,
                    type=price.name,
                    price_per_hour=price.price_per_hour,
                    allocation_id="",
                    created_at=now,
                )
                session.add(row)
                session.flush()
            elif row.state != EndpointState.STARTING:
                row.state = EndpointState.UPDATING
            self._allocate(session, row, request.type)
            row.revision += 1
            row.reason = row.message = None
            session.add(
                RevisionRow(
                    endpoint_id=row.id,
                    number=row.revision,
                    version_id=version.id,
                    state="starting",
                    created_at=now,
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
            answer = self._wire(session, row)
        self._signals.notify("endpoints")
        return answer

    def _allocate(self, session: Session, row: EndpointRow, type_name: str) -> None:
        """Open the usage record of this shape, once; another shape closes it and opens its own."""
        shape = self._prices.type(type_name)
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
            row = self._named(session, caller.project_id, name)
            self._usage.close(session, row.allocation_id, self._clock.now())
            self._events.add(
                session, caller.project_id, caller.user_id, "endpoints.delete", row.id, name=name
            )
            for revision in session.execute(
                select(RevisionRow).where(RevisionRow.endpoint_id == row.id)
            ).scalars():
                session.delete(revision)
            session.flush()
            session.delete(row)
        self._signals.notify("endpoints")

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Endpoint]:
        """The project's endpoints, newest first."""
        statement = select(EndpointRow).where(EndpointRow.project_id == caller.project_id)
        with self._db.read() as session:
            return newest_first(
                session,
                statement,
                EndpointRow.id,
                lambda row: self._wire(session, row[0]),
                cursor=cursor,
                limit=limit,
            )

    def get(self, caller: Caller, name: str) -> Endpoint:
        """One endpoint, with what the model server counts of it."""
        with self._db.read() as session:
            return self._wire(session, self._named(session, caller.project_id, name))

    def routes(self, generation: int, tokens: dict[str, TokenGrant]) -> Routes:
        """What the model server should serve now, and to whom."""
        statement = (
            select(EndpointRow, ModelVersionRow, ModelRow.name, ProjectRow.name)
            .join(
                RevisionRow,
                (RevisionRow.endpoint_id == EndpointRow.id) & (RevisionRow.number == EndpointRow.revision),
            )
            .join(ModelVersionRow, ModelVersionRow.id == RevisionRow.version_id)
            .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
            .join(ProjectRow, ProjectRow.id == EndpointRow.project_id)
        )
        found: dict[str, ServedRevision] = {}
        with self._db.read() as session:
            for endpoint, version, model, project in session.execute(statement):
                assert version.onnx_digest is not None  # only converted versions are deployed
                found[f"{project}/{endpoint.name}"] = ServedRevision(
                    revision=endpoint.revision,
                    model=model,
                    model_version=version.number,
                    path=str(blob_path(self._blobs_root, version.onnx_digest)),
                    digest=version.onnx_digest,
                    signature=Signature.model_validate(version.signature),
                )
        return Routes(generation=generation, endpoints=found, tokens=tokens)

    def settle(self, status: ServingStatus) -> None:
        """Take over what the model server says of each endpoint's wanted revision."""
        moved: list[str] = []
        with self._db.write() as session:
            statement = select(EndpointRow, ProjectRow.name).join(
                ProjectRow, ProjectRow.id == EndpointRow.project_id
            )
            for row, project in session.execute(statement).all():
                told = status.endpoints.get(f"{project}/{row.name}")
                if told is None:
                    continue
                if told.revision == row.revision:
                    state, reason, message = EndpointState.READY, None, None
                elif told.state == "failed":
                    state, reason, message = EndpointState.FAILED, "load_failed", told.message
                else:
                    continue
                if (row.state, row.message) != (state, message):
                    row.state, row.reason, row.message = state, reason, message
                    moved.append(row.id)
                self._settle_revisions(session, row, told.revision, message)
        if moved:
            self._signals.notify("serving")

    def _settle_revisions(
        self, session: Session, row: EndpointRow, answering: int | None, failure: str | None
    ) -> None:
        revisions = session.execute(select(RevisionRow).where(RevisionRow.endpoint_id == row.id)).scalars()
        for revision in revisions:
            if revision.number == answering:
                revision.state = "ready"
            elif revision.number == row.revision and failure is not None:
                revision.state, revision.message = "failed", failure
            elif revision.number < row.revision and revision.state != "failed":
                revision.state = "retired"

    def _find(self, session: Session, project_id: str, name: str) -> EndpointRow | None:
        return session.execute(
            select(EndpointRow).where(EndpointRow.project_id == project_id, EndpointRow.name == name)
        ).scalar_one_or_none()

    def _named(self, session: Session, project_id: str, name: str) -> EndpointRow:
        row = self._find(session, project_id, name)
        if row is None:
            raise NotFound(f"there is no endpoint {name!r} in this project: see 'nacre endpoint ls'")
        return row

    def _wire(self, session: Session, row: EndpointRow) -> Endpoint:
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
        status = self._observed()
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
