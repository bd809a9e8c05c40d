"""A request under way to a model's own code, from the dispatcher to the end of its answer."""

from __future__ import annotations

from collections.abc import Callable

from nacre.modelserver.backend import Overloaded
from nacre.modelserver.link import RawOutcome
from nacre.modelserver.messages import Request, Response
from nacre.modelserver.parts import Parts
from nacre.modelserver.protocols.custom import request_of, response_of, stream_of
from nacre.modelserver.refusals import refused
from nacre.modelserver.remote_revision import RemoteRevision
from nacre.modelserver.replica_answers import RawAnswer

_GONE = 499


class Exchange:
    """``refusal`` shapes what goes wrong, ``count`` notes the answer, ``check`` says why a stream may not
    go on. ``extra``: header lines of every answer.
    """

    def __init__(
        self,
        revision: RemoteRevision,
        request: Request,
        extra: str,
        refusal: Callable[[Exception], Response],
        count: Callable[[Response], None],
        check: Callable[[], str | None],
    ) -> None:
        self._revision = revision
        self._request = request
        self._extra = extra
        self._refusal = refusal
        self._count = count
        self._check = check
        self._over = False

    def begin(self, path: str, deadline: float) -> None:
        """Ask; the answer goes to ``request.respond``. Raises ``Overloaded``."""
        revision, request = self._revision, self._request
        revision.check_room()
        revision.in_flight += 1
        request.cancel = revision.pool.raw(request_of(request, path), deadline, self._done)

    def _done(self, outcome: RawOutcome) -> None:
        if isinstance(outcome, Parts):
            told = Response(200, b"")
            stream = stream_of(outcome, lambda: self._end(told))
            stream.check = self._check
            self._respond(stream)
            return
        answer = response_of(outcome) if isinstance(outcome, RawAnswer) else self._refusal(outcome)
        self._end(answer)
        self._respond(answer)

    def _respond(self, response: Response) -> None:
        response.extra += self._extra
        assert self._request.respond is not None
        self._request.respond(response)

    def _end(self, response: Response) -> None:
        """Count it, the first time; a stream at its end."""
        if self._over:
            return
        self._over = True
        self._revision.in_flight -= 1
        if response.status != _GONE:
            response.samples = int(response.status < 400)
            self._count(response)


def mirror(
    revision: RemoteRevision, request: Request, path: str, deadline: float, count: Callable[[int], None]
) -> None:
    """Ask a shadow the same. ``count`` gets its status; its answer is thrown away, a stream's at the first
    part."""
    try:
        revision.check_room()
    except Overloaded as wrong:
        count(wrong.status)
        return
    revision.in_flight += 1

    def done(outcome: RawOutcome) -> None:
        revision.in_flight -= 1
        if isinstance(outcome, Parts):
            outcome.cancel()
            count(200)
        elif isinstance(outcome, RawAnswer):
            count(outcome.status)
        else:
            count(refused(outcome).status)

    revision.pool.raw(request_of(request, path), deadline, done)
