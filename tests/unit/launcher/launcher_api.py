"""A small server with the channels' semantics, which can be away, forget to answer, and fence."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from blake3 import blake3


class FakeApi:
    """Keeps every channel's bytes. ``away`` answers nothing; ``lose_every`` n loses each n-th answer.

    ``gang``: so many replicas must be ready before each is told of all.
    """

    def __init__(self) -> None:
        self.channels: dict[str, bytearray] = {}
        self.blobs: dict[str, bytes] = {}
        self.sent_blobs: list[str] = []
        self.away = False
        self.lose_every = 0
        self.desired = "run"
        self.reason: str | None = None
        self.grace_s: float | None = None
        self.gang = 0
        self.fenced = False
        self.refuse: Callable[[str, bytes], bool] = lambda _name, _body: False
        self.puts: list[tuple[float, str, int, int]] = []
        self.wrong: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def channel(self, name: str, rank: int = 0) -> bytes:
        return bytes(self.channels.get(f"{rank}/{name}", b""))

    def events(self, rank: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.channel("events", rank).splitlines() if line.strip()]

    def put(self, key: str, offset: int, body: bytes) -> dict[str, Any]:
        with self._lock:
            kept = self.channels.setdefault(key, bytearray())
            self.puts.append((time.monotonic(), key, offset, len(body)))
            if not key.endswith("/log") and body and not body.endswith(b"\n"):
                self.wrong.append(f"{key}: half a line at {offset}")
            if len(body) > (256 * 2**10 if key.endswith("/log") else 2**20):
                self.wrong.append(f"{key}: {len(body)} bytes at once")
            if offset <= len(kept):
                kept += body[len(kept) - offset :]
            answer: dict[str, Any] = {"offset": len(kept), "desired": self.desired}
            if self.reason:
                answer["reason"] = self.reason
            if self.grace_s is not None:
                answer["grace_s"] = self.grace_s
            members = [ready for rank in range(self.gang) for ready in self.ready(rank)]
            if members and len(members) == self.gang:
                answer["rendezvous"] = members
            return answer

    def ready(self, rank: int) -> list[dict[str, Any]]:
        """What a replica has said of where it is reached, each time that it did."""
        events = [event for event in self.events(rank) if event["type"] == "ready"]
        return [{"rank": rank, "address": event["address"], "ports": event["ports"]} for event in events]


class _Handler(BaseHTTPRequestHandler):
    """Routes of the launcher's part of the API."""

    api: FakeApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_args: object) -> None:
        pass

    def _answer(self, status: int, value: object) -> None:
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _turn(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.api.away:
            self.close_connection = True
        elif self.headers["Authorization"] != "Bearer secret-token":
            self._answer(401, {"code": "unauthenticated", "detail": "wrong token"})
        elif self.api.fenced:
            self._answer(409, {"code": "conflict", "detail": "another attempt is current"})
        else:
            self._route(urlsplit(self.path).path.split("/")[3:], body)

    def do_PUT(self) -> None:
        self._turn()

    def do_POST(self) -> None:
        self._turn()

    def do_GET(self) -> None:
        self._turn()

    def _route(self, parts: list[str], body: bytes) -> None:
        match parts:
            case ["attempts", _, "replicas", rank, name]:
                self._channel(f"{rank}/{name}", body)
            case ["attempts", _, "blobs", "missing"]:
                asked = json.loads(body)["digests"]
                self._answer(200, {"missing": [d for d in asked if d not in self.api.blobs]})
            case ["attempts", _, "blobs", digest] if self.command == "PUT":
                self._blob(digest, body)
            case ["attempts", _, "blobs", digest] if digest in self.api.blobs:
                self._answer(200, self.api.blobs[digest])
            case _:
                self._answer(404, {"code": "not_found", "detail": "no such blob"})

    def _blob(self, digest: str, body: bytes) -> None:
        if blake3(body).hexdigest() != digest:
            self._answer(422, {"code": "invalid_spec", "detail": "not that digest"})
            return
        self.api.blobs[digest] = body
        self.api.sent_blobs.append(digest)
        self._answer(200, {})

    def _channel(self, key: str, body: bytes) -> None:
        if body and self.api.refuse(key, body):
            self._answer(422, {"code": "invalid_spec", "detail": "a line is not understood"})
            return
        offset = int(parse_qs(urlsplit(self.path).query)["offset"][0])
        answer = self.api.put(key, offset, body)
        if self.api.lose_every and len(self.api.puts) % self.api.lose_every == 0:
            self.close_connection = True
            return
        self._answer(200, answer)
