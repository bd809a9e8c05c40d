"""The application behind the inference listener: from a request to a revision, and back to an answer."""

from __future__ import annotations

import asyncio
import time

import orjson

from nacre.modelserver import cors
from nacre.modelserver.answering import Answering, check_rows
from nacre.modelserver.backend import Refused
from nacre.modelserver.batching import Gone
from nacre.modelserver.bodies import decompress
from nacre.modelserver.calls import BadRequest, Call, Outcome, Route, rows
from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.exchange import Exchange, mirror
from nacre.modelserver.messages import Request, Response, error
from nacre.modelserver.refusals import refusal
from nacre.modelserver.remote_revision import RemoteRevision
from nacre.modelserver.resolve import Resolved, split
from nacre.modelserver.revision import Revision

_HEALTH = orjson.dumps({"status": "ok"})
_READ = (b"GET", b"HEAD")


class Dispatcher(Answering):
    """Answers ``/endpoints/{project}/{name}/…`` in the dialects of :mod:`nacre.modelserver.table`."""

    def refuse(self, request: Request) -> Response | None:
        """The answer that a request gets whatever its body, judged by its headers; else None."""
        if cors.asks(request) or split(request.target) == ["healthz"]:
            return None
        try:
            found = self._resolver.resolve(request)
            self._check_size(found.endpoint, int(request.headers.get(b"content-length", b"0")))
        except Refused as wrong:
            return self._turn_away(request, wrong)
        return None

    def handle(self, request: Request) -> Response | asyncio.Future[Response] | None:
        """The answer, now or later."""
        try:
            found = self._resolver.resolve(request)
        except Refused as wrong:
            if cors.asks(request):
                return cors.preflight(self._addressed(request), request)
            return _health(request) or self._turn_away(request, wrong)
        if not found.endpoint.config.cors_origins:
            return self._reply(found, request, "")
        extra = cors.lines(found.endpoint, request)
        reply = self._reply(found, request, extra)
        if reply is not None:
            reply.extra += extra
        return reply

    def _turn_away(self, request: Request, wrong: Refused) -> Response:
        """The answer to a request that goes no further, which a page of another origin may read, too."""
        reply = refusal(wrong, None)
        endpoint = self._addressed(request)
        if endpoint is not None:
            reply.extra += cors.lines(endpoint, request)
        return reply

    def _addressed(self, request: Request) -> Endpoint | None:
        """The endpoint of the request's path, whoever asks."""
        parts = split(request.target)
        return self._host.endpoints.get("/".join(parts[1:3])) if parts[:1] == ["endpoints"] else None

    def _reply(self, found: Resolved, request: Request, extra: str) -> Response | None:
        endpoint, route = found.endpoint, found.route
        if route.answer is not None:
            revision = endpoint.of_version(found.version) if found.version else endpoint.pick()
            return route.answer(request, endpoint.view(revision), found.parameters)
        start = time.perf_counter()
        now = self._loop.time()
        try:
            found.grant.check(now)
            revision = self._choose(endpoint, found.version)
        except Refused as wrong:
            return refusal(wrong, route)
        interface = revision.interface
        own = route.raw and isinstance(revision, RemoteRevision) and _own_code(revision)
        size = len(request.body)
        try:
            self._check_size(endpoint, size)
            coding = request.headers.get(b"content-encoding")
            if coding is not None:
                request.body = decompress(request.body, coding, self._most(endpoint))
            if own:
                self._exchange(found, revision, request, start, extra)
                for shadow in endpoint.shadows(revision):
                    self._copy(endpoint, shadow, found, request)
                return None
            if interface is None:
                raise endpoint.no_interface(revision)
            assert route.decode is not None
            call = route.decode(request, interface, found.parameters)
            check_rows(endpoint, call, interface)
        except (BadRequest, Refused) as wrong:
            response = refusal(wrong, None if own else route)
            self._count(endpoint, revision, start, size, response)
            return response
        asked = _Asked(self, endpoint, revision, route, call, start, request, extra)
        waiting = revision.submit(
            call, now + (endpoint.config.timeout_s or self._limits.timeout), asked.done
        )
        for shadow in endpoint.shadows(revision):
            self._copy(endpoint, shadow, found, request)
        # Its memory serves the next request while it is still in the processor's cache.
        request.body = b""
        if asked.response is not None:
            return asked.response
        asked.later = True
        if waiting is not None:
            request.cancel = waiting.cancel
        return None

    def _exchange(
        self, found: Resolved, revision: Revision, request: Request, start: float, extra: str
    ) -> None:
        """Have the model's own code answer. Raises :class:`Refused` when too much waits for it."""
        assert isinstance(revision, RemoteRevision)
        endpoint, authorization = found.endpoint, request.headers.get(b"authorization")
        project = endpoint.project

        def check() -> str | None:
            try:
                self._host.access.grant(authorization, project)
            except Refused as wrong:
                return wrong.text
            return None

        def count(told: Response) -> None:
            self._count(endpoint, revision, start, request.size, told)
            config = endpoint.config.capture
            if config is not None and told.status < 300 and told.body:
                self._host.capture.offer_bodies(
                    endpoint.key, config, revision.number, request.body, told.body
                )

        exchange = Exchange(
            revision,
            request,
            extra,
            refusal=lambda wrong: refusal(wrong, None),
            count=count,
            check=check,
        )
        exchange.begin(found.route.path, self._deadline(endpoint))

    def _answer(
        self, endpoint: Endpoint, revision: Revision, route: Route, call: Call, outcome: Outcome
    ) -> Response:
        """Encode. Never raises: what goes wrong is the answer."""
        interface = revision.interface
        assert interface is not None
        if isinstance(outcome, Exception):
            return refusal(outcome, route)
        try:
            response = call.encode(outcome, interface)
        except Exception as wrong:
            return refusal(wrong, route)
        most = endpoint.config.max_response_bytes
        if most is not None and len(response.body) > most:
            size = len(response.body)
            return refusal(Refused(500, f"the answer of {size} bytes is over the limit of {most}"), route)
        response.samples = rows(call, interface)
        return response

    def _copy(self, endpoint: Endpoint, shadow: Revision, found: Resolved, request: Request) -> None:
        """Ask a revision the same, for its counts only."""
        start = time.perf_counter()
        if found.route.raw and isinstance(shadow, RemoteRevision) and _own_code(shadow):
            mirror(
                shadow,
                request,
                found.route.path,
                self._deadline(endpoint),
                lambda status: shadow.stats.add(time.perf_counter() - start, status, int(status < 400)),
            )
            return
        assert found.route.decode is not None
        if shadow.interface is None:
            return
        try:
            call = found.route.decode(request, shadow.interface, found.parameters)
        except BadRequest:
            shadow.stats.add(time.perf_counter() - start, 400)
            return

        def done(outcome: Outcome) -> None:
            response = self._answer(endpoint, shadow, found.route, call, outcome)
            shadow.stats.add(time.perf_counter() - start, response.status, response.samples)

        shadow.submit(call, self._deadline(endpoint), done)

    def _most(self, endpoint: Endpoint) -> int:
        return min(endpoint.config.max_request_bytes or self._limits.max_body, self._limits.max_body)


