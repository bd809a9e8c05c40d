"""Endpoints as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from nacre.db.tables.endpoints import EndpointReplicaRow, EndpointRow, RevisionRow
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.traffic import Counts, read
from nacre.schema.endpoints import (
    Endpoint,
    EndpointReplica,
    EndpointSettings,
    EndpointState,
    Revision,
    Scaling,
)
from nacre.schema.serving import ServedReplica, ServedRevisionState, ServingStatus, Signature
from nacre.services.endpoint_traffic import FAILED, LIVE, answering
from nacre.services.prices import Prices
from nacre.services.usage import UsageLedger

SHOWN = 20
"""So many of the latest revisions are shown, and all that run."""
_RevisionOf = tuple[RevisionRow, ModelVersionRow, str]


class Replicas(Protocol):
    """What runs replicas."""

    def ready_sockets(self, session: Session, endpoint_id: str, revision: int) -> list[ServedReplica]:
        """Those of a revision that answer, and where."""
        ...

    def shown(self, session: Session, endpoint_id: str) -> dict[int, list[EndpointReplica]]:
        """By revision: those that live, oldest first, and the one that failed last."""
        ...


class NoReplicas:
    """Where nothing runs any."""

    def ready_sockets(self, session: Session, endpoint_id: str, revision: int) -> list[ServedReplica]:
        """None."""
        return []

    def shown(self, session: Session, endpoint_id: str) -> dict[int, list[EndpointReplica]]:
        """None."""
        return {}


class EndpointWire:
    """``base_url`` is the inference listener's."""

    def __init__(self, prices: Prices, usage: UsageLedger, replicas: Replicas, base_url: str) -> None:
        self._replicas = replicas
        self._prices = prices
        self._usage = usage
        self._base_url = base_url

    def show(self, session: Session, row: EndpointRow, status: ServingStatus | None) -> Endpoint:
        """One endpoint, with what the model server counts of it."""
        project = session.get_one(ProjectRow, row.project_id).name
        user = session.get(UserRow, row.user_id)
        revisions = _revisions(session, row)
        replicas = self._replicas.shown(session, row.id)
        _, main, model = max(
            revisions, key=lambda one: (one[0].served, one[0].traffic, one[0].state in LIVE, one[0].number)
        )
        told = status.endpoints.get(f"{project}/{row.name}") if status else None
        counted = {one.revision: one for one in told.revisions} if told else {}
        return Endpoint(
            id=row.id,
            created_at=row.created_at,
            project=project,
            name=row.name,
            user=user.name if user else row.user_id,
            state=EndpointState(row.state),
            reason=row.reason,
            message=_message(row, [one for one, _, _ in revisions]),
            url=f"{self._base_url}/endpoints/{project}/{row.name}",
            grpc=urlsplit(self._base_url).netloc,
            model=model,
            version=main.number,
            signature=Signature.model_validate(main.signature) if main.signature else None,
            revisions=[
                _revision(one, counted.get(one[0].number), replicas.get(one[0].number, []))
                for one in revisions
            ],
            scaling=Scaling.model_validate(row.scaling),
            settings=EndpointSettings.model_validate(row.settings),
            type=row.type,
            price_per_hour=_price(session, row),
            cost=self._usage.cost_of(session, [row.id]).get(row.id, 0),
            currency=self._prices.currency,
            requests=told.requests if told else None,
            errors=told.errors if told else None,
            latency_p50_ms=told.latency_p50_ms if told else None,
            latency_p99_ms=told.latency_p99_ms if told else None,
        )


def _revisions(session: Session, row: EndpointRow) -> list[_RevisionOf]:
    """Newest first."""
    shown = or_(
        RevisionRow.number > row.revision - SHOWN,
        RevisionRow.state.in_(LIVE),
        RevisionRow.traffic > 0,
        RevisionRow.served > 0,
    )
    found = session.execute(
        select(RevisionRow, ModelVersionRow, ModelRow.name)
        .join(ModelVersionRow, ModelVersionRow.id == RevisionRow.version_id)
        .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .where(RevisionRow.endpoint_id == row.id, shown)
        .order_by(RevisionRow.number.desc())
    )
    return [(revision, version, name) for revision, version, name in found]


def _message(row: EndpointRow, revisions: Sequence[RevisionRow]) -> str | None:
    """What is told of it; where a revision has failed and others answer, which is which."""
    told = (row.reason, row.message)
    failed = [one for one in revisions if one.state == FAILED and (one.reason, one.message) == told]
    numbers = sorted(answering(revisions))
    if not failed or not numbers:
        return row.message
    many = len(numbers) > 1
    who = f"revision{'s' if many else ''} {' and '.join(map(str, numbers))} answer{'' if many else 's'}"
    return f"{who}; revision {failed[0].number} has failed: {row.message or row.reason}"


def _price(session: Session, row: EndpointRow) -> int:
    """What it costs an hour now; of one that has nothing yet, what its first place will."""
    living = select(func.sum(EndpointReplicaRow.price_per_hour)).where(
        EndpointReplicaRow.endpoint_id == row.id, EndpointReplicaRow.ended_at.is_(None)
    )
    hosted = row.price_per_hour if row.allocation_id else 0
    return hosted + int(session.scalar(living) or 0) or row.price_per_hour


def _revision(
    found: _RevisionOf, counted: ServedRevisionState | None, replicas: list[EndpointReplica]
) -> Revision:
    row, version, model = found
    latencies = Counts(buckets=tuple(counted.buckets)) if counted else Counts()
    return Revision(
        number=row.number,
        model=model,
        version=version.number,
        runtime="replicas" if row.runtime == "replicas" else "onnx",
        traffic=row.traffic,
        answering=row.served,
        shadow=row.shadow,
        before=read(row.before) or None,
        state=row.state,
        reason=row.reason,
        message=row.message,
        created_at=row.created_at,
        requests=counted.requests if counted else None,
        errors=sum(counted.errors.values()) if counted else None,
        in_flight=counted.in_flight if counted else None,
        waiting=counted.waiting if counted else None,
        latency_p50_ms=latencies.percentile_ms(0.5),
        latency_p99_ms=latencies.percentile_ms(0.99),
        memory_bytes=counted.memory_bytes if counted else None,
        replicas=replicas,
        wanted_replicas=row.wanted,
    )
