"""The way to package indexes for work of projects with the network ``packages``: an HTTP proxy.

It knows ``CONNECT host:443`` and ``GET`` or ``HEAD`` of ``http://`` URLs, of the hosts on its list. A name
is looked up once, and the connection goes to an address that was looked at. Through a tunnel only TLS goes,
to the host that the tunnel was asked for. A connection has one request: nothing outlives it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import re
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from nacre.proxy.client_hello import UNRECOGNIZED_NAME, NoHello, read_hello
from nacre.proxy.package_hosts import HTTP, HTTPS, PackageHosts, Place, parse_place

log = logging.getLogger("nacre.proxy.packages")

_CHUNK = 256 * 1024
_REQUEST = re.compile(r"([A-Z]{1,16}) ([\x21-\x7e]{1,8192}) HTTP/1\.[01]\Z")
_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)\Z")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r)")
_OURS = {"host", "connection", "keep-alive", "te", "trailer", "upgrade", "expect", "content-length"}
"""Headers of one hop; and those that begin with ``proxy-``. Others are passed on."""

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Limits:
    """Seconds, bytes, and connections at a time. ``each``: of one piece of work."""

    head_bytes: int = 32 * 1024
    head_s: float = 15.0
    connect_s: float = 20.0
    idle_s: float = 120.0
    each: int = 64
    all: int = 512


class _Refused(Exception):
    """Answered with this status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True)
class _Request:
    method: str
    target: str
    headers: list[tuple[str, str]]


