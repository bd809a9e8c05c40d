"""Frames in order and out of it: what RFC 9113 asks of a server, and floods that end a connection."""

from __future__ import annotations

from collections.abc import Callable

import grpc_kit
import modelserver_kit as kit
import pytest
from grpc_client import LARGE, Client, block, call, data, fields, headers, literals, message
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver.grpc import http2
from nacre.modelserver.grpc.connection import MOST_CALLS
from nacre.modelserver.grpc.http2 import (
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    frame,
)
from nacre.modelserver.http import PREFACE

PAIR = http2.SETTING.pack


def still_answers(client: Client, stream: int = 101) -> None:
    got = client.ask(call(stream))[stream]
    assert (got.status, got.messages) == (0, [b"hello"])
    assert client.goaway is None


def raw_headers(stream: int, payload: bytes, flags: int = http2.END_HEADERS) -> bytes:
    return frame(http2.HEADERS, flags, stream, payload)


# ---- the first frames


def test_the_server_tells_its_settings_first(client: Client) -> None:
    first = client.frames[0]
    told = dict(http2.SETTING.iter_unpack(first.payload))
    assert (first.kind, first.flags, first.stream) == (http2.SETTINGS, 0, 0)
    assert told[http2.MAX_CONCURRENT_STREAMS] == MOST_CALLS
    assert told[http2.INITIAL_WINDOW_SIZE] == 2**20
    assert client.acks == 1


@pytest.mark.parametrize(
    "first", [frame(http2.PING, 0, 0, bytes(8)), call(1), http2.window(0, 1), frame(250, 0, 0)]
)
def test_the_first_frame_has_to_be_settings(world: grpc_kit.World, first: bytes) -> None:
    client = world.begin(PREFACE + first)
    client.read()
    assert client.goaway
    assert client.goaway[1] == PROTOCOL_ERROR
    assert client.closed


@settings(max_examples=50)
@given(st.lists(st.integers(1, 40), max_size=60))
def test_frames_come_in_any_pieces(sizes: list[int]) -> None:
    sent = http2.settings() + call(1) + frame(http2.PING, 0, 0, b"12345678") + call(3, b"/t/Ask") + call(5)
    with grpc_kit.World() as world:
        client = world.begin(PREFACE)
        at = 0
        for size in sizes:
            client.send(sent[at : at + size])
            at += size
        client.ask(sent[at:])
        world.asked[0].answer(b"later")
        got = client.read()
        assert [got[stream].messages for stream in (1, 3, 5)] == [[b"hello"], [b"later"], [b"hello"]]
        assert client.pings == [b"12345678"]


# ---- frames that end the connection, by the reason

