"""A server that only records: the launchers' side of the API, every byte kept and every fault noted."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from nacre.schema.launch import CHANNELS, ChannelAck, GangMember

Key = tuple[str, int, str]
"""Attempt, rank, channel."""


@dataclass
class Wish:
    """What the next answers ask of an attempt's launchers."""

    desired: str = "run"
    reason: str | None = None
    grace_s: float | None = None


class Recorder:
    """Takes the channels of any launcher, as Nacre's own server does, and remembers them.

    ``away``: nobody gets an answer. ``delay_s``: each answer takes that long. ``faults``: what no launcher
    may do, in sentences: a gap, other bytes than before at the same place, half a line, an event after the
    exit.

    Example::

        with Recorder() as recorder:
            engine.launch(spec, handle)     # spec.server is recorder.address
            recorder.log("att_1")
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.away = False
        self.delay_s = 0.0
        self.faults: list[str] = []
        self.blobs: dict[str, bytes] = {}
        self._taken: dict[Key, bytearray] = defaultdict(bytearray)
        self._wishes: dict[str, Wish] = {}
        self._gangs: dict[str, int] = {}
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"recorder": self})
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.address = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # What was heard

    def taken(self, attempt: str, channel: str, rank: int = 0) -> bytes:
        """All bytes of a channel so far."""
        with self._lock:
            return bytes(self._taken.get((attempt, rank, channel), b""))

    def log(self, attempt: str, rank: int = 0) -> bytes:
        """What the work printed."""
        return self.taken(attempt, "log", rank)

    def events(self, attempt: str, rank: int = 0) -> list[dict[str, Any]]:
        """The replica's events, in order."""
        return _lines(self.taken(attempt, "events", rank))

    def states(self, attempt: str, rank: int = 0) -> list[str]:
        """The states that the replica went through."""
        return [event["state"] for event in self.events(attempt, rank) if event["type"] == "state"]

    def exit(self, attempt: str, rank: int = 0) -> dict[str, Any] | None:
        """The exit event, once it is here."""
        return next((e for e in self.events(attempt, rank) if e["type"] == "exit"), None)

    # What is answered

    def stop(self, attempt: str, reason: str, grace_s: float | None = None) -> None:
        """Ask the launchers of an attempt to stop their work."""
        self._wishes[attempt] = Wish("stop", reason, grace_s)

    def fence(self, attempt: str) -> None:
        """Tell the launchers of an attempt that it is over."""
        self._wishes[attempt] = Wish("fence")

    def gang(self, attempt: str, size: int) -> None:
        """Open the attempt's barrier once ``size`` replicas are ready; it stays shut before this call."""
        self._gangs[attempt] = size

    def take(self, key: Key, offset: int, body: bytes) -> ChannelAck:
        """What lies past the end counts, as on the real server."""
        attempt = key[0]
        with self._lock:
            kept = self._taken[key]
            self._check(key, kept, offset, body)
            if offset <= len(kept):
                kept += body[len(kept) - offset :]
            wish = self._wishes.get(attempt, Wish())
            return ChannelAck.model_validate(
                {
                    "offset": len(kept),
                    "desired": wish.desired,
                    "reason": wish.reason,
                    "grace_s": wish.grace_s,
                    "rendezvous": self._rendezvous(attempt),
                }
            )

    def _check(self, key: Key, kept: bytearray, offset: int, body: bytes) -> None:
        attempt, rank, channel = key
        where = f"{attempt}/{rank}/{channel} at {offset}"
        if offset > len(kept):
            self.faults.append(f"{where}: a gap, for only {len(kept)} bytes were taken")
        again = kept[offset : offset + len(body)]
        if body[: len(again)] != again:
            self.faults.append(f"{where}: other bytes than the first time")
        if channel != "log" and body and not body.endswith(b"\n"):
            self.faults.append(f"{where}: half a line")
        fresh = body[len(again) :]
        if channel == "events" and fresh and any(e["type"] == "exit" for e in _lines(kept)):
            self.faults.append(f"{where}: an event after the exit")

    def _rendezvous(self, attempt: str) -> list[GangMember] | None:
        size = self._gangs.get(attempt)
        if size is None:
            return None
        members = []
        for rank in range(size):
            events = _lines(self._taken.get((attempt, rank, "events"), b""))
            ready = [event for event in events if event["type"] == "ready"]
            if not ready:
                return None
            members.append(GangMember(rank=rank, address=ready[0]["address"], ports=ready[0]["ports"]))
        return members


def _lines(data: bytes | bytearray) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


class _Handler(BaseHTTPRequestHandler):
    """``PUT …/attempts/A/replicas/R/CHANNEL`` and the blobs of an attempt."""

    recorder: Recorder
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_PUT(self) -> None:
        """Channels and blobs."""
        self._turn()

    def do_POST(self) -> None:
        """Which blobs are missing."""
        self._turn()

    def _turn(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.recorder.delay_s:
            time.sleep(self.recorder.delay_s)
        if self.recorder.away:
            self.close_connection = True
            return
        url = urlsplit(self.path)
        match url.path.split("/")[3:]:
            case ["attempts", attempt, "replicas", rank, channel] if channel in CHANNELS:
                offset = int(parse_qs(url.query)["offset"][0])
                ack = self.recorder.take((attempt, int(rank), channel), offset, body)
                self._answer(ack.model_dump(mode="json"))
            case ["attempts", _, "blobs", "missing"]:
                asked = json.loads(body)["digests"]
                self._answer({"missing": [d for d in asked if d not in self.recorder.blobs]})
            case ["attempts", _, "blobs", digest]:
                self.recorder.blobs[digest] = body
                self._answer({})
            case _:
                self.recorder.faults.append(f"{self.command} {self.path}: there is no such route")
                self._answer({"code": "not_found", "detail": "no such route"}, 404)

    def _answer(self, value: object, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
