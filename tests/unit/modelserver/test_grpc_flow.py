"""Flow control: windows in both directions, turns among calls, and a socket that is full."""

from __future__ import annotations

import grpc_kit
import pytest
from grpc_client import LARGE, Client, call, data, headers, message, pattern
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver.grpc import http2
from nacre.modelserver.grpc.http2 import FIRST_WINDOW, FLOW_CONTROL_ERROR, PREFIX, window

MIB = 2**20


def size(count: int) -> bytes:
    """Asks for as many bytes."""
    return b"size %d" % count


def first(value: int) -> bytes:
    """The setting of the windows of all calls."""
    return http2.settings(initial_window_size=value)


def got(client: Client, stream: int = 1) -> int:
    """Bytes of data so far."""
    return len(client.calls[stream].data) if stream in client.calls else 0


def pieces(client: Client) -> list[tuple[int, int]]:
    """The frames of data: their calls and lengths."""
    return [(frame.stream, len(frame.payload)) for frame in client.frames if frame.kind == http2.DATA]


# ---- answers


def test_an_answer_stops_at_the_window_of_its_call(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=10)
    client.ask(call(1, body=size(100)))
    assert got(client) == 10
    sent = 10
    for more in (1, 1, 50, 3):
        client.ask(window(1, more))
        sent += more
        assert got(client) == sent
    assert not client.calls[1].ended
    client.ask(window(1, 1000))
    assert client.calls[1].messages == [pattern(100)]
    assert client.calls[1].status == 0
    assert client.frames[-1].kind == http2.HEADERS


def test_an_answer_stops_at_the_window_of_the_connection(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=LARGE)
    client.ask(call(1, body=size(100_000)))
    assert got(client) == FIRST_WINDOW
    client.ask(window(0, 5))
    assert got(client) == FIRST_WINDOW + 5
    client.ask(window(0, LARGE - 5))
    assert client.calls[1].messages == [pattern(100_000)]


def test_a_window_that_is_exactly_used_up_lets_the_end_pass(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=PREFIX.size + 100)
    assert client.ask(call(1, body=size(100)))[1].status == 0
    assert client.ask(call(3, body=size(101)))[3].ended is False
    assert client.ask(window(3, 1))[3].status == 0


@pytest.mark.parametrize("given_first", ["call", "connection"])
def test_windows_grow_in_any_order(world: grpc_kit.World, given_first: str) -> None:
    client = world.client(initial_window_size=0)
    client.ask(call(1, body=size(200_000)))
    assert got(client) == 0
    grown = [window(1, 200_005), window(0, 200_005 - FIRST_WINDOW)]
    if given_first == "connection":
        grown.reverse()
    client.ask(grown[0])
    assert got(client) == (FIRST_WINDOW if given_first == "call" else 0)
    client.ask(grown[1])
    assert client.calls[1].messages == [pattern(200_000)]


def test_errors_and_ends_need_no_window(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=LARGE)
    client.ask(
        call(1, body=size(100_000)), call(3, body=b"refuse it"), headers(5, b"/t/TellMany", end=True)
    )
    assert got(client) == FIRST_WINDOW
    assert client.calls[3].status == 5
    assert client.calls[5].status == 0


def test_the_first_window_grows_in_the_middle(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=100)
    client.ask(call(1, body=size(1000)), call(3, body=size(1000)))
    client.ask(window(3, 7))
    client.ask(first(150))
    assert (got(client, 1), got(client, 3)) == (150, 157)
    client.ask(first(2000))
    assert client.calls[1].status == client.calls[3].status == 0


def test_the_first_window_shrinks_below_nothing(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=1000)
    client.ask(call(1, body=size(3000)))
    client.ask(first(100))  # 900 less than nothing
    client.ask(window(1, 900))
    assert got(client) == 1000
    client.ask(window(1, 1))
    assert got(client) == 1001
    client.ask(first(0), window(1, 99), first(101))
    assert got(client) == 1101
    client.ask(call(3, body=size(200)))
    assert got(client, 3) == 101
    client.ask(first(LARGE - 5000))
    assert client.calls[1].messages == [pattern(3000)]


def test_settings_that_overflow_the_window_of_a_call_are_a_fault(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=0)
    client.ask(call(1, body=size(3000)), window(1, 1))
    client.ask(first(LARGE))
    client.ask(first(0), window(1, LARGE - 3000))
    assert client.calls[1].ended or client.goaway
    other = world.client(initial_window_size=0)
    other.ask(call(1, b"/t/Ask"), window(1, 10), first(LARGE))
    assert other.goaway
    assert other.goaway[1] == FLOW_CONTROL_ERROR


