"""Inferences for protocols that are not HTTP/1: asked with what they know, answered with arrays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from nacre.modelserver.answering import Answering, check_rows
from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import BadRequest, Call, Interface, Outcome, rows
from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.messages import Response
from nacre.modelserver.refusals import refused
from nacre.modelserver.resolve import check_model
from nacre.modelserver.revision import Revision
from nacre.modelserver.tensors import Array


class Asking(Answering):
    """Every method raises :class:`~nacre.modelserver.backend.Refused`."""

    async def ask(
        self,
        authorization: bytes | None,
        project: str,
        name: str,
        version: str | None,
        make: Callable[[Interface], Call],
        timeout_s: float | None = None,
        size: int = 0,
    ) -> tuple[Interface, list[Array]]:
        """One inference for a protocol that is not HTTP/1.

        ``make`` decodes, and may raise ``BadRequest``. ``size``: the request's, in bytes.

        Raises :class:`Refused`.
        """
        endpoint, revision = self.choose(authorization, project, name, version)
        self._check_size(endpoint, size)
        interface = revision.interface
        if interface is None:
            raise endpoint.no_interface(revision)
        start = time.perf_counter()
        try:
            call = make(interface)
            check_rows(endpoint, call, interface)
        except BadRequest as wrong:
            self._count(endpoint, revision, start, size, Response(400, b""))
            raise Refused(400, str(wrong)) from wrong
        reply: asyncio.Future[Outcome] = self._loop.create_future()

        def done(outcome: Outcome) -> None:
            if isinstance(outcome, Exception):
                outcome = refused(outcome)
            self._count(endpoint, revision, start, size, _summary(outcome, call, interface))
            if endpoint.config.capture is not None:
                self._capture(endpoint, revision, call, outcome)
            if not reply.done():
                reply.set_result(outcome)

        deadline = self._deadline(endpoint)
        if timeout_s is not None:
            deadline = min(deadline, self._loop.time() + timeout_s)
        waiting = revision.submit(call, deadline, done)
        for shadow in endpoint.shadows(revision):
            self._copy_asked(shadow, deadline, make)
        try:
            outcome = await reply
        except asyncio.CancelledError:
            if waiting is not None:
                waiting.cancel()
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return interface, outcome

    def _copy_asked(self, shadow: Revision, deadline: float, make: Callable[[Interface], Call]) -> None:
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
            told = _summary(outcome, call, interface)
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
        self.known(authorization)
        found = []
        for key, endpoint in self._host.endpoints.items():
            if name is not None and endpoint.name != name:
                continue
            try:
                self._host.access.grant(authorization, endpoint.project)
            except Refused:
                continue
            found.append(key)
        return found


def _summary(outcome: Outcome, call: Call, interface: Interface) -> Response:
    """What the counts and the log tell of an answer that is not HTTP."""
    if isinstance(outcome, Exception):
        return Response(refused(outcome).status, b"")
    told = Response(200, b"")
    told.samples = rows(call, interface)
    return told
