"""Who calls, and which endpoint a model's name means."""

from __future__ import annotations

from collections.abc import Callable

from nacre.modelserver.asking import Asking, Encode, Make, Question
from nacre.modelserver.backend import Refused
from nacre.modelserver.batching import Waiting
from nacre.modelserver.calls import Interface
from nacre.modelserver.endpoint import Endpoint


class Caller:
    """One call's sender. ``deadline``: until when it waits (the loop's time), null where it always does.

    gRPC has no path for the endpoint: a model's name is ``PROJECT/ENDPOINT``, or ``ENDPOINT`` alone where
    the token may call only one of this name. Every method raises :class:`Refused`.
    """

    __slots__ = ("_asking", "_authorization", "deadline")

    def __init__(self, asking: Asking, authorization: bytes | None, deadline: float | None) -> None:
        self._asking = asking
        self._authorization = authorization
        self.deadline = deadline

    def late(self, now: float) -> bool:
        """Whether it waits no more."""
        return self.deadline is not None and self.deadline <= now

    def authenticate(self) -> None:
        """Refuse who has no token that is known, before anything is read."""
        self._asking.known(self._authorization)

    def endpoint(self, name: str) -> Endpoint:
        """The endpoint that a model's name means."""
        project, slash, own = name.partition("/")
        if not slash:
            project, own = self._find(name)
        return self._asking.endpoint(self._authorization, project, own)

    def _find(self, name: str) -> tuple[str, str]:
        if not name:
            raise Refused(400, "the name of the model is missing: it is PROJECT/ENDPOINT")
        found = self._asking.callable(self._authorization, name)
        if not found:
            raise Refused(
                404, f"there is no endpoint {name!r} that this token may call: name it PROJECT/ENDPOINT"
            )
        if len(found) > 1:
            raise Refused(
                400, f"{name!r} is an endpoint in several projects: ask for one of {', '.join(found)}"
            )
        project, _, own = found[0].partition("/")
        return project, own

    def all(self) -> list[Endpoint]:
        """Every endpoint that the token may call."""
        return [self.endpoint(key) for key in sorted(self._asking.callable(self._authorization))]

    def interface(self, endpoint: Endpoint, version: str) -> Interface:
        """What a revision takes and gives: that of a model version, or for "" one that answers now."""
        _, revision = self._asking.choose(
            self._authorization, endpoint.project, endpoint.name, version or None, take=False
        )
        if revision.interface is None:
            raise endpoint.no_interface(revision)
        return revision.interface

    def ask(
        self,
        endpoint: Endpoint,
        version: str,
        make: Make,
        encode: Encode,
        size: int,
        answer: Callable[[bytes | Exception], None],
    ) -> Waiting | None:
        """One inference, of a request of ``size`` bytes; see :meth:`Asking.ask`."""
        question = Question(
            *(self._authorization, endpoint.project, endpoint.name, version or None),
            *(make, encode, self.deadline, size),
        )
        return self._asking.ask(question, answer)
