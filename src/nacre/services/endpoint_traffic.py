"""How an endpoint's revisions move toward the shares that are wanted of them, without a failed request.

What is wanted (``traffic``, ``shadow``) is one thing, what the model server is told (``served``) another:

1. A revision that is wanted and does not run is ``starting``. It is in the routes with a share of 0, and is
   loaded and warmed, or its replicas are started.
2. Once every wanted revision is ``ready``, and has the replicas that its share takes, all shares change at
   once: ``served`` becomes ``traffic``.
   The endpoint is ``ready`` when the model server works by them, not before.
3. Those whose share has become 0 stay in the routes for that one pass, so that what they have begun ends;
   then they are ``retired`` and leave them. They can be wanted again: that is step 1.

Where nothing answers, there is nothing to protect, and step 2 comes at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.domain.traffic import WORSE, Shares, going_back, read, stored, without
from nacre.schema.endpoints import EndpointState, Scaling
from nacre.schema.serving import ServedEndpoint, ServedRevisionState, ServedState
from nacre.services.endpoint_bills import EndpointBills
from nacre.services.endpoint_gathering import EndpointGathering, Sockets

STARTING, READY, FAILED, RETIRED = "starting", "ready", "failed", "retired"
LIVE = (STARTING, READY)
"""States of a revision that runs, or shall."""
LOAD_FAILED, ROLLED_BACK, HELD_UP = "load_failed", "rolled_back", "model_server_unavailable"


class EndpointTraffic:
    """Works on rows inside the transactions of others, who hold the endpoint's row."""

    def __init__(self, clock: Clock, bills: EndpointBills, sockets: Sockets) -> None:
        self._clock = clock
        self._bills = bills
        self._gathering = EndpointGathering(clock, sockets)

    def of(self, session: Session, row: EndpointRow) -> Sequence[RevisionRow]:
        """All revisions, oldest first."""
        mine = select(RevisionRow).where(RevisionRow.endpoint_id == row.id)
        return session.scalars(mine.order_by(RevisionRow.number)).all()

    def want(
        self, session: Session, row: EndpointRow, shares: Shares, shadows: Mapping[int, int], *, back: bool
    ) -> None:
        """Ask for these shares, and these percents of copies, and no others.

        ``back``: it is a roll-back, after which one can go further back. Else those that get more can be
        taken back to what answers now.
        """
        revisions = self.of(session, row)
        before = stored(answering(revisions))
        row.reason = row.message = None
        for revision in revisions:
            revision.traffic = shares.get(revision.number, 0)
            revision.shadow = shadows.get(revision.number, 0)
            if not back and revision.traffic > revision.served:
                revision.before, revision.before_counts, revision.served_at = before, None, None
            if revision.traffic or revision.shadow:
                self._start(row, revision)
        self._advance(session, row, revisions)
        self._state(row, revisions, None)
        self._bills.keep(session, row, revisions)

    def _fail(
        self, row: EndpointRow, revisions: Sequence[RevisionRow], number: int, reason: str, message: str
    ) -> None:
        """A revision cannot answer. The others share its part, or what answers now goes on; where there is
        nothing else, it stays wanted, and may recover."""
        failed = next(one for one in revisions if one.number == number)
        failed.state, failed.reason, failed.message, failed.wanted = FAILED, reason, message, 0
        failed.shadow = 0
        row.reason, row.message = reason, message
        rest = without(wanted(revisions), number) or without(answering(revisions), number)
        if rest:
            self._give(row, revisions, rest)

    def take_back(self, session: Session, row: EndpointRow, number: int, reason: str, message: str) -> bool:
        """A revision answers worse than the others: they answer in its place. It does until they can.

        False, and nothing changes, when there are none.
        """
        revisions = self.of(session, row)
        bad = next((one for one in revisions if one.number == number), None)
        if bad is None or bad.state != READY or not bad.served:
            return False
        usable = [one.number for one in revisions if one.state != FAILED]
        rest = going_back(answering(revisions), read(bad.before), number, usable)
        if not rest:
            return False
        bad.state, bad.reason, bad.message = FAILED, reason, message
        bad.shadow, bad.before = 0, None
        row.reason, row.message = ROLLED_BACK, f"revision {number} was taken back: {message}"
        self._give(row, revisions, rest)
        self._advance(session, row, revisions)
        self._state(row, revisions, None)
        self._bills.keep(session, row, revisions)
        return True

    def settle(
        self, session: Session, row: EndpointRow, applied: ServedEndpoint, told: ServedState | None
    ) -> bool:
        """Take over what the model server says after it was told ``applied``; whether anything changed."""
        revisions = self.of(session, row)
        before = _state_of(row, revisions)
        said = {one.revision: one for one in told.revisions} if told else {}
        had = {one.revision: one for one in applied.revisions}
        for revision in revisions:
            heard = said.get(revision.number) if revision.number in had else None
            if heard and (revision.traffic or revision.shadow or revision.served):
                self._hear(row, revisions, revision, heard)
            if _lost(row, revision):
                said_of_it = revision.message or "its replicas failed"
                self._fail(row, revisions, revision.number, revision.reason or LOAD_FAILED, said_of_it)
        self._advance(session, row, revisions)
        for revision in revisions:
            mine = had.get(revision.number)
            idle = mine is None or not (mine.traffic or mine.shadow)
            if idle and not (revision.traffic or revision.shadow or revision.served):
                revision.wanted = 0
                if revision.state in LIVE:
                    revision.state = RETIRED
        self._state(row, revisions, applied)
        self._bills.keep(session, row, revisions)
        return _state_of(row, revisions) != before

    def _hear(
        self,
        row: EndpointRow,
        revisions: Sequence[RevisionRow],
        revision: RevisionRow,
        heard: ServedRevisionState,
    ) -> None:
        """Replicas come and go: a ready revision of theirs fails by the word of the scaling only."""
        onnx = revision.runtime == "onnx"
        well = heard.state == "ready" or (onnx and heard.state == "unloaded")
        trying = revision.state == STARTING or (revision.state == FAILED and onnx and revision.traffic > 0)
        if trying and well:
            if revision.state == FAILED:
                row.reason = row.message = None
            revision.state, revision.reason, revision.message = READY, None, None
        elif heard.state == "failed" and (revision.state == STARTING or (revision.state == READY and onnx)):
            said = heard.message or "it could not be loaded"
            self._fail(row, revisions, revision.number, LOAD_FAILED, said)
        elif heard.state == "failed" and trying:
            revision.message = row.message = heard.message or revision.message

    def _start(self, row: EndpointRow, revision: RevisionRow) -> None:
        if revision.state in LIVE:
            return
        revision.state, revision.reason, revision.message = STARTING, None, None
        if revision.runtime == "replicas":
            revision.wanted = max(1, Scaling.model_validate(row.scaling).min_replicas)

    def _give(self, row: EndpointRow, revisions: Sequence[RevisionRow], shares: Shares) -> None:
        for revision in revisions:
            revision.traffic = shares.get(revision.number, 0)
            if revision.traffic:
                self._start(row, revision)

    def _advance(self, session: Session, row: EndpointRow, revisions: Sequence[RevisionRow]) -> None:
        """Give the shares, when all can take them that are to have one, or nothing answers yet."""
        due, now = [one for one in revisions if one.traffic], answering(revisions)
        ready = all(one.state == READY for one in due)
        if not ready:
            self._gathering.forget(row)
        if due and (not now or (ready and self._gathering.enough(session, row, revisions, now))):
            for one in revisions:
                one.served = one.traffic
                if one.served and one.state == READY and one.served_at is None:
                    one.served_at = self._clock.now()

    def _state(
        self, row: EndpointRow, revisions: Sequence[RevisionRow], applied: ServedEndpoint | None
    ) -> None:
        """``applied``: what the model server works by; null: the shares are new, it cannot know them."""
        answers = bool(answering(revisions))
        starting = any(one.state == STARTING and (one.traffic or one.shadow) for one in revisions)
        if starting or any(one.served != one.traffic for one in revisions):
            row.state = EndpointState.UPDATING if answers else EndpointState.STARTING
        elif not answers:
            row.state = EndpointState.FAILED
        elif applied is None or not _tells(applied, revisions):
            row.state = EndpointState.UPDATING
        else:
            row.state = EndpointState.READY
            if row.reason == HELD_UP:
                row.reason = row.message = None


