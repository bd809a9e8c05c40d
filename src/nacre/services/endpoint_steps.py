"""How many replicas to make or to end, from those that there are: decisions on rows, without a database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nacre.db.tables.endpoints import EndpointReplicaRow
from nacre.domain.autoscaling import MOST_FAILURES, back_off_s
from nacre.schema.endpoints import ReplicaState

GIVEN_UP = "given_up"
"""The ``stop_reason`` of failures that are not counted any more."""
HUNG = "hung"
"""The ``stop_reason`` of those that are ended because they answered nothing any more: they have failed."""
ALIVE = (ReplicaState.QUEUED, ReplicaState.STARTING, ReplicaState.READY)
_LIVED_S = 60.0
"""A replica that answered for so long was a good one, however it ended."""
_FIRST_TO_GO = {ReplicaState.QUEUED: 0, ReplicaState.STARTING: 1, ReplicaState.READY: 2}


@dataclass(frozen=True)
class Steps:
    """What brings the replicas of a revision nearer to their number."""

    make: int = 0
    drop: Sequence[EndpointReplicaRow] = ()
    give_up: bool = False


def steps(rows: Sequence[EndpointReplicaRow], wanted: int, now: datetime) -> Steps:
    """What to do about the number of a revision's replicas.

    After failures there is a rest before the next one; as long as none answers, they are tried one by one.
    """
    alive = [row for row in rows if row.state in ALIVE]
    if len(alive) > wanted:
        going = sorted(alive, key=lambda row: (_FIRST_TO_GO[ReplicaState(row.state)], -_age(row)))
        return Steps(drop=going[: len(alive) - wanted])
    answering = any(row.state == ReplicaState.READY for row in alive)
    lately = failures(rows)
    never = [row for row in lately if row.ready_at is None]
    if wanted and not answering and len(never) == len(lately) >= MOST_FAILURES:
        return Steps(give_up=True)
    make = wanted - len(alive)
    if make <= 0 or not lately:
        return Steps(make=max(0, make))
    if now < max(map(ended_at, lately)) + timedelta(seconds=back_off_s(len(lately))):
        return Steps()
    return Steps(make=make if answering else min(make, 1 - min(1, len(alive))))


def failures(rows: Sequence[EndpointReplicaRow]) -> list[EndpointReplicaRow]:
    """Those that failed since a replica was last a good one."""
    good = [row.ready_at for row in rows if row.ready_at and _lived(row)]
    bad = [row for row in rows if failed(row) and row.stop_reason != GIVEN_UP and not _lived(row)]
    return [row for row in bad if not good or ended_at(row) > max(good)]


def failed(row: EndpointReplicaRow) -> bool:
    """Whether it ended although nobody told it to, or is made to end because it hung."""
    return row.state == ReplicaState.FAILED or row.stop_reason == HUNG


def _lived(row: EndpointReplicaRow) -> bool:
    if row.ready_at is None:
        return False
    if row.ended_at is None and not failed(row):
        return True
    return (ended_at(row) - row.ready_at).total_seconds() >= _LIVED_S


def ended_at(row: EndpointReplicaRow) -> datetime:
    """When it ended, or left the routes; of one that did neither, when it was made."""
    return row.drained_at or row.ended_at or row.created_at


def _age(row: EndpointReplicaRow) -> float:
    return row.created_at.timestamp()
