"""One call of gRPC from its headers to its end: its messages, its times, and what is left of it."""

from __future__ import annotations

import gzip
import itertools
import zlib

import grpc_kit
import pytest
from grpc_client import LARGE, Client, call, data, headers, message, pattern
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver.grpc import http2
from nacre.modelserver.grpc.http2 import CANCEL, NO_ERROR, REFUSED_STREAM, window
from nacre.modelserver.http import PREFACE
from nacre.modelserver.limits import Limits

MIB = 2**20
IDLE = Limits().idle_time
NOTHING = (0, 0, 0, 0, 0, 0)


# ---- messages


@settings(max_examples=60)
@given(body=st.binary(max_size=60), cuts=st.lists(st.integers(0, 65), max_size=5), late=st.booleans())
def test_a_message_may_be_split_at_any_byte(body: bytes, cuts: list[int], late: bool) -> None:
    whole = message(body)
    at = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    parts = [whole[start:end] for start, end in itertools.pairwise(at)]
    for path in (b"/t/Tell", b"/t/TellMany", b"/t/Ask"):
        with grpc_kit.World() as world:
            client = world.client()
            client.send(headers(1, path), *(data(1, part) for part in parts[:-1]))
            client.ask(data(1, parts[-1], end=not late), data(1, end=True) if late else b"")
            for asked in world.asked:
                asked.answer(asked.message)
            assert client.read()[1].messages == [body]
            assert client.calls[1].status == 0
            assert client.calls[1].reset is None
            assert world.counts() == NOTHING


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        (message(b"a") + message(b"b"), 3, "takes one message"),
        (message(b"a") + b"\0", 3, "takes one message"),
        (message(b"abcdef")[:-1], 3, "ended within a message"),
        (message(b"abcdef")[:4], 3, "ended within a message"),
        (b"", 3, "ended without a message"),
        (message(b"abc", compressed=1), 3, "no grpc-encoding"),
        (http2.PREFIX.pack(0, 64 * MIB + 1), 8, "over the limit"),
        (http2.PREFIX.pack(0, 2**32 - 1), 8, "over the limit"),
    ],
    ids=["two", "more", "cut", "cut prefix", "none", "compressed", "over the limit", "far over"],
)
@pytest.mark.parametrize("together", [True, False])
def test_what_is_no_message_is_told(
    world: grpc_kit.World, client: Client, sent: bytes, status: int, text: str, together: bool
) -> None:
    if together:
        client.ask(headers(1), data(1, sent, end=True))
    else:
        client.ask(headers(1), *(data(1, sent[at : at + 1]) for at in range(len(sent))))
        client.ask(data(1, end=True))
    assert client.calls[1].status == status
    assert text in client.calls[1].text
    assert world.told == []
    assert world.counts() == NOTHING


def test_a_message_is_refused_by_its_length_before_it_comes(world: grpc_kit.World, client: Client) -> None:
    got = client.ask(headers(1, b"/t/Ask"), data(1, http2.PREFIX.pack(0, 64 * MIB + 1) + bytes(100)))[1]
    assert (got.status, got.reset) == (8, NO_ERROR)
    assert client.ask(data(1, bytes(1000)), call(3))[3].status == 0


@pytest.mark.parametrize("size", [100, 101])
@pytest.mark.parametrize("together", [True, False])
def test_a_small_limit_holds_for_messages_of_one_frame(size: int, together: bool) -> None:
    with grpc_kit.World(max_body=100) as world:
        client = world.client()
        whole = message(bytes(size))
        sent = [data(1, whole, end=True)] if together else [data(1, whole), data(1, end=True)]
        assert client.ask(headers(1), *sent)[1].status == (0 if size == 100 else 8)


