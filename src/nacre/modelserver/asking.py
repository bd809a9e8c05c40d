"""Inferences for protocols that are not HTTP/1: asked with what they know, answered with bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from nacre.modelserver.answering import Answering, check_rows
from nacre.modelserver.backend import Refused
from nacre.modelserver.batching import Gone, Waiting
from nacre.modelserver.calls import BadRequest, Call, Interface, Outcome, rows
from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.host import Host
from nacre.modelserver.limits import Limits
from nacre.modelserver.messages import Response
from nacre.modelserver.refusals import refused
from nacre.modelserver.resolve import check_model
from nacre.modelserver.revision import Revision
from nacre.modelserver.tensors import Array

Make = Callable[[Interface], Any]
"""Decodes a request for a model: a ``Call``, or one of its kinds. Raises ``BadRequest``."""
Encode = Callable[[Any, Interface, list[Array]], bytes]
"""The answer's message, from what ``Make`` gave and the arrays of its outputs. Raises ``BadRequest``."""


class Question(NamedTuple):
    """An inference that somebody asks for. ``version``: of the model, null for any; ``deadline``: the
    sender's, in the loop's time; ``size``: the request's in bytes."""

    authorization: bytes | None
    project: str
    name: str
    version: str | None
    make: Make
    encode: Encode
    deadline: float | None
    size: int


class Asking(Answering):
    """Every method raises :class:`~nacre.modelserver.backend.Refused`."""

    def __init__(self, host: Host, limits: Limits) -> None:
        super().__init__(host, limits)
        self._names: dict[str, list[Endpoint]] = {}
        self._names_of = -1
        """The host's epoch in which these were the names."""

    def ask(self, question: Question, answer: Callable[[bytes | Exception], None]) -> Waiting | None:
        """One inference. ``answer`` gets the encoded answer, or ``Refused``: once, on the event loop,
        perhaps before this returns.

        Raises :class:`Refused`.
        """
        asked = question
        endpoint, revision = self.choose(asked.authorization, asked.project, asked.name, asked.version)
        self._check_size(endpoint, asked.size)
        interface = revision.interface
        if interface is None:
            raise endpoint.no_interface(revision)
        start = time.perf_counter()
        try:
            call = asked.make(interface)
            check_rows(endpoint, call, interface)
        except BadRequest as wrong:
            self._count(endpoint, revision, start, asked.size, Response(400, b""))
            raise Refused(400, str(wrong)) from wrong

        def done(outcome: Outcome) -> None:
            reply = _encoded(endpoint, call, outcome, interface, asked.encode)
            if not isinstance(outcome, Gone):
                told = _told(reply, call, interface)
                self._count(endpoint, revision, start, asked.size, told)
            if endpoint.config.capture is not None:
                self._capture(endpoint, revision, call, outcome)
            answer(reply)

        deadline = self._deadline(endpoint)
        if asked.deadline is not None:
            deadline = min(deadline, asked.deadline)
        waiting = revision.submit(call, deadline, done)
        for shadow in endpoint.shadows(revision):
            self._copy_asked(shadow, deadline, asked.make)
        return waiting

    def _copy_asked(self, shadow: Revision, deadline: float, make: Make) -> None:
        """Ask a revision the same, for its counts only."""
        start = time.perf_counter()
        interface = shadow.interface
        if interface is None:
            return
        try:
            call = make(interface)
        except BadRequest:
            shadow.stats.add(time.perf_counter() - start, 400)
            return

        def done(outcome: Outcome) -> None:
            told = _told(refused(outcome) if isinstance(outcome, Exception) else b"", call, interface)
            shadow.stats.add(time.perf_counter() - start, told.status, told.samples)

        shadow.submit(call, deadline, done)

    def choose(
        self, authorization: bytes | None, project: str, name: str, version: str | None, take: bool = True
    ) -> tuple[Endpoint, Revision]:
        """The revision for a request. ``take``: it counts against the token's rate.

        Raises :class:`Refused`.
        """
        grant = self._host.access.grant(authorization, project)
        endpoint = self._resolver.endpoint(project, name)
        if version is not None:
            check_model(endpoint, {"version": version})
        if take:
            grant.check(self._loop.time())
        return endpoint, self._choose(endpoint, version)

    def known(self, authorization: bytes | None) -> None:
        """Raise :class:`Refused` with 401 for who may call nothing at all."""
        self._host.access.known(authorization)

    def endpoint(self, authorization: bytes | None, project: str, name: str) -> Endpoint:
        """The endpoint. Raises :class:`Refused`."""
        self._host.access.grant(authorization, project)
        return self._resolver.endpoint(project, name)

    def callable(self, authorization: bytes | None, name: str | None = None) -> list[str]:
        """The keys (``project/name``) of the endpoints that a token may call, perhaps only those of a name.

        Raises :class:`Refused` with 401.
        """
        grant = self._host.access.known(authorization)
        return [
            endpoint.key
            for endpoint in (self._host.endpoints.values() if name is None else self._named(name))
            if grant.every or endpoint.project in grant.projects
        ]

    def _named(self, name: str) -> list[Endpoint]:
        """The endpoints of this name, of all projects."""
        if self._names_of != self._host.epoch:
            self._names = {}
            self._names_of = self._host.epoch
            for endpoint in self._host.endpoints.values():
                self._names.setdefault(endpoint.name, []).append(endpoint)
        return self._names.get(name, [])


def _encoded(
    endpoint: Endpoint, call: Call, outcome: Outcome, interface: Interface, encode: Encode
) -> bytes | Refused:
    """The answer's message, or why there is none. Never raises."""
    if isinstance(outcome, Exception):
        return refused(outcome)
    try:
        message = encode(call, interface, outcome)
    except Exception as wrong:
        return refused(wrong)
    most = endpoint.config.max_response_bytes
    if most is not None and len(message) > most:
        return Refused(500, f"the answer of {len(message)} bytes is over the limit of {most}")
    return message


def _told(reply: bytes | Refused, call: Call, interface: Interface) -> Response:
    """What the counts and the log tell of an answer that is not HTTP."""
    if isinstance(reply, Refused):
        return Response(reply.status, b"")
    told = Response(200, reply)
    told.samples = rows(call, interface)
    return told