class PackageProxy:
    """Serves on a listening unix socket between :meth:`start` and :meth:`stop`."""

    def __init__(
        self, hosts: PackageHosts, upstream: Mapping[str, str] | None = None, limits: Limits | None = None
    ) -> None:
        """``upstream``: the server's own proxies: ``http``, ``https``; ``no``: hosts reached without."""
        self._hosts = hosts
        self._upstream = dict(upstream or {})
        self._limits = limits or Limits()
        self._server: asyncio.Server | None = None
        self._open: Counter[int] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, listener: socket.socket) -> None:
        """Accept connections of this socket."""
        self._server = await asyncio.start_unix_server(
            self._accept, sock=listener, limit=self._limits.head_bytes
        )

    async def stop(self) -> None:
        """Accept no more, and end what is open."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        work = _peer(writer)
        self._tasks.add(task)
        self._open[work] += 1
        try:
            await self._answer(reader, writer, work)
        except (OSError, EOFError, TimeoutError):
            pass  # it has gone, or does nothing
        finally:
            self._tasks.discard(task)
            self._open[work] -= 1
            if not self._open[work]:
                del self._open[work]
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, work: int) -> None:
        method = ""
        try:
            if self._open[work] > self._limits.each or self._open.total() > self._limits.all:
                raise _Refused(503, "too many connections to package indexes at a time: close some")
            request = await self._read(reader)
            method = request.method
            if method == "CONNECT":
                await self._tunnel(request, reader, writer)
            elif method in ("GET", "HEAD"):
                await self._forward(request, reader, writer)
            else:
                raise _Refused(405, "package indexes are only read: the methods are CONNECT, GET and HEAD")
        except _Refused as refused:
            log.debug("refused: %d %s", refused.status, refused.sentence)
            body = b"" if method == "HEAD" else f"{refused.sentence}\n".encode()
            # Clients show the reason phrase, and of a tunnel nothing else.
            head = f"HTTP/1.1 {refused.status} {refused.sentence}\r\nContent-Type: text/plain\r\n"
            head += f"Content-Length: {len(refused.sentence) + 1}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode("ascii", "replace") + body)
            async with asyncio.timeout(self._limits.head_s):
                await writer.drain()

    async def _read(self, reader: asyncio.StreamReader) -> _Request:
        try:
            async with asyncio.timeout(self._limits.head_s):
                raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise _Refused(431, "the request's head is too long") from error
        except TimeoutError as error:
            raise _Refused(408, "the request did not come") from error
        first, *lines = raw.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        request = _REQUEST.match(first)
        if request is None:
            raise _Refused(400, "this is no request to an HTTP proxy")
        headers = []
        for line in lines:
            header = _HEADER.match(line)
            if header is None:
                raise _Refused(400, "the request has a malformed header")
            name, value = header[1].lower(), header[2].strip()
            if name == "transfer-encoding" or (name == "content-length" and value != "0"):
                raise _Refused(400, "package indexes are only read: the request has a body")
            headers.append((header[1], value))
        return _Request(request[1], request[2], headers)

    def _check(self, host: str, port: int, usual: int) -> None:
        if not self._hosts.allows(host, port, usual):
            where = host if port == usual else f"{host}:{port}"
            raise _Refused(
                403,
                f"{where} is not among the package hosts of this server: its administrator can add it to "
                "NACRE_PACKAGE_HOSTS, or an owner of the project can open the network with --network full",
            )

    # CONNECT

    async def _tunnel(
        self, request: _Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        place = parse_place(request.target)
        if place is None or place.port is None:
            raise _Refused(400, "CONNECT takes HOST:PORT")
        host, port = place.host, place.port
        self._check(host, port, HTTPS)
        async with self._connect(host, port, "https") as (there, onward):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            try:
                async with asyncio.timeout(self._limits.head_s):
                    hello, name = await read_hello(reader)
            except NoHello:
                return
            if name != (None if _is_number(host) else host):
                log.debug("refused: TLS for %s in a tunnel to %s", name, host)
                writer.write(UNRECOGNIZED_NAME)
                await writer.drain()
                return
            onward.write(hello)
            await self._carry((reader, writer), (there, onward))

    async def _carry(self, client: Streams, server: Streams) -> None:
        """Both ways, until the server has said all or nothing moves."""
        async with asyncio.timeout(self._limits.idle_s) as limit:
            up = asyncio.create_task(self._copy(client[0], server[1], limit))
            try:
                await self._copy(server[0], client[1], limit)
            finally:
                up.cancel()
                await asyncio.gather(up, return_exceptions=True)

    async def _copy(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, limit: asyncio.Timeout
    ) -> None:
        loop = asyncio.get_running_loop()
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
            limit.reschedule(loop.time() + self._limits.idle_s)
        with contextlib.suppress(OSError):
            target.write_eof()

    # GET and HEAD

    async def _forward(
        self, request: _Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        authority, slash, path = request.target.removeprefix("http://").partition("/")
        place = parse_place(authority)
        if not request.target.startswith("http://") or place is None or not slash or "#" in path:
            raise _Refused(400, "the proxy takes http://HOST/PATH; for https it takes CONNECT")
        host, port = place.host, place.port or HTTP
        self._check(host, port, HTTP)
        proxy = self._proxy_for("http", host)
        target, more = f"/{path}", []
        if proxy is not None:
            target, more = request.target, _credentials(proxy)
        async with self._connect(host, port, "http", tunnel=False) as (there, onward):
            lines = [f"{request.method} {target} HTTP/1.1", f"Host: {_authority(place)}", *more]
            lines += [f"{name}: {value}" for name, value in request.headers if _passes(name)]
            onward.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1"))
            async with asyncio.timeout(self._limits.idle_s) as limit:
                answer = asyncio.create_task(self._copy(there, writer, limit))
                more_came = asyncio.create_task(reader.read(1))
                try:
                    await asyncio.wait({answer, more_came}, return_when=asyncio.FIRST_COMPLETED)
                    if answer.done() or not more_came.result():  # what comes after a request ends it
                        await answer
                finally:
                    for task in (answer, more_came):
                        task.cancel()
                    await asyncio.gather(answer, more_came, return_exceptions=True)

    # Connections

    def _proxy_for(self, scheme: str, host: str) -> str | None:
        proxy = self._upstream.get(scheme)
        return None if not proxy or proxy_bypass_environment(host, self._upstream) else proxy

    @contextlib.asynccontextmanager
    async def _connect(
        self, host: str, port: int, scheme: str, *, tunnel: bool = True
    ) -> AsyncIterator[Streams]:
        """To the host itself, or to the server's own proxy and with ``tunnel`` through that."""
        proxy = self._proxy_for(scheme, host)
        try:
            async with asyncio.timeout(self._limits.connect_s):
                if proxy is None:
                    streams = await self._direct(host, port)
                else:
                    streams = await self._through(proxy, Place(host, port), tunnel)
        except TimeoutError as error:
            raise _Refused(504, f"{host} does not answer") from error
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            raise _Refused(502, f"{host} cannot be reached from this server") from error
        try:
            yield streams
        finally:
            streams[1].close()

    async def _direct(self, host: str, port: int) -> Streams:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in found]
        allowed = [one for one in addresses if self._hosts.allows_address(host, port, one)]
        if addresses and not allowed:
            raise _Refused(403, f"{host} stands for an address of this machine or its link")
        last: OSError = OSError("no address")
        for address in dict.fromkeys(allowed):
            try:
                streams = await asyncio.open_connection(address, port, limit=_CHUNK)
            except OSError as error:
                last = error
                continue
            to, own = (streams[1].get_extra_info(name) for name in ("peername", "sockname"))
            if to and own and to[0] == own[0] and not self._hosts.trusts(host, port):
                streams[1].close()
                raise _Refused(403, f"{host} stands for an address of this machine or its link")
            return streams
        raise last

    async def _through(self, proxy: str, place: Place, tunnel: bool) -> Streams:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise _Refused(502, "the proxy of this server is none that package indexes can be reached by")
        safe = ssl.create_default_context() if parts.scheme == "https" else None
        port = parts.port or (HTTPS if safe else HTTP)
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=safe, limit=_CHUNK)
        if tunnel:
            where = _authority(place)
            lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}", *_credentials(proxy), "", ""]
            writer.write("\r\n".join(lines).encode("latin-1"))
            status = _STATUS.match(await reader.readuntil(b"\r\n\r\n"))
            if status is None or status[1] != b"200":
                writer.close()
                raise _Refused(502, f"the proxy of this server does not lead to {place.host}")
        return reader, writer


def _peer(writer: asyncio.StreamWriter) -> int:
    """The process at the other end: the bridge of one piece of work."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", raw)[0])


def _passes(name: str) -> bool:
    return name.lower() not in _OURS and not name.lower().startswith("proxy-")


def _authority(place: Place) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return host if place.port is None else f"{host}:{place.port}"


def _is_number(host: str) -> bool:
    return ":" in host or re.fullmatch(r"[\d.]+", host) is not None


def _credentials(proxy: str) -> list[str]:
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.username is None:
        return []
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return [f"Proxy-Authorization: Basic {base64.b64encode(words).decode()}"]