@pytest.mark.parametrize("path", [b"/t/Tell", b"/t/TellMany"])
def test_messages_may_be_compressed(client: Client, path: bytes) -> None:
    body = pattern(100_000)
    for stream, coding, packed in ((1, b"gzip", gzip.compress(body)), (3, b"deflate", zlib.compress(body))):
        client.ask(window(0, 200_000), headers(stream, path, grpc_encoding=coding))
        client.ask(data(stream, message(packed, compressed=1), end=True), window(stream, 200_000))
        assert client.calls[stream].messages == [body]
    got = client.ask(headers(5, path, grpc_encoding=b"br"), data(5, message(b"x", compressed=1), end=True))
    assert got[5].status == 12
    got = client.ask(
        headers(7, path, grpc_encoding=b"gzip"), data(7, message(b"x", compressed=1), end=True)
    )
    assert got[7].status == 3


def test_a_bomb_is_refused() -> None:
    with grpc_kit.World(max_body=MIB) as world:
        client = world.client()
        bomb = message(gzip.compress(bytes(100 * MIB), 9), compressed=1)
        got = client.ask(headers(1, grpc_encoding=b"gzip"), data(1, bomb, end=True))
        assert got[1].status == 8


@pytest.mark.parametrize("end", [True, False])
def test_a_refusal_comes_before_the_message(world: grpc_kit.World, client: Client, end: bool) -> None:
    got = client.ask(
        headers(1, b"/t/None", end=end, authorization=None),
        headers(3, end=end, authorization=b"Bearer bad"),
        headers(5, end=end, grpc_timeout=b"soon"),
    )
    assert [got[stream].status for stream in (1, 3, 5)] == [12, 16, 3]
    assert world.counts() == NOTHING
    assert world.server._uploads == {}


def test_what_fails_in_a_method_is_told_in_one_sentence(client: Client) -> None:
    got = client.ask(call(1, body=b"refuse me"), call(3, body=b"break"), call(5))
    assert (got[1].status, got[1].text) == (5, "refuse me")
    assert got[3].status == 13
    assert "log" in got[3].text
    assert got[5].status == 0


# ---- many messages


def test_the_messages_of_a_stream_are_answered_in_their_order(
    world: grpc_kit.World, client: Client
) -> None:
    client.ask(headers(1, b"/t/AskMany"), data(1, message(b"a") + message(b"b") + message(b"c"), end=True))
    for body in (b"a", b"b", b"c"):
        assert [one.message for one in world.asked][-1] == body
        assert not client.calls.get(1) or not client.calls[1].ended
        world.asked[-1].answer(body)
        client.read()
    assert client.calls[1].messages == [b"a", b"b", b"c"]
    assert client.calls[1].status == 0


def test_very_many_tiny_messages_leave_turns_to_others(world: grpc_kit.World) -> None:
    client, other = world.client(initial_window_size=LARGE), world.client()
    client.ask(window(0, LARGE - http2.FIRST_WINDOW))
    count = 3000
    client.send(headers(1, b"/t/TellMany"), data(1, message(b"") * count, end=True))
    before = world.loop.turns
    while world.loop.turn():
        told = len(world.told)
        other.send(call(2 * world.loop.turns + 1))
        assert len(world.told) == told + 1
    assert world.loop.turns - before >= count
    assert client.read()[1].messages == [b""] * count
    assert client.calls[1].status == 0


def test_a_stream_ends_within_a_message(world: grpc_kit.World, client: Client) -> None:
    client.ask(headers(1, b"/t/TellMany"), data(1, message(b"a") + message(b"b")[:-1], end=True))
    assert client.calls[1].messages == [b"a"]
    assert client.calls[1].status == 3


def test_a_stream_that_rests_keeps_no_answer(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=LARGE)
    client.ask(window(0, LARGE - http2.FIRST_WINDOW))
    client.ask(headers(1, b"/t/TellMany"), data(1, message(b"size 1000000")))
    assert len(client.calls[1].messages[0]) == 1_000_000
    assert world.counts() == (0, 1, 0, 0, 0, 0)
    assert client.connection._rpcs[1].unsent is None