class _Asked:
    """A request under way. ``later``: :meth:`Dispatcher.handle` has returned; ``response`` until then."""

    __slots__ = (
        *("call", "dispatcher", "endpoint", "extra", "later"),
        *("request", "response", "revision", "route", "start"),
    )

    def __init__(
        self,
        dispatcher: Dispatcher,
        endpoint: Endpoint,
        revision: Revision,
        route: Route,
        call: Call,
        start: float,
        request: Request,
        extra: str,
    ) -> None:
        self.dispatcher = dispatcher
        self.endpoint = endpoint
        self.revision = revision
        self.route = route
        self.call = call
        self.start = start
        self.request = request
        self.extra = extra
        self.later = False
        self.response: Response | None = None

    def done(self, outcome: Outcome) -> None:
        """Encode, count, send."""
        dispatcher, endpoint, request = self.dispatcher, self.endpoint, self.request
        response = dispatcher._answer(endpoint, self.revision, self.route, self.call, outcome)
        if endpoint.config.capture is not None:
            dispatcher._capture(endpoint, self.revision, self.call, outcome)
        if not isinstance(outcome, Gone):
            dispatcher._count(endpoint, self.revision, self.start, request.size, response)
        if not self.later:
            self.response = response
            return
        response.extra += self.extra
        assert request.respond is not None
        request.respond(response)


def _health(request: Request) -> Response | None:
    """``/healthz`` at the root, without a token, for probes."""
    if split(request.target) != ["healthz"]:
        return None
    if request.method not in _READ:
        return error(405, "this takes GET", extra="Allow: GET, HEAD\r\n")
    return Response(200, _HEALTH)


def _own_code(revision: RemoteRevision) -> bool:
    """Whether the model has code of its own. Before a replica tells it: where nothing else can answer."""
    return revision.interface is None if revision.raw is None else revision.raw