def test_settings_are_acknowledged_before_what_they_allow(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=10)
    client.ask(window(0, MIB), call(1, body=size(100_000)))
    at = len(client.frames)
    client.ask(http2.settings(initial_window_size=MIB, max_frame_size=60_000))
    assert (client.frames[at].kind, client.frames[at].flags) == (http2.SETTINGS, http2.ACK)
    assert client.calls[1].status == 0


@pytest.mark.parametrize(("most", "largest"), [(16_384, 16_384), (20_000, 20_000), (2**24 - 1, 65_535)])
def test_frames_are_as_large_as_the_client_takes(world: grpc_kit.World, most: int, largest: int) -> None:
    client = world.client(initial_window_size=LARGE, max_frame_size=most)
    client.ask(window(0, MIB), call(1, body=size(200_000)))
    assert max(length for _, length in pieces(client)) == largest
    assert client.calls[1].messages == [pattern(200_000)]


def test_calls_take_turns(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=LARGE)
    client.ask(call(1, body=size(FIRST_WINDOW)))
    assert got(client) == FIRST_WINDOW
    client.ask(*(call(stream, body=size(100_000)) for stream in (3, 5, 7)))
    at = len(client.frames)
    client.ask(window(0, MIB))
    order = [frame.stream for frame in client.frames[at:] if frame.kind == http2.DATA]
    assert order[:10] == [1, 3, 5, 7, 3, 5, 7, 3, 5, 7]
    assert all(client.calls[stream].messages == [pattern(100_000)] for stream in (3, 5, 7))


def test_a_call_without_a_window_does_not_stop_the_others(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=0)
    client.ask(call(1, body=size(50)), call(3, body=size(50)), window(3, 55))
    assert (got(client, 1), client.calls[3].status) == (0, 0)
    assert client.ask(window(1, 55))[1].status == 0