def _tells(applied: ServedEndpoint, revisions: Sequence[RevisionRow]) -> bool:
    """Whether these are the shares of which the model server was told."""
    told = {one.revision: (one.traffic, one.shadow) for one in applied.revisions}
    return all(told.get(one.number, (0, 0)) == (one.served, copied(one)) for one in revisions)


def _state_of(row: EndpointRow, revisions: Sequence[RevisionRow]) -> tuple[object, ...]:
    each = ((one.state, one.message, one.traffic, one.shadow, one.served) for one in revisions)
    return row.state, row.reason, row.message, *each


def _lost(row: EndpointRow, revision: RevisionRow) -> bool:
    """It failed by the word of the scaling, and its part was given to nobody yet."""
    told = row.reason == revision.reason and row.message == revision.message
    return revision.state == FAILED and bool(revision.traffic or revision.shadow) and not told


def copied(revision: RevisionRow) -> int:
    """The percent of the requests that it gets copies of."""
    return revision.shadow if revision.state in LIVE else 0


def answering(revisions: Sequence[RevisionRow]) -> Shares:
    """The shares of those that answer now."""
    return {
        one.number: one.served
        for one in revisions
        if one.served and (one.state == READY or (one.state == FAILED and one.reason in WORSE))
    }


def wanted(revisions: Sequence[RevisionRow]) -> Shares:
    """The shares that are wanted."""
    return {one.number: one.traffic for one in revisions if one.traffic}
