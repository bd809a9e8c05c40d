"""The queue of replicas of endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from nacre.db.tables.endpoints import EndpointReplicaRow
from nacre.services.endpoint_launch import EndpointLaunches
from nacre.services.seat_queue import LaunchOrder, SeatQueue


@dataclass(frozen=True, kw_only=True)
class EndpointQueue(SeatQueue[EndpointReplicaRow]):
    """What is special of replicas: one environment each, and the endpoint pays."""

    again = "endpoints"
    launches: EndpointLaunches

    def _rows(self) -> type[EndpointReplicaRow]:
        return EndpointReplicaRow

    def _needs(self, row: EndpointReplicaRow) -> Iterable[str | None]:
        return [row.environment_id]

    def _order(self, session: Session, row: EndpointReplicaRow) -> LaunchOrder | None:
        told = self.launches.told(session, row.id)
        if told is None:
            return None
        return LaunchOrder(
            subject=f"a replica of endpoint {told.endpoint.name}",
            user_id=told.endpoint.user_id,
            paid_by=row.endpoint_id,
            spec=partial(self.launches.spec, told),
        )

    def _topic(self, row: EndpointReplicaRow) -> str:
        return "serving"

    def _failed(self, row: EndpointReplicaRow) -> str:
        row.ended_at = self.clock.now()
        return self.again  # for another one, or to give up
