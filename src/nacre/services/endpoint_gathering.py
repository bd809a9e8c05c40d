"""Whether revisions have gathered the replicas that their new shares ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.domain.autoscaling import share_of
from nacre.domain.traffic import Shares
from nacre.schema.endpoints import Scaling
from nacre.schema.serving import ServedReplica

PATIENCE = timedelta(minutes=2)
"""How long a share may wait for replicas once its revision answers: there may be no room for all of them
beside those of the revisions before."""

Sockets = Callable[[Session, str, int], Sequence[ServedReplica]]
"""Those of an endpoint's revision that answer."""


class EndpointGathering:
    """Remembers in memory since when it waits: a server that starts anew waits a little longer."""

    def __init__(self, clock: Clock, sockets: Sockets) -> None:
        self._clock = clock
        self._sockets = sockets
        self._since: dict[tuple[str, int], datetime] = {}

    def enough(
        self, session: Session, row: EndpointRow, revisions: Sequence[RevisionRow], answering: Shares
    ) -> bool:
        """Whether each revision whose share shall grow has as many replicas as that takes, or was waited
        for long enough. ``answering``: the shares of those that answer now."""
        now = self._clock.now()
        scaling = Scaling.model_validate(row.scaling)
        lacking = set()
        for one in revisions:
            if one.runtime != "replicas" or one.traffic <= one.served:
                continue
            others = [other for other in revisions if other is not one and other.runtime == "replicas"]
            beside = [(other.wanted, answering.get(other.number, 0)) for other in others]
            there = len(self._sockets(session, row.id, one.number))
            if there < share_of(scaling, now, beside, one.traffic):
                lacking.add((row.id, one.number))
        for key in list(self._since):  # requests and the loop ask at once, each of another endpoint
            if key[0] == row.id and key not in lacking:
                self._since.pop(key, None)
        since = [self._since.setdefault(key, now) for key in lacking]
        return all(now - one > PATIENCE for one in since)

    def forget(self, row: EndpointRow) -> None:
        """Nothing is waited for: some of the revisions do not even answer."""
        for key in list(self._since):
            if key[0] == row.id:
                self._since.pop(key, None)
