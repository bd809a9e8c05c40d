"""HTTP cut into any pieces, and bytes that are no HTTP: the same answers, or a refusal and the end."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import pairwise
from typing import Any

import orjson
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver.http import Connection
from nacre.modelserver.limits import Limits
from nacre.modelserver.listener import Listener
from nacre.modelserver.messages import Request, Response

LIMITS = Limits(max_body=4096, max_headers=2048, check_first=512)
AFTER = 10_000.0
"""Seconds, beyond all limits of time."""


class Mirror:
    """Answers what it was asked: at once, by a future or by ``respond``, as the target says."""

    def refuse(self, request: Request) -> Response | None:
        return None

    def handle(self, request: Request) -> Response | asyncio.Future[Response] | None:
        response = Response(200, told(request.method, request.target, request.body, request.headers))
        loop = asyncio.get_running_loop()
        if b"future" in request.target:
            future: asyncio.Future[Response] = loop.create_future()
            loop.call_soon(future.set_result, response)
            return future
        if b"later" in request.target:
            assert request.respond is not None
            loop.call_soon(request.respond, response)
            return None
        return response


def told(method: bytes, target: bytes, body: bytes, headers: dict[bytes, bytes]) -> bytes:
    seen = headers.get(b"authorization", b"").decode("latin-1")
    return orjson.dumps([method.decode(), target.decode("latin-1"), body.hex(), seen])


class Wire:
    """The transport of a connection: bytes are delivered only while it reads."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.pieces: deque[bytes] = deque()
        self.reading = True
        self.ended = False
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.sent += data

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_extra_info(self, _: str) -> None:
        return None


def exchange(pieces: list[bytes], finish: bool = False) -> tuple[bytes, bool]:
    """What a connection answers to these reads, and whether it ended. ``finish``: wait beyond all times."""

    async def main() -> tuple[bytes, bool]:
        listener = Listener(Mirror(), LIMITS)
        listener.date = "Date: now\r\n"
        connection, wire = Connection(listener), Wire()
        connection.connection_made(wire)  # type: ignore[arg-type]
        wire.pieces.extend(piece for piece in pieces if piece)
        idle = 0
        while idle < 80 and not wire.closed:
            if wire.reading and wire.pieces:
                idle = 0
                connection.data_received(wire.pieces.popleft())
            await asyncio.sleep(0)
            idle += 1
        if finish:
            for _ in range(2):
                connection.sweep(listener.now + AFTER)
                listener.now += AFTER
        ended = wire.ended or wire.closed
        assert ended or not wire.pieces, "what was sent has to be read"
        connection.connection_lost(None)
        assert (listener.held, listener.connections) == (0, 0)
        return bytes(wire.sent), ended

    return uvloop.run(asyncio.wait_for(main(), 20))  # type: ignore[arg-type]


