"""What an endpoint pays for its place in the shared model server. Replicas have records of their own."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.errors import NotFound
from nacre.ids import new_id
from nacre.schema.resources import InstanceType
from nacre.services.prices import Prices
from nacre.services.usage import UsageLedger


class EndpointBills:
    """Keeps an endpoint's usage record open while a revision of it is in the model server's process."""

    def __init__(self, clock: Clock, prices: Prices, usage: UsageLedger) -> None:
        self._clock = clock
        self._prices = prices
        self._usage = usage

    def shape(self, session: Session, row: EndpointRow, shape: InstanceType) -> None:
        """The endpoint has this shape from now on. Another one than before ends the record."""
        if (row.type, row.price_per_hour) != (shape.name, shape.price_per_hour):
            self.end(session, row)
        row.type, row.price_per_hour = shape.name, shape.price_per_hour

    def keep(self, session: Session, row: EndpointRow, revisions: Sequence[RevisionRow]) -> None:
        """Begin or end the record, as the revisions say."""
        hosted = any(
            one.runtime == "onnx" and (one.state in ("starting", "ready") or one.traffic or one.served)
            for one in revisions
        )
        if not hosted:
            self.end(session, row)
        elif not row.allocation_id:
            self._begin(session, row)

    def _begin(self, session: Session, row: EndpointRow) -> None:
        try:
            shape = self._prices.type(row.type)
            cpu, memory, gpu = shape.cpu, shape.memory, shape.gpu
        except NotFound:  # taken from the prices meanwhile; what was agreed on stays
            cpu, memory, gpu = 0.0, 0, 0
        row.allocation_id = new_id("alc")
        self._usage.open(
            session,
            allocation_id=row.allocation_id,
            project_id=row.project_id,
            user_id=row.user_id,
            kind="endpoint",
            subject_id=row.id,
            subject_name=row.name,
            cpu=cpu,
            memory=memory,
            gpu=gpu,
            price_per_hour=row.price_per_hour,
            started_at=self._clock.now(),
        )

    def end(self, session: Session, row: EndpointRow) -> None:
        """End the record, if one is open."""
        if row.allocation_id:
            self._usage.close(session, row.allocation_id, self._clock.now())
            row.allocation_id = ""