FAULTS = {
    "data on stream 0": (data(0, b"x"), PROTOCOL_ERROR),
    "data before headers": (data(7, b"x"), PROTOCOL_ERROR),
    "data on an even stream": (headers(5, b"/t/Ask") + data(2, b"x"), PROTOCOL_ERROR),
    "headers on stream 0": (headers(0), PROTOCOL_ERROR),
    "headers on an even stream": (headers(2), PROTOCOL_ERROR),
    "a window of what has not begun": (http2.window(9, 1), PROTOCOL_ERROR),
    "a window of an even stream": (headers(5, b"/t/Ask") + http2.window(4, 1), PROTOCOL_ERROR),
    "a window that grows by 0": (http2.window(0, 0), PROTOCOL_ERROR),
    "a reset of stream 0": (http2.reset(0, 8), PROTOCOL_ERROR),
    "a reset of what has not begun": (http2.reset(9, 8), PROTOCOL_ERROR),
    "a push": (frame(http2.PUSH, 4, 1, bytes(4)), PROTOCOL_ERROR),
    "settings on a stream": (frame(http2.SETTINGS, 0, 1), PROTOCOL_ERROR),
    "settings of 5 bytes": (frame(http2.SETTINGS, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    "an acknowledgement with settings": (frame(http2.SETTINGS, http2.ACK, 0, PAIR(3, 1)), FRAME_SIZE_ERROR),
    "a ping of 7 bytes": (frame(http2.PING, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "a ping of 9 bytes": (frame(http2.PING, 0, 0, bytes(9)), FRAME_SIZE_ERROR),
    "a ping on a stream": (frame(http2.PING, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "a priority of 4 bytes": (frame(http2.PRIORITY, 0, 1, bytes(4)), FRAME_SIZE_ERROR),
    "a priority of stream 0": (frame(http2.PRIORITY, 0, 0, bytes(5)), PROTOCOL_ERROR),
    "a reset of 3 bytes": (headers(1, b"/t/Ask") + frame(http2.RESET, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
    "a window of 5 bytes": (frame(http2.WINDOW, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    "a going away on a stream": (frame(http2.GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "a connection's window over the limit": (http2.window(0, LARGE) * 2, FLOW_CONTROL_ERROR),
    "a first window over the limit": (frame(4, 0, 0, PAIR(4, 2**31)), FLOW_CONTROL_ERROR),
    "frames that are too small": (frame(4, 0, 0, PAIR(5, 16383)), PROTOCOL_ERROR),
    "frames that are too large": (frame(4, 0, 0, PAIR(5, 2**24)), PROTOCOL_ERROR),
    "a long frame": (frame(http2.DATA, 0, 1, bytes(16385)), FRAME_SIZE_ERROR),
    "the head of a huge frame": (b"\xff\xff\xff\0\0\0\0\0\1", FRAME_SIZE_ERROR),
    "data with too much padding": (
        headers(1, b"/t/Ask") + frame(http2.DATA, http2.PADDED, 1, b"\4xyz"),
        PROTOCOL_ERROR,
    ),
    "headers with too much padding": (raw_headers(1, b"\x09" + bytes(8), 4 | http2.PADDED), PROTOCOL_ERROR),
    "headers that lack their padding": (raw_headers(1, b"", 4 | http2.PADDED), FRAME_SIZE_ERROR),
    "headers that cannot be read": (raw_headers(1, b"\xff\xff\xff\xff\xff\xff"), COMPRESSION_ERROR),
    "headers with an unknown index": (raw_headers(1, b"\xfe"), COMPRESSION_ERROR),
    "trailers that cannot be read": (headers(1, b"/t/Ask") + raw_headers(1, b"\xfe", 5), COMPRESSION_ERROR),
    "a continuation of nothing": (frame(http2.CONTINUATION, 4, 1, b""), PROTOCOL_ERROR),
    "a second continuation": (headers(1) + frame(http2.CONTINUATION, 4, 1, b""), PROTOCOL_ERROR),
    "headers interrupted by data": (raw_headers(1, b"", 0) + data(1), PROTOCOL_ERROR),
    "headers interrupted by headers": (raw_headers(1, b"", 0) + headers(3), PROTOCOL_ERROR),
    "headers interrupted by a ping": (
        raw_headers(1, b"", 0) + frame(http2.PING, 0, 0, bytes(8)),
        PROTOCOL_ERROR,
    ),
    "headers interrupted by what is unknown": (raw_headers(1, b"", 0) + frame(200, 0, 0), PROTOCOL_ERROR),
    "the continuation of another stream": (
        raw_headers(1, b"", 0) + frame(http2.CONTINUATION, 4, 3, b""),
        PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize(("sent", "code"), FAULTS.values(), ids=FAULTS)
def test_a_fault_ends_the_connection_with_its_reason(
    world: grpc_kit.World, client: Client, sent: bytes, code: int
) -> None:
    other = world.client()
    other.ask(headers(99, b"/t/Ask"))
    client.ask(sent)
    assert client.goaway is not None
    assert client.goaway[1] == code, client.goaway
    assert client.goaway[2]
    assert client.closed
    assert world.listener.connections == 1
    still_answers(other)


# ---- frames that end one call


def test_a_window_over_the_limit_ends_its_call(world: grpc_kit.World, client: Client) -> None:
    got = client.ask(call(1, b"/t/Ask"), http2.window(1, LARGE))
    assert got[1].reset == FLOW_CONTROL_ERROR
    assert world.asked[0].cancels == 1
    still_answers(client)


def test_data_after_the_end_of_a_call(world: grpc_kit.World, client: Client) -> None:
    client.ask(call(1, b"/t/Ask"), data(1, b"x"))
    ended = client.goaway[1] if client.goaway else client.calls[1].reset
    assert ended == STREAM_CLOSED
    assert world.asked[0].cancels == 1


@pytest.mark.parametrize("end", [0, http2.END_STREAM])
def test_headers_after_data_end_the_call_or_break_it(
    world: grpc_kit.World, client: Client, end: int
) -> None:
    later = raw_headers(1, literals({b"x-sum": b"1"}), http2.END_HEADERS | end)
    got = client.ask(headers(1, b"/t/Tell"), data(1, message()), later).get(1)
    if end:
        assert got is not None
        assert (got.status, got.messages) == (0, [b"hello"])
        still_answers(client)
    else:
        broken = client.goaway[1] if client.goaway else got and got.reset
        assert broken == PROTOCOL_ERROR
        assert world.told == []


def test_trailers_without_a_message(client: Client) -> None:
    trailers = raw_headers(1, literals({b"x-sum": b"1"}), 5)
    got = client.ask(headers(1), trailers)[1]
    assert (got.status, got.text) == (3, "the call ended without a message")


def test_frames_about_a_call_that_is_over_are_passed_by(client: Client) -> None:
    client.ask(call(1, body=b"refuse it"))
    assert client.calls[1].status == 5
    client.ask(data(1, b"x"), http2.window(1, 5), http2.reset(1, 8), frame(http2.PRIORITY, 0, 1, bytes(5)))
    client.ask(raw_headers(1, literals({b"x-sum": b"1"}), 5))
    still_answers(client)


def test_data_of_refused_calls_counts_on_the_connection(client: Client) -> None:
    client.ask(headers(1, authorization=None))
    before = client.windows[0]
    for _ in range(10):
        client.ask(data(1, bytes(2**20)))
    assert client.windows[0] - before > 6 * 2**20
    still_answers(client)


# ---- what is allowed


@pytest.mark.parametrize("pieces", [1, 2, 3, 20])
def test_headers_may_be_continued(client: Client, pieces: int) -> None:
    whole = block(b"/t/Tell")
    size = len(whole) // pieces + 1
    parts = [whole[at : at + size] for at in range(0, len(whole), size)] + [b""]
    sent = raw_headers(1, b"", 0)
    sent += b"".join(frame(http2.CONTINUATION, 0, 1, part) for part in parts)
    sent += frame(http2.CONTINUATION, http2.END_HEADERS, 1)
    got = client.ask(sent, data(1, message(), end=True))[1]
    assert (got.status, got.messages) == (0, [b"hello"])


def test_a_call_that_ends_with_its_headers_may_continue_them(client: Client) -> None:
    whole = block(b"/t/TellMany")
    sent = raw_headers(1, whole[:9], http2.END_STREAM)
    got = client.ask(sent, frame(http2.CONTINUATION, http2.END_HEADERS, 1, whole[9:]))[1]
    assert (got.status, got.messages, got.reset) == (0, [], None)


@pytest.mark.parametrize("padding", [0, 1, 255])
@pytest.mark.parametrize("priority", [False, True])
def test_padding_and_priority_are_taken_off(client: Client, padding: int, priority: bool) -> None:
    flags = http2.END_HEADERS | http2.PADDED | (http2.WITH_PRIORITY if priority else 0)
    own = b"\x80\0\0\3\x10" if priority else b""
    head = raw_headers(1, bytes((padding,)) + own + block(b"/t/Tell") + bytes(padding), flags)
    body = bytes((padding,)) + message() + bytes(padding)
    got = client.ask(head, frame(http2.DATA, http2.PADDED | http2.END_STREAM, 1, body))[1]
    assert (got.status, got.messages) == (0, [b"hello"])


@pytest.mark.parametrize("kind", [10, 0x10, 0x21, 0xFF])
def test_unknown_frames_are_passed_by(client: Client, kind: int) -> None:
    client.ask(headers(1), frame(kind, 0xFF, 1, b"anything"), frame(kind, 0, 0, bytes(100)))
    assert client.ask(data(1, message(), end=True))[1].status == 0


def test_the_reserved_bit_of_a_stream_is_passed_by(client: Client) -> None:
    sent = bytearray(call(1))
    sent[5] |= 0x80
    assert client.ask(bytes(sent))[1].status == 0


def test_a_ping_is_answered_and_an_answer_is_not(client: Client) -> None:
    client.ask(frame(http2.PING, 0, 0, b"abcdefgh"), frame(http2.PING, http2.ACK, 0, b"ijklmnop"))
    assert client.pings == [b"abcdefgh"]
    assert client.frames[-1].flags == http2.ACK


def test_settings_are_acknowledged_each_time(client: Client) -> None:
    client.ask(frame(4, 0, 0, PAIR(99, 7)), http2.settings(), frame(4, http2.ACK, 0))
    assert client.acks == 3
    still_answers(client)


def test_a_client_that_goes_away_in_words_is_served_on(client: Client) -> None:
    client.ask(frame(http2.GOAWAY, 0, 0, bytes(8)))
    still_answers(client)


def test_calls_beyond_the_most_are_refused_and_may_come_again(
    world: grpc_kit.World, client: Client
) -> None:
    for number in range(MOST_CALLS):
        client.send(call(2 * number + 1, b"/t/Ask"))
    got = client.ask(call(2001, b"/t/Ask"))
    assert got[2001].reset == REFUSED_STREAM
    assert len(world.asked) == MOST_CALLS
    world.asked[0].answer(b"first")
    still_answers(client, 2003)


# ---- floods

FLOODS: dict[str, Callable[[int], bytes]] = {
    "reset": lambda at: headers(2 * at + 1, b"/t/Ask") + http2.reset(2 * at + 1, 8),
    "made to reset by data": lambda at: call(2 * at + 1, b"/t/Ask") + data(2 * at + 1, b"x"),
    "made to reset by a window": lambda at: call(2 * at + 1, b"/t/Ask") + http2.window(2 * at + 1, LARGE),
    "ping": lambda _: frame(http2.PING, 0, 0, bytes(8)),
    "settings": lambda _: http2.settings(),
    "priority": lambda _: frame(http2.PRIORITY, 0, 1, bytes(5)),
    "unknown": lambda _: frame(77, 0, 0),
    "empty data": lambda at: data(1) if at else headers(1, b"/t/Ask"),
    "padded empty data": lambda at: frame(0, 8, 1, b"\x08" + bytes(8)) if at else headers(1, b"/t/Ask"),
    "window": lambda _: http2.window(0, 1),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_ends_the_connection(world: grpc_kit.World, client: Client, kind: str) -> None:
    for at in range(10_100):
        client.send(FLOODS[kind](at))
        if client.closed:
            break
    client.read()
    assert client.goaway is not None
    assert client.goaway[1] in (ENHANCE_YOUR_CALM, STREAM_CLOSED)
    assert client.closed
    if "reset" in kind:
        assert len(world.asked) <= 1001


@pytest.mark.parametrize("kind", ["reset", "ping", "empty data"])
def test_a_sweep_lets_as_much_pass_again(world: grpc_kit.World, client: Client, kind: str) -> None:
    most, at = 900 if kind == "reset" else 9000, 0
    for _ in range(3):
        client.ask(*(FLOODS[kind](at + more) for more in range(most)))
        at += most
        world.tick()
    still_answers(client, 2 * at + 1)


def test_a_flood_of_continuations_ends_the_connection(client: Client) -> None:
    client.ask(raw_headers(1, b"", 0), *(frame(http2.CONTINUATION, 0, 1) for _ in range(100)))
    assert client.goaway
    assert client.goaway[1] == ENHANCE_YOUR_CALM


def test_long_headers_in_pieces_end_the_connection(client: Client) -> None:
    client.ask(raw_headers(1, bytes(16384), 0), *(frame(9, 0, 1, bytes(16384)) for _ in range(3)))
    assert client.goaway
    assert client.goaway[1] == ENHANCE_YOUR_CALM


def test_settings_that_name_the_first_window_often_cost_little(
    world: grpc_kit.World, client: Client
) -> None:
    """All of 256 calls are looked at a few times, not for each of 2700 values."""
    for number in range(MOST_CALLS):
        client.send(call(2 * number + 1, body=b"size 70000"))
    client.read()
    before = client.transport.writes
    values = [1, 65535] * 1365
    client.send(frame(4, 0, 0, b"".join(PAIR(4, value) for value in values)))
    assert client.transport.writes - before < 10 * MOST_CALLS


# ---- the real server


def conversation(server: kit.Server, sent: bytes) -> list[tuple[int, bytes]]:
    """The frames that come until the server closes: their kinds and what is in them."""
    raw = server.connect().send(PREFACE + http2.settings() + sent)
    with raw.socket:
        while more := raw.socket.recv(65536):
            raw.buffer += more
    found = []
    while raw.buffer:
        high, low, kind, _, _ = http2.HEAD.unpack_from(raw.buffer)
        end = 9 + (high << 16 | low)
        found.append((kind, raw.buffer[9:end]))
        raw.buffer = raw.buffer[end:]
    return found


@pytest.mark.parametrize("name", ["data before headers", "a continuation of nothing", "a push"])
def test_a_real_server_tells_why_it_closes(server: kit.Server, name: str) -> None:
    sent, code = FAULTS[name]
    kind, payload = conversation(server, sent)[-1]
    assert (kind, http2.NUMBER.unpack(payload[4:8])[0]) == (http2.GOAWAY, code)


def test_another_implementation_of_http_2_is_answered(server: kit.Server) -> None:
    peer = H2Connection(H2Configuration(header_encoding=None))
    peer.initiate_connection()
    ready = b"/inference.GRPCInferenceService/ServerReady"
    asked = fields(ready, authorization=None) | {b":authority": b"x"}
    peer.send_headers(1, sorted(asked.items()))
    peer.send_data(1, message(b""), end_stream=True)
    raw = server.connect().send(peer.data_to_send())
    events: list[object] = []
    while not any(isinstance(event, StreamEnded) for event in events):
        events += peer.receive_data(raw.socket.recv(65536))
    raw.close()
    answers = [event.data for event in events if isinstance(event, DataReceived)]
    assert any(isinstance(event, ResponseReceived) for event in events)
    assert b"".join(answers) == message(b"\x08\x01")