def answers(sent: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each answer; all of the bytes have to belong to one."""
    found = []
    while sent:
        head, _, sent = sent.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        lengths = [
            line.partition(b": ")[2] for line in head.split(b"\r\n") if line.startswith(b"Content-Length")
        ]
        length = int(lengths[0]) if lengths else 0
        if status != 100:
            assert len(lengths) == 1
        found.append((status, sent[:length]))
        assert len(sent) >= length
        sent = sent[length:]
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[left:right] for left, right in pairwise(marks)]


# ---- requests as they should be

TARGETS = [b"/", b"/a?b=c", b"/future", b"/later", b"/" + b"x" * 300]


@st.composite
def a_request(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The bytes of a request, and the answer's body."""
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE"]))
    target = draw(st.sampled_from(TARGETS))
    body = draw(st.binary(max_size=50)) if method != b"GET" else b""
    body = (
        draw(st.sampled_from([body, body, body, b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"])) if body else b""
    )
    token = draw(st.sampled_from([b"", b"Bearer a", b"Bearer b"]))
    lines = [b"%s %s HTTP/1.1" % (method, target), b"Host: x"]
    if token:
        lines.append(
            draw(st.sampled_from([b"Authorization: ", b"authorization:", b"AUTHORIZATION:  "])) + token
        )
    lines += draw(st.lists(st.sampled_from([b"X-Other: 1", b"Accept: */*", b"Cookie: a=b"]), max_size=2))
    chunked = bool(body) and draw(st.booleans())
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
        size = draw(st.integers(1, 20))
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        tail = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    else:
        if body or draw(st.booleans()):
            lines.append(b"Content-Length: %d" % len(body))
        tail = body
    if body and draw(st.integers(0, 9)) == 0:
        lines.append(b"Connection: Upgrade\r\nUpgrade: h2c")
    headers = {b"authorization": token} if token else {}
    return b"\r\n".join(lines) + b"\r\n\r\n" + tail, told(method, target, body, headers)


@given(st.lists(a_request(), min_size=1, max_size=6), st.lists(st.integers(0, 5000), max_size=12))
@settings(max_examples=400)
def test_any_cuts_give_the_same_answers(made: list[tuple[bytes, bytes]], places: list[int]) -> None:
    # Each twice: the second time a head may be one that is known.
    made = [one for one in made for _ in range(2)]
    data = b"".join(asked for asked, _ in made)
    wanted = [(200, body) for _, body in made]
    for pieces in ([data], [asked for asked, _ in made], cut(data, places)):
        sent, ended = exchange(pieces)
        assert answers(sent) == wanted
        assert not ended


def test_every_octet_alone() -> None:
    asked = b"POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    sent, ended = exchange([bytes([octet]) for octet in asked * 3])
    assert answers(sent) == [(200, told(b"POST", b"/later", b"abc", {}))] * 3
    assert not ended


def test_a_known_head_with_another_body_is_another_request() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
    sent, _ = exchange(
        [head + b"abc", head + b"def", head, b"ghi", head + b"jk", b"l", head + b"mno" + head + b"pqr"]
    )
    texts = [b"abc", b"def", b"ghi", b"jkl", b"mno", b"pqr"]
    assert answers(sent) == [(200, told(b"POST", b"/", text, {})) for text in texts]


@pytest.mark.parametrize(
    "ending",
    [
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
    ],
)
def test_heads_that_decide_more_are_parsed_each_time(ending: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\n" + ending
    if b"Length" not in ending and b"chunked" not in ending:
        head += b"Content-Length: 3\r\n"
    body = b"3\r\nabc\r\n0\r\n\r\n" if b"chunked" in ending else b"abc"
    whole, _ = exchange([head + b"\r\n" + body, head + b"\r\n" + body])
    bytewise, _ = exchange([bytes([octet]) for octet in (head + b"\r\n" + body) * 2])
    statuses = [status for status, _ in answers(whole) if status != 100]
    assert statuses == [status for status, _ in answers(bytewise) if status != 100]
    assert statuses == ([200, 200] if b"Expect" in ending or b"chunked" in ending else statuses[:1])


def test_trailers_are_no_headers() -> None:
    head = b"POST / HTTP/1.1\r\nAuthorization: Bearer a\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent, _ = exchange([head + b"3\r\nabc\r\n0\r\nAuthorization: Bearer b\r\n\r\n"])
    assert answers(sent) == [(200, told(b"POST", b"/", b"abc", {b"authorization": b"Bearer a"}))]


# ---- and as they should not


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
@settings(max_examples=500)
def test_random_bytes_are_refused_or_waited_for(data: bytes, places: list[int]) -> None:
    sent, ended = exchange(cut(data, places), finish=True)
    assert ended
    assert all(status == 200 or 400 <= status < 500 for status, _ in answers(sent))


@given(
    st.lists(a_request(), min_size=1, max_size=3),
    st.integers(0, 5000),
    st.sampled_from(
        [b"", b"\0", b"\r\n", b"\n", b" ", b":", b"\xff", b"0", b"Content-Length: 1\r\n", b"G", b"chunked"]
    ),
    st.integers(0, 3),
    st.lists(st.integers(0, 5000), max_size=5),
)
@settings(max_examples=800)
def test_damaged_requests_end_in_an_answer_that_does_not_depend_on_the_cuts(
    made: list[tuple[bytes, bytes]], at: int, put: bytes, drop: int, places: list[int]
) -> None:
    data = b"".join(asked for asked, _ in made)
    at %= len(data)
    data = data[:at] + put + data[at + drop :]
    whole, ended = exchange([data], finish=True)
    cuts, _ = exchange(cut(data, places), finish=True)
    assert ended
    assert [status for status, _ in answers(whole)] == [status for status, _ in answers(cuts)]
    assert all(status == 200 or 400 <= status < 500 for status, _ in answers(whole))


BOMBS = {
    "one endless header": b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000,
    "endless headers": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    "an endless target": b"GET /" + b"a" * 100_000,
    "an endless method": b"A" * 100_000,
    "endless new lines before": b"\r\n" * 50_000,
    "an endless chunk extension": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;"
    + b"a" * 100_000,
    "endless trailers": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    + b"A: b\r\n" * 20_000,
    "one octet a chunk": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20_000,
    "a length of many digits": b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 1000 + b"\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "a length with a sign": b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc",
    "a chunk of many digits": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"f" * 40
    + b"\r\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    data = BOMBS[name]
    for pieces in ([data], [data[at : at + 1000] for at in range(0, len(data), 1000)]):
        sent, ended = exchange(pieces, finish=True)
        assert ended
        assert [status for status, _ in answers(sent)] in ([400], [413], [431], [408], []), answers(sent)