def test_messages_of_one_call_wait_for_their_windows_in_order(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=12)
    bodies = [b"a" * 20, b"b" * 3, b"", b"c" * 40]
    client.ask(headers(1, b"/t/TellMany"), *(data(1, message(body)) for body in bodies), data(1, end=True))
    while not client.calls[1].ended:
        client.ask(window(1, 4))
    assert client.calls[1].messages == bodies
    assert client.calls[1].status == 0
    assert max(length for _, length in pieces(client)) <= 12


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=5),
    steps=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 40_000)), max_size=40),
)
def test_no_window_is_ever_overrun(sizes: list[int], steps: list[tuple[int, int]]) -> None:
    """Each step lets one call, the connection, or (by the first window) all send more, or less."""
    with grpc_kit.World() as world:
        client = world.client(initial_window_size=500)
        streams = [2 * at + 1 for at in range(len(sizes))]
        allowed = dict.fromkeys(streams, 500)
        every, whole = 500, FIRST_WINDOW
        client.ask(*(call(s, body=size(n)) for s, n in zip(streams, sizes, strict=True)))
        most = dict.fromkeys(streams, 0)

        def check() -> None:
            nonlocal most
            for stream in streams:
                assert got(client, stream) <= max(allowed[stream], most[stream])
                most[stream] = got(client, stream)
            assert sum(most.values()) <= whole

        check()
        for which, more in steps:
            if which == 5:
                whole += more
                client.ask(window(0, more))
            elif which == 6:
                allowed = {stream: room + more - every for stream, room in allowed.items()}
                every = more
                client.ask(first(every))
            elif which < len(streams) and not client.calls[streams[which]].ended:
                allowed[streams[which]] += more
                client.ask(window(streams[which], more))
            check()
        client.ask(window(0, LARGE - whole), first(LARGE // 2))
        for stream, count in zip(streams, sizes, strict=True):
            assert client.calls[stream].messages == [pattern(count)]
            assert client.calls[stream].status == 0


# ---- the socket


def test_a_socket_that_is_full_stops_writing_and_reading(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=LARGE)
    client.ask(window(0, LARGE - FIRST_WINDOW))
    client.transport.high = 64 * 1024
    client.send(call(1, body=size(10 * MIB)))
    assert not client.transport.reading
    assert len(client.transport.buffer) < 64 * 1024 + 16_384 + 100
    most = 0
    while not (client.calls.get(1) and client.calls[1].ended):
        client.read(20_000)
        most = max(most, len(client.transport.buffer))
    assert most < 64 * 1024 + 16_384 + 100
    assert client.calls[1].messages == [pattern(10 * MIB)]
    assert client.transport.reading


def test_answers_wait_for_a_socket_that_is_full(world: grpc_kit.World) -> None:
    client = world.client()
    client.send(call(1, b"/t/Ask"), call(3, b"/t/Ask"), headers(5, b"/t/AskMany"))
    client.transport.pause()
    world.asked[0].answer(b"one")
    world.asked[1].answer(ArithmeticError("a bug"))
    assert client.read()[1].messages == [b"one"]
    assert client.calls[3].status == 13
    assert client.transport.reading
    assert world.counts()[3:] == (0, 0, 0)


def test_an_error_that_waited_for_the_socket_needs_no_window(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=LARGE)
    client.ask(call(1, body=size(100_000)), call(3, b"/t/Ask"))
    client.transport.pause()
    world.asked[0].answer(ArithmeticError("a bug"))
    client.transport.resume()
    assert client.read()[3].status == 13


def test_a_client_that_takes_no_byte_is_dropped(world: grpc_kit.World) -> None:
    client = world.client(initial_window_size=LARGE)
    client.transport.high = 1000
    client.send(call(1, body=size(30_000)), call(3, b"/t/Ask"))
    world.loop.advance(29.0)
    assert not client.transport.aborted
    world.loop.advance(2.0)
    assert client.transport.aborted
    assert world.asked == [] or world.asked[0].cancels == 1


def test_a_client_that_reads_slowly_and_says_nothing_is_kept(world: grpc_kit.World) -> None:
    """Its windows are large, so that there is nothing that it has to send in minutes."""
    client = world.client(initial_window_size=LARGE)
    client.ask(window(0, LARGE - FIRST_WINDOW))
    client.transport.high = 64 * 1024
    client.send(call(1, body=size(20 * MIB)))
    for _ in range(70):
        client.read(40_000)
        world.loop.advance(5.0)
        assert not client.transport.aborted
        if any(frame.kind == http2.PING for frame in client.frames) and client.transport.reading:
            client.send(http2.frame(http2.PING, http2.ACK, 0, client.pings[-1]))
    client.transport.high = None
    assert client.read()[1].messages == [pattern(20 * MIB)]


# ---- uploads


def upload(client: Client, stream: int, body: bytes, padding: int | None = None) -> None:
    """Send a message as its windows allow."""
    whole, at, sent = message(body), 0, 0
    while at < len(whole):
        room = min(MIB + client.windows.get(stream, 0) - sent, 16_384)
        part = whole[at : at + min(room, 8000 if padding is not None else room)]
        payload = part if padding is None else bytes((padding,)) + part + bytes(padding)
        assert room >= len(payload) > 0, f"the window is used up after {sent} bytes"
        flags = (http2.END_STREAM if at + len(part) == len(whole) else 0) | (
            8 if padding is not None else 0
        )
        client.ask(http2.frame(http2.DATA, flags, stream, payload))
        at += len(part)
        sent += len(payload)


@pytest.mark.parametrize("padding", [None, 0, 255])
@pytest.mark.parametrize("path", [b"/t/Tell", b"/t/TellMany"])
def test_an_upload_larger_than_the_window(world: grpc_kit.World, path: bytes, padding: int | None) -> None:
    client = world.client()
    client.ask(headers(1, path))
    upload(client, 1, pattern(5 * MIB), padding)
    assert world.told == [pattern(5 * MIB)]
    assert client.windows[0] >= 4 * MIB


def test_padding_alone_uses_no_window_up(world: grpc_kit.World) -> None:
    client = world.client()
    client.ask(headers(1, b"/t/Ask"))
    payload, sent = b"\xff" + bytes(1) + bytes(255), 0
    client.send(data(1, message(bytes(20_000))[: PREFIX.size]))
    for _ in range(3 * MIB // len(payload)):
        assert MIB + client.windows.get(1, 0) - sent >= len(payload)
        client.ask(http2.frame(http2.DATA, http2.PADDED, 1, payload))
        sent += len(payload)
    assert client.goaway is None
    assert 1 not in client.calls


def test_a_client_that_overruns_the_window_of_its_call(world: grpc_kit.World) -> None:
    client = world.client()
    client.ask(call(1, b"/t/Ask"), headers(3, b"/t/AskMany"), data(3, message(b"x")))
    client.ask(data(3, message(bytes(3 * MIB))))
    assert client.calls[3].reset == FLOW_CONTROL_ERROR
    assert [one.cancels for one in world.asked] == [0, 1]
    world.asked[0].answer(b"on")
    assert client.read()[1].status == 0


def test_a_stream_that_waits_gives_no_more_leave(world: grpc_kit.World) -> None:
    """What comes while its message is asked stays bounded by its window."""
    client = world.client()
    client.ask(headers(1, b"/t/AskMany"), data(1, message(b"first")))
    many = message(bytes(1000))
    client.ask(data(1, many * (MIB // len(many) - 1)))
    assert client.windows.get(1, 0) == 0
    assert 0.9 * MIB < world.listener.held <= MIB
    for at in range(MIB // len(many)):
        world.asked[at].answer(b"")
        client.read()
    assert client.windows[1] > MIB // 2
    assert world.listener.held == 0 or len(world.asked) < MIB // len(many) + 1
