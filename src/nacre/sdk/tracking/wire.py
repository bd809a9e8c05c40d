"""HTTP with the standard library: a request at a time, each on a connection of its own."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, BinaryIO
from urllib.parse import urlsplit


class Away(Exception):
    """The server cannot be reached, or cannot answer now: trying again may help."""


class Refused(Exception):
    """The server will never accept this."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("nacre", timeout=timeout)
        self._unix_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._unix_path)


class Wire:
    """``url``: ``http(s)://host:port[/prefix]`` or ``unix:/path``."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token
        self._parts = urlsplit(url)

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        if self.url.startswith("unix:"):
            return _UnixConnection(self.url[len("unix:") :], timeout_s)
        secure = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(self._parts.hostname or "", self._parts.port, timeout=timeout_s)

    def call(self, method: str, path: str, body: bytes | None = None, *, timeout_s: float = 30.0) -> Any:
        """The JSON answer, or null when it has no body. JSON is sent, except to paths of blobs.

        Raises:
            Away: no answer, or one of 408, 429, 5xx.
            Refused: any other error, with the server's sentence.
        """
        headers = {"Authorization": "Bearer " + self._token}
        if body is not None:
            raw = "/blobs/" in path and not path.endswith("/blobs/missing")
            headers["Content-Type"] = "application/octet-stream" if raw else "application/json"
        prefix = "" if self.url.startswith("unix:") else self._parts.path.rstrip("/")
        connection = self._connection(timeout_s)
        try:
            connection.request(method, prefix + path, body, headers)
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Away(f"{self.url} does not answer: {error}") from None
        finally:
            connection.close()
        if status < 400:
            return json.loads(content) if content else None
        detail = _detail(status, content)
        if status in (408, 429) or status >= 500:
            raise Away(detail)
        raise Refused(detail)

    def fetch(self, path: str, into: BinaryIO, *, timeout_s: float = 60.0) -> None:
        """Write the answer's bytes, piece by piece.

        Raises:
            Away: no whole answer; part of it may have been written.
            Refused: any other error, with the server's sentence.
        """
        prefix = "" if self.url.startswith("unix:") else self._parts.path.rstrip("/")
        connection = self._connection(timeout_s)
        try:
            connection.request("GET", prefix + path, headers={"Authorization": "Bearer " + self._token})
            response = connection.getresponse()
            if response.status < 400:
                while piece := response.read(1 << 20):
                    into.write(piece)
                if response.length:  # what is missing of the announced length
                    raise Away(f"{self.url} broke off its answer")
                return
            detail = _detail(response.status, response.read())
        except (OSError, http.client.HTTPException) as error:
            raise Away(f"{self.url} does not answer: {error}") from None
        finally:
            connection.close()
        raise Away(detail) if response.status in (408, 429) or response.status >= 500 else Refused(detail)


def _detail(status: int, content: bytes) -> str:
    try:
        return str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {status}"
