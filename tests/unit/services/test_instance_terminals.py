"""Terminals when what answers in Jupyter's place is not what it should be."""

from __future__ import annotations

import asyncio
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from websockets.asyncio.client import ClientConnection

from nacre.errors import Conflict, Unavailable
from nacre.services.instance_terminals import Terminal, join
from nacre.services.upstreams import Upstream


@contextmanager
def answering(path: Path, status: int, body: bytes, made: bytes = b"{}") -> Iterator[Upstream]:
    """A program that answers so to every GET, and with ``made`` to every POST."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(status, body)

        def do_POST(self) -> None:
            self._answer(200, made)

        def _answer(self, code: int, data: bytes) -> None:
            self.send_response(code)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            with suppress(BrokenPipeError):
                self.wfile.write(data)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: Any) -> None:
            pass

    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Upstream(str(path), "token")
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize(
    ("status", "body", "made"),
    [
        (500, b"[]", b"{}"),
        (302, b"[]", b"{}"),
        (200, b"not json", b"{}"),
        (200, b"7", b"{}"),
        (200, b'[{"nome": 1}]', b"{}"),
        (200, b'["a"]', b"{}"),
        (200, b"[" + b" " * (2**20) + b"]", b"{}"),
        (200, b"[]", b"{}"),
        (200, b"[]", b'{"name": 7}'),
        (200, b"[]", b'{"name": "../api/kernels"}'),
        (200, b"[]", b'{"name": "1"}'),  # as promised, but then no WebSocket
    ],
)
def test_an_answer_that_makes_no_sense_is_a_sentence(
    tmp_path: Path, status: int, body: bytes, made: bytes
) -> None:
    with (
        answering(tmp_path / "j.sock", status, body, made) as upstream,
        pytest.raises(Unavailable, match="do not answer: look at its log"),
    ):
        asyncio.run(join(upstream, "ins_1", None))


def test_a_link_in_the_place_of_the_socket_is_not_followed(tmp_path: Path) -> None:
    with answering(tmp_path / "j.sock", 200, b"[]"):
        (tmp_path / "link").symlink_to(tmp_path / "j.sock")
        with pytest.raises(Unavailable, match="not a socket"):
            asyncio.run(join(Upstream(str(tmp_path / "link"), "t"), "ins_1", None))


def test_terminals_have_an_end(tmp_path: Path) -> None:
    many = json.dumps([{"name": str(n)} for n in range(64)]).encode()
    with (
        answering(tmp_path / "j.sock", 200, many) as upstream,
        pytest.raises(Conflict, match="64 terminals already"),
    ):
        asyncio.run(join(upstream, "ins_1", "another"))


class Said:
    """Stands for the WebSocket: what Jupyter says."""

    def __init__(self, *messages: Any) -> None:
        self._messages = [m if isinstance(m, str | bytes) else json.dumps(m) for m in messages]

    async def __aiter__(self) -> Any:
        for message in self._messages:
            yield message


def heard(*messages: Any) -> tuple[bytes, Terminal]:
    terminal = Terminal(cast(ClientConnection, Said(*messages)), "1", ["1"], resumed=False)

    async def read() -> bytes:
        return b"".join([data async for data in terminal])

    return asyncio.run(read()), terminal


def test_what_jupyter_says() -> None:
    said, terminal = heard(["setup", {}], ["stdout", "ü$ "], ["stdout", "exit\r\n"], ["disconnect", 1])
    assert said == "ü$ exit\r\n".encode()
    assert terminal.ended
    assert terminal.code is None


@pytest.mark.parametrize(
    "odd", ["", "{}", "[]", "7", "null", '["stdout"]', '["stdout", 7]', b"\xff", '[["a"]]']
)
def test_what_makes_no_sense_is_passed_over(odd: Any) -> None:
    said, terminal = heard(["stdout", "a"], odd, ["stdout", "b"])
    assert said == b"ab"
    assert not terminal.ended, "the connection broke: it may be joined again"


@pytest.mark.parametrize(
    "pieces",
    [["x\x1b]7373;exit=", "42\x07"], ["\x1b]73", "73;ex", "it=42", "\x07"], ["\x1b]7373;exit=42\x07"]],
)
def test_the_exit_code_may_come_in_pieces(pieces: list[str]) -> None:
    _, terminal = heard(*(["stdout", piece] for piece in pieces), ["disconnect", 1])
    assert terminal.code == 42
    assert terminal.ended
