"""The application of port 7374: what users' work shows, on an origin of its own.

``/instances/{id}/…`` is the app of that instance (JupyterLab, TensorBoard), HTTP and WebSocket. A browser
signs in with a ticket (``_nacre/enter``, made by ``instances.open``) and gets a cookie for that one;
programs send their token. The work sees neither. Nothing here is trusted by the console's origin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nacre.domain.identity import Caller
from nacre.errors import (
    Conflict,
    InternalError,
    NacreError,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from nacre.proxy import answers, headers, sockets
from nacre.proxy.forward import forward
from nacre.proxy.upstreams import Links
from nacre.schema.instances import InstanceState
from nacre.services.instance_door import Admission
from nacre.services.registry import Services
from nacre.services.upstreams import Upstream

_log = logging.getLogger("nacre.proxy")

_PATH = re.compile(rb"/instances/([a-z0-9_]{1,64})(/.*)?", re.DOTALL)
_ENTER = b"/_nacre/enter"
_TOUCH_SECONDS = 10.0
_RECHECK_SECONDS = 10.0
_ON_ITS_WAY = frozenset({InstanceState.QUEUED, InstanceState.STARTING, InstanceState.STOPPING})

Sockets = Callable[[str], tuple[str, str] | None]
"""Instance id → path of its unix socket and the token that opens it; null when it does not run."""


def make_content_app(services: Services, sockets: Sockets, public_origin: str) -> ASGIApp:
    """The ASGI application. ``public_origin``: as browsers see it, such as ``http://127.0.0.1:7374``.

    Serve it with ``ws_max_size=nacre.proxy.sockets.MAX_MESSAGE``.
    """
    return _ContentApp(services, sockets, public_origin.rstrip("/"))


class _ContentApp:
    def __init__(self, services: Services, upstreams: Sockets, public_origin: str) -> None:
        self._services = services
        self._upstreams = upstreams
        self._origin = public_origin
        self._links = Links()
        self._touched: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._links.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # -- HTTP ---------------------------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request: headers.Headers = list(scope["headers"])
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._route(scope, receive, noted)
        except NacreError as error:
            if not started:
                await answers.problem(send, error, request)
        except Exception:
            _log.exception("%s %s failed", scope["method"], scope["path"])
            if not started:
                text = "this is a defect in Nacre; the server's log has the details"
                await answers.problem(send, InternalError(text), request)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope["raw_path"]
        if raw == b"/healthz":
            await answers.plain(send, 200, [(b"content-type", b"application/json")], b'{"status":"ok"}')
            return
        if (match := _PATH.fullmatch(raw)) is None:
            raise NotFound("there is nothing here: open an instance with 'nacre instance open NAME'")
        instance_id, rest = match[1].decode(), match[2]
        if rest is None:
            await answers.redirect(send, f"/instances/{instance_id}/")
        elif rest == _ENTER:
            await self._enter(scope, send, instance_id)
        elif rest.startswith(b"/_nacre/"):
            raise NotFound("there is nothing here")
        else:
            await self._to_instance(scope, receive, send, instance_id, rest)

    async def _enter(self, scope: Scope, send: Send, instance_id: str) -> None:
        if scope["method"] != "GET":
            raise NotFound("there is nothing here")
        ticket = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[0]
        entry = await asyncio.to_thread(self._services.instances.door.enter, instance_id, ticket)
        cookie = (
            f"{headers.COOKIE}={entry.secret}; Path=/instances/{instance_id}/; "
            f"Max-Age={int(entry.lifetime_s)}; "
            "HttpOnly; SameSite=Lax"
        )
        if self._origin.startswith("https:"):
            cookie += "; Secure"
        page = f"/instances/{instance_id}/{entry.landing}"
        await answers.redirect(send, page, [(b"set-cookie", cookie.encode())])

    async def _to_instance(
        self, scope: Scope, receive: Receive, send: Send, instance_id: str, rest: bytes
    ) -> None:
        request: headers.Headers = list(scope["headers"])
        admission, upstream = await self._admit(scope, instance_id)
        if upstream is None:
            error, refresh_s = _not_running(admission)
            title = f"{admission.name} is {admission.state}"
            await answers.problem(send, error, request, title=title, refresh_s=refresh_s)
            return
        if scope["method"] not in headers.SAFE_METHODS or rest.startswith((b"/lab", b"/tree")):
            self._touch(instance_id)
        link = await self._links.take(upstream)
        try:
            await forward(scope, receive, send, link, upstream.token)
        finally:
            await self._links.release(link)

    # -- who may ------------------------------------------------------------------------------------------

    async def _admit(self, scope: Scope, instance_id: str) -> tuple[Admission, Upstream | None]:
        request: headers.Headers = list(scope["headers"])
        secret = headers.bearer(request)
        secrets = [secret] if secret else headers.cookies(request)
        if secret is None and secrets:
            unsafe = scope["type"] == "websocket" or scope["method"] not in headers.SAFE_METHODS
            if unsafe and not headers.same_origin(request, self._origin):
                raise PermissionDenied("a page of another origin may not use this instance")
        return await asyncio.to_thread(self._admitted, secrets, instance_id, secret is None)

    def _admitted(
        self, secrets: list[str], instance_id: str, by_cookie: bool
    ) -> tuple[Admission, Upstream | None]:
        for secret in secrets:
            caller: Caller | None = self._services.tokens.resolve(secret)
            if caller is not None:
                admission = self._services.instances.door.admit(caller, instance_id, by_cookie=by_cookie)
                found = self._upstreams(instance_id) if admission.state is InstanceState.RUNNING else None
                return admission, Upstream(*found) if found is not None else None
        raise Unauthenticated(
            "this browser is not signed in to this instance: open it with 'nacre instance open NAME', "
            "or from the console"
        )

    def _touch(self, instance_id: str) -> None:
        """Note that a person is at work in it; a few writes a minute at most."""
        now = time.monotonic()
        if now - self._touched.get(instance_id, -_TOUCH_SECONDS) < _TOUCH_SECONDS:
            return
        self._touched[instance_id] = now
        task = asyncio.ensure_future(self._write_touch(instance_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_touch(self, instance_id: str) -> None:
        try:
            await asyncio.to_thread(self._services.instances.door.touch, instance_id)
        except NacreError as error:
            _log.warning("the activity of %s was not noted: %s", instance_id, error.detail)

    # -- WebSocket ----------------------------------------------------------------------------------------

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        try:
            match = _PATH.fullmatch(scope["raw_path"])
            if match is None or match[2] is None:
                raise NotFound("there is nothing here")
            await self._join(scope, receive, send, match[1].decode())
        except sockets.Refused as refusal:
            await _deny(scope, send, refusal.status, b"")
        except NacreError as error:
            await _deny(scope, send, error.status, json.dumps(error.problem()).encode())

    async def _join(self, scope: Scope, receive: Receive, send: Send, instance_id: str) -> None:
        admission, upstream = await self._admit(scope, instance_id)
        if upstream is None:
            raise _not_running(admission)[0]
        self._touch(instance_id)
        link = await self._links.take(upstream)
        try:
            connection = await sockets.connect(scope, link, upstream.token)
            await sockets.join(
                connection,
                receive,
                send,
                allowed=self._while_allowed(scope, instance_id),
                active=lambda: self._touch(instance_id),
            )
        finally:
            await self._links.release(link)

    def _while_allowed(self, scope: Scope, instance_id: str) -> Callable[[], Awaitable[None]]:
        async def watch() -> None:
            with self._services.signals.listen_async("access") as changed:
                while True:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), _RECHECK_SECONDS)
                    changed.clear()
                    try:
                        await self._admit(scope, instance_id)
                    except Unavailable:
                        continue  # the database rests; what was allowed stays so for now
                    except NacreError:
                        return

        return watch


def _not_running(admission: Admission) -> tuple[NacreError, int | None]:
    """What to answer instead, and after how many seconds to look again."""
    name, state, why = admission.name, admission.state, admission.message
    because = f" ({why.rstrip('.')})" if why else ""
    if state in _ON_ITS_WAY or state is InstanceState.RUNNING:
        return Unavailable(f"instance {name} is {state}{because}: this takes a moment", state=state), 2
    start = f"start it with 'nacre --project {admission.project} instance start {name}'"
    return Conflict(f"instance {name} is {state}{because}: {start}", state=state), None


async def _deny(scope: Scope, send: Send, status: int, body: bytes) -> None:
    """Refuse the handshake, with an HTTP status where the server can."""
    if "websocket.http.response" in scope.get("extensions", {}):
        kind = [(b"content-type", b"application/problem+json")] if body else []
        await send({"type": "websocket.http.response.start", "status": status, "headers": kind})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close", "code": sockets.POLICY})
