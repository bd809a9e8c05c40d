"""A package proxy in a thread, hosts behind it on loopback, and a client that says what it is told."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nacre.proxy.packages import PackageProxy

Talk = Callable[[socket.socket], None]


class Names:
    """What the name service says; a host may get another address at each look."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self.asked: list[str] = []

    def getaddrinfo(self, host: str, port: int, *args: object, **more: object) -> list[object]:
        self.asked.append(host)
        known = self.addresses.get(host)
        if known is None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        address = known.pop(0) if len(known) > 1 else known[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]


class Host:
    """A server on loopback: each connection is given to ``talk`` in a thread."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        self._talk = talk
        self._tls = tls
        self._listener = socket.create_server((address, 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        threads = []
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threads.append(threading.Thread(target=self._one, args=(connection,)))
                threads[-1].start()
        for thread in threads:
            thread.join(10)

    def _one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(10)
            if self._tls is None:
                self._talk(connection)
                return
            with self._tls.wrap_socket(connection, server_side=True) as safe:
                self._talk(safe)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


class Pages(Host):
    """Answers every request with this; the heads of requests are noted in ``heard``."""

    def __init__(self, body: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[bytes] = []
        self._body = body
        super().__init__(self._answer, tls)

    def _answer(self, connection: socket.socket) -> None:
        head = head_of(connection)
        if head:
            self.heard.append(head)
            size = len(self._body)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, self._body))


@contextmanager
def serving(proxy: PackageProxy, path: Path) -> Iterator[Path]:
    """The proxy on a unix socket, in a thread of its own."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(512)
    ready, over = threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        loops.append(asyncio.get_running_loop())
        end = asyncio.Event()
        ends.append(end)
        await proxy.start(listener)
        ready.set()
        await end.wait()
        await proxy.stop()

    ends: list[asyncio.Event] = []
    thread = threading.Thread(target=lambda: (asyncio.run(run()), over.set()))
    thread.start()
    assert ready.wait(10)
    try:
        yield path
    finally:
        loops[0].call_soon_threadsafe(ends[0].set)
        thread.join(10)
        assert over.is_set(), "the proxy did not stop"


def connect(path: Path) -> socket.socket:
    """A connection to the proxy."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(os.fspath(path))
    return client


def head_of(client: socket.socket) -> bytes:
    """The head of an answer, and nothing after it."""
    found = b""
    while not found.endswith(b"\r\n\r\n"):
        data = client.recv(1)
        if not data:
            break
        found += data
    return found


def say(path: Path, request: bytes) -> bytes:
    """All of what the proxy answers to this."""
    with connect(path) as client:
        client.sendall(request)
        found = b""
        with suppress(ConnectionResetError):
            while data := client.recv(65536):
                found += data
        return found
