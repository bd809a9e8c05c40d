"""HTTP/1.1 to Nacre's server over TCP or a unix socket, on one kept connection.

``http.client`` would cost 30 ms of imports before the user's first instruction; this costs 3.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any, BinaryIO

_FENCING = (401, 403, 404, 409, 410)


class Away(Exception):
    """The server cannot be reached, is starting, or is broken; trying again may help."""


class Refused(Exception):
    """The server understood and said no (a 4xx with Nacre's ``code``)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.detail = detail

    @property
    def fenced(self) -> bool:
        """Whether it means that the attempt is unknown to the server or no longer current."""
        return self.status in _FENCING


class Server:
    """One server, one connection, one thread at a time."""

    def __init__(self, address: str, token: str, timeout_s: float = 30.0) -> None:
        self._timeout = timeout_s
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._unix = ""
        self._base = ""
        host = "nacre"
        if address.startswith("unix:"):
            self._unix = address[5:]
        elif address.startswith("http://"):
            host, slash, path = address[7:].partition("/")
            self._base = (slash + path).rstrip("/")
            name, _, port = host.rpartition(":") if ":" in host.rpartition("]")[2] else (host, "", "")
            self._host = (name.strip("[]"), int(port or 80))
        else:
            raise ValueError(f"{address!r} is no address of a server: use http://host:port or unix:/path")
        self._headers = f"Host: {host}\r\nAuthorization: Bearer {token}\r\n".encode()

    def close(self) -> None:
        """Drop the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._buffer = b""

    def call(self, method: str, path: str, body: bytes = b"", timeout_s: float | None = None) -> Any:
        """Send a request and return the JSON of its answer. Raises Away or Refused."""
        head = self._head(method, path, len(body))
        for fresh in (self._socket is None, True):
            try:
                self._open(timeout_s or self._timeout)
                assert self._socket is not None
                self._socket.sendall(head + body)
                status, headers = self._answer()
                data = b"".join(self._body(status, headers))
            except (OSError, ValueError) as error:
                self.close()
                if fresh:  # a kept connection may have been closed meanwhile: once more, at once
                    raise Away(str(error)) from error
                continue
            self._end(headers)
            return _parse(status, data)
        raise AssertionError("unreachable")

    def upload(self, path: str, source: BinaryIO, size: int) -> Any:
        """PUT ``size`` bytes of a stream. Raises Away (also for a source that shrank) or Refused."""
        self.close()
        try:
            self._open(self._timeout)
            assert self._socket is not None
            self._socket.sendall(self._head("PUT", path, size))
            left = size
            while left:
                chunk = source.read(min(left, 1 << 20))
                if not chunk:
                    raise OSError("the file became shorter while it was sent")
                self._socket.sendall(chunk)
                left -= len(chunk)
            status, headers = self._answer()
            data = b"".join(self._body(status, headers))
        except (OSError, ValueError) as error:
            self.close()
            raise Away(str(error)) from error
        self._end(headers)
        return _parse(status, data)

    def download(self, path: str) -> Iterator[bytes]:
        """GET a body in pieces. Raises Away or Refused."""
        self.close()
        try:
            self._open(self._timeout)
            assert self._socket is not None
            self._socket.sendall(self._head("GET", path, 0))
            status, headers = self._answer()
            if status != 200:
                _parse(status, b"".join(self._body(status, headers)))
                raise Away(f"the server answered {status}")
            yield from self._body(status, headers)
        except (OSError, ValueError) as error:
            raise Away(str(error)) from error
        finally:
            self.close()

    def _head(self, method: str, path: str, size: int) -> bytes:
        start = f"{method} {self._base}{path} HTTP/1.1\r\n".encode()
        kind = b"Content-Type: application/json\r\n" if method == "POST" else b""
        return start + self._headers + kind + f"Content-Length: {size}\r\n\r\n".encode()

    def _open(self, timeout_s: float) -> None:
        if self._socket is None:
            if self._unix:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._socket.settimeout(5)
                _connect(self._socket, self._unix)
            else:
                self._socket = socket.create_connection(self._host, 5)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(timeout_s)

    def _end(self, headers: dict[str, str]) -> None:
        if headers.get("connection", "").lower() == "close":
            self.close()

    def _more(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data

    def _line(self) -> bytes:
        while b"\n" not in self._buffer:
            if len(self._buffer) > 1 << 16:
                raise ValueError("a header line without end")
            self._more()
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.rstrip(b"\r")

    def _answer(self) -> tuple[int, dict[str, str]]:
        status = 100
        headers: dict[str, str] = {}
        while 100 <= status < 200:
            words = self._line().split(None, 2)
            if len(words) < 2 or not words[0].startswith(b"HTTP/1."):
                raise ValueError("the answer is not HTTP")
            status = int(words[1])
            headers = {}
            while line := self._line():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.strip().lower()] = value.strip()
        return status, headers

    def _take(self, size: int) -> Iterator[bytes]:
        while size:
            if not self._buffer:
                self._more()
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(piece)
            yield piece

    def _body(self, status: int, headers: dict[str, str]) -> Iterator[bytes]:
        if status in (204, 304):
            return
        if "chunked" in headers.get("transfer-encoding", "").lower():
            while size := int(self._line().split(b";")[0], 16):
                yield from self._take(size)
                self._line()
            while self._line():
                pass
        elif "content-length" in headers:
            yield from self._take(int(headers["content-length"]))
        else:
            raise ValueError("an answer of unknown length")


def _connect(connecting: socket.socket, path: str) -> None:
    """Connect to a unix socket whose path may be longer than the 107 bytes that the kernel takes."""
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    try:
        connecting.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)


def _parse(status: int, data: bytes) -> Any:
    try:
        value = json.loads(data) if data else None
    except ValueError:
        value = None
    if 200 <= status < 300:
        return value
    # Only Nacre's own problem body counts as a refusal: a proxy in front may say 404 while the server
    # restarts, and that must not end the work.
    if (
        400 <= status < 500
        and status not in (408, 425, 429)
        and isinstance(value, dict)
        and "code" in value
    ):
        raise Refused(status, str(value["code"]), str(value.get("detail") or ""))
    raise Away(f"the server answered {status}")