# ---- times


def test_a_deadline_that_passes_before_the_message_came(world: grpc_kit.World, client: Client) -> None:
    client.ask(headers(1, grpc_timeout=b"500m"), headers(3, b"/t/TellMany", grpc_timeout=b"1S"))
    world.loop.advance(0.3)
    assert client.read() == {}
    world.loop.advance(0.5)
    assert client.read()[1].status == 4
    assert 3 not in client.calls
    world.loop.advance(0.5)
    assert client.read()[3].status == 4
    assert world.counts() == NOTHING


def test_an_upload_that_is_too_slow(world: grpc_kit.World, client: Client) -> None:
    client.ask(headers(1), data(1, message(bytes(1000))[:500]))
    seconds = int(world.server.upload_time)
    for _ in range(seconds - 1):
        world.loop.advance(1.0)
        client.ask(data(1, b"\0"))
    assert client.calls == {}
    world.loop.advance(2.0)
    assert client.read()[1].status == 4
    assert "slowly" in client.calls[1].text


def test_a_message_whose_call_does_not_end(world: grpc_kit.World, client: Client) -> None:
    client.ask(headers(1), data(1, message(b"whole")))
    world.loop.advance(world.server.upload_time + 1.0)
    assert client.read()[1].status == 4


def test_a_stream_that_rests_too_long(world: grpc_kit.World, client: Client) -> None:
    client.ask(headers(1, b"/t/TellMany"), headers(3, b"/t/AskMany"), data(3, message(b"long")))
    world.loop.advance(IDLE - 1.0)
    client.ask(http2.frame(http2.PING, 0, 0, bytes(8)))
    world.loop.advance(2.0)
    assert client.read()[1].status == 4
    assert "idle" in client.calls[1].text
    world.asked[0].answer(b"at last")
    assert client.read()[3].messages == [b"at last"]


def test_an_answer_that_is_not_taken_is_given_up(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=100)
    client.ask(call(1, body=b"size 1000"), call(3, body=b"size 300"))
    world.loop.advance(IDLE - 1.0)
    client.ask(window(3, 100))
    world.loop.advance(2.0)
    assert client.read()[1].reset == CANCEL
    assert client.calls[3].reset is None
    assert world.counts()[3:] == (1, 300, 0)
    world.loop.advance(10.0)
    assert client.ask(window(3, 1000))[3].status == 0


def test_a_client_is_asked_whether_it_is_still_there(world: grpc_kit.World, client: Client) -> None:
    client.ask(call(1, b"/t/Ask"))
    world.loop.advance(IDLE + 1.0)
    client.read()
    assert len(client.pings) == 1
    client.ask(http2.frame(http2.PING, http2.ACK, 0, client.pings[0]))
    world.loop.advance(IDLE + 1.0)
    client.read()
    assert len(client.pings) == 2
    world.loop.advance(Limits().write_time - 5.0)
    assert not client.transport.aborted
    world.loop.advance(10.0)
    assert client.transport.aborted
    assert world.asked[0].cancels == 1
    assert len(client.pings) == 2


def test_a_connection_without_calls_is_ended_with_words(world: grpc_kit.World, client: Client) -> None:
    client.ask(call(1))
    world.loop.advance(IDLE - 1.0)
    assert not client.closed
    world.loop.advance(2.0)
    client.read()
    assert client.goaway == (1, NO_ERROR, "")
    assert client.closed
    assert world.listener.connections == 0


@pytest.mark.parametrize("sent", [b"", b"\0\0", http2.settings() + http2.frame(http2.HEADERS, 0, 1)])
def test_headers_that_take_too_long(world: grpc_kit.World, sent: bytes) -> None:
    client = world.begin(PREFACE + sent)
    world.loop.advance(Limits().head_time - 1.0)
    assert not client.closed
    world.loop.advance(2.0)
    assert client.closed
    client.read()
    assert client.goaway == (0, NO_ERROR, "the headers took too long")


def test_headers_in_pieces_have_no_more_time(world: grpc_kit.World) -> None:
    client = world.client()
    world.loop.advance(Limits().idle_time / 2)
    client.ask(http2.frame(http2.HEADERS, 0, 1))
    for _ in range(4):
        assert not client.closed
        world.loop.advance(Limits().head_time / 4)
        client.ask(http2.frame(http2.CONTINUATION, 0, 1))
    world.loop.advance(1.0)
    client.read()
    assert client.goaway == (0, NO_ERROR, "the headers took too long")


# ---- ends


def test_a_client_that_goes_away_cancels_what_waits(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=10)
    client.ask(call(1, b"/t/Ask"), headers(3, b"/t/AskMany"), data(3, message(b"x") * 5))
    client.ask(call(5, body=b"size 1000"), headers(7), data(7, message(bytes(5000))[:3000]))
    assert world.counts() != NOTHING
    client.transport.abort()
    world.loop.settle()
    assert [one.cancels for one in world.asked] == [1, 1]
    assert world.counts() == NOTHING
    for one in world.asked:
        one.answer(b"too late")
    assert world.counts() == NOTHING


def test_a_call_that_is_taken_back_is_cancelled_once(world: grpc_kit.World, client: Client) -> None:
    client.ask(call(1, b"/t/Ask"), headers(3, b"/t/AskMany"), data(3, message(b"x") * 2))
    client.ask(http2.reset(1, 8), http2.reset(1, 8), http2.reset(3, 8))
    assert [one.cancels for one in world.asked] == [1, 1]
    assert world.counts() == NOTHING
    for one in world.asked:
        one.answer(b"too late")
    assert client.read() == {}
    assert client.ask(call(5))[5].status == 0


def test_an_answer_under_way_is_taken_back(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=100)
    client.ask(call(1, body=b"size 1000"), http2.reset(1, 8), window(1, 5000), window(0, 5000))
    assert len(client.calls[1].data) == 100
    assert world.counts() == NOTHING


def test_a_drain_lets_calls_end_and_takes_no_more(world: grpc_kit.World, client: Client) -> None:
    client.ask(call(1, b"/t/Ask"), headers(3), headers(5, b"/t/TellMany"), headers(7, b"/t/AskMany"))
    client.ask(data(7, message(b"x") * 2))
    client.connection.drain()
    client.connection.drain()
    client.read()
    assert client.goaway == (7, NO_ERROR, "")
    assert (client.calls[5].status, client.calls[5].text) == (14, "the server stops: try again in a moment")
    assert client.ask(call(9))[9].reset == REFUSED_STREAM
    world.asked[0].answer(b"one")
    world.asked[1].answer(b"two")
    client.read()
    assert client.calls[1].messages == [b"one"]
    assert (client.calls[7].messages, client.calls[7].status) == ([b"two"], 14)
    assert not client.closed
    assert client.ask(data(3, message(b"late"), end=True))[3].messages == [b"late"]
    assert client.closed
    assert world.listener.connections == 0


def test_a_drain_ends_an_idle_connection(world: grpc_kit.World, client: Client) -> None:
    client.ask(call(1))
    client.connection.drain()
    client.read()
    assert client.goaway == (1, NO_ERROR, "")
    assert client.closed


def test_a_drain_waits_for_answers_that_wait_for_a_window(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=100)
    client.ask(call(1, body=b"size 1000"))
    client.connection.drain()
    client.read()
    assert not client.closed
    assert client.ask(window(1, 5000))[1].status == 0
    assert client.closed


def test_a_drain_of_what_closes_already(world: grpc_kit.World, client: Client) -> None:
    client.transport.high = 0
    client.send(http2.frame(http2.PING, 0, 0, bytes(8)), data(9))
    assert client.closed
    client.connection.drain()
    client.read()
    assert client.goaway
    assert client.goaway[1] == http2.PROTOCOL_ERROR
