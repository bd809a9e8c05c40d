"""How much is under way at once: calls, uploads, answers, memory; and that all of it comes to an end."""

from __future__ import annotations

import grpc_kit
import pytest
from grpc_client import TOKEN, Client, block, call, data, headers, literals, message
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver.grpc import http2
from nacre.modelserver.grpc import server as server_module
from nacre.modelserver.grpc.http2 import CANCEL, window


def test_the_oldest_upload_makes_room_for_a_call(
    world: grpc_kit.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_CALLS", 3)
    client, other = world.client(), world.client()
    client.ask(headers(1), headers(3), call(5, b"/t/Ask"))
    assert other.ask(call(1))[1].status == 0
    assert client.read()[1].status == 8
    assert 3 not in client.calls
    assert world.counts()[0] == 2


def test_who_shows_no_token_turns_nobody_out(
    world: grpc_kit.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MOST_CALLS", 2)
    client, other = world.client(), world.client()
    client.ask(headers(1), headers(3))
    assert other.ask(call(1, b"/t/Open", authorization=None))[1].status == 8
    assert client.ask(data(1, message(), end=True), data(3, message(), end=True))[3].status == 0
    assert client.calls[1].status == 0


def test_streams_are_counted_for_themselves(world: grpc_kit.World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MOST_STREAMS", 2)
    client = world.client()
    got = client.ask(*(headers(stream, b"/t/TellMany") for stream in (1, 3, 5)), call(7))
    assert got[5].status == 8
    assert got[7].status == 0
    assert client.ask(data(1, end=True), headers(9, b"/t/TellMany", end=True))[9].status == 0


@pytest.mark.parametrize("by", ["count", "bytes"])
def test_the_answer_that_stood_still_for_longest_makes_room(
    monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(server_module, "MOST_UNSENT", 3 if by == "count" else 100)
    with grpc_kit.World(max_bodies=10_000 if by == "count" else 3500) as world:
        client, other = world.client(initial_window_size=10), world.client(initial_window_size=10)
        client.ask(*(call(stream, body=b"size 1000") for stream in (1, 3, 5)))
        client.ask(window(1, 1))
        other.ask(call(1, body=b"size 1000"))
        client.read()
        assert [client.calls[stream].reset for stream in (1, 3, 5)] == [None, CANCEL, None]
        assert world.counts()[3:5] == (3, 3000)
        assert other.ask(window(1, 5000))[1].status == 0


def test_one_client_s_resets_are_not_held_against_another(
    monkeypatch: pytest.MonkeyPatch, world: grpc_kit.World
) -> None:
    monkeypatch.setattr(server_module, "MOST_UNSENT", 1)
    client, other = world.client(initial_window_size=0), world.client(initial_window_size=0)
    client.ask(call(1, body=b"size 10"))
    for stream in range(3, 2003, 2):
        client.send(headers(stream), http2.reset(stream, 8))
    assert client.goaway is None
    other.ask(call(1, b"/t/Ask"), call(3, body=b"size 10"))
    assert client.read()[1].reset == CANCEL
    world.asked[0].answer(b"x")
    assert other.read()[3].reset == CANCEL
    assert other.goaway is None
    assert other.ask(window(1, 100))[1].status == 0


def test_too_much_in_memory_refuses_who_sends_more() -> None:
    with grpc_kit.World(max_bodies=100_000) as world:
        client = world.client()
        client.ask(headers(1), data(1, message(bytes(90_000))[:80_000]))
        got = client.ask(headers(3, b"/t/TellMany"), data(3, message(bytes(90_000))[:50_000]))
        assert got[3].status == 14
        client.ask(window(1, 50_000), window(0, 50_000))
        assert client.ask(data(1, bytes(10_005), end=True))[1].status == 0


def test_an_answer_that_is_larger_than_all_memory_is_refused() -> None:
    with grpc_kit.World(max_bodies=100_000) as world:
        client = world.client()
        got = client.ask(call(1, body=b"size 70000"), call(3, body=b"size 100001"))
        assert got[3].status == 14
        assert 1 in got


def test_messages_under_way_are_held(world: grpc_kit.World, client: Client) -> None:
    client.ask(headers(1, b"/t/AskMany"), data(1, message(bytes(50_000))))
    client.ask(headers(3, b"/t/Ask"), data(3, message(bytes(40_000)), end=True))
    assert world.listener.held >= 90_000
    world.asked[0].answer(b"")
    world.asked[1].answer(b"")
    client.read()
    assert world.listener.held == 0
    assert world.counts() == (0, 1, 0, 0, 0, 0)


def test_who_shows_no_token_sends_little(world: grpc_kit.World, client: Client) -> None:
    """Else whoever knows no token could fill the memory that is there for requests."""
    got = client.ask(headers(1, b"/t/Open", authorization=None), data(1, message(bytes(200_000))[:1000]))
    assert got[1].status == 8
    assert world.listener.held == 0
    assert client.ask(call(3, b"/t/Open", bytes(1000), authorization=None))[3].status == 0


# ---- all at once


class Steps:
    """What may happen, in any order; ``n`` is what else there is to choose."""

    def __init__(self, world: grpc_kit.World, room: int, end: bool) -> None:
        self.world, self.room, self.end = world, room, end
        self.client, self.stream, self.answered = world.client(initial_window_size=room), 1, 0

    def call(self, n: int) -> None:
        self._begin(call(self.stream, b"/t/Ask", bytes(n * 4000)))

    def many(self, n: int) -> None:
        body = message(bytes(n * 100)) * n
        self._begin(headers(self.stream, b"/t/AskMany") + data(self.stream, body, self.end))

    def half(self, n: int) -> None:
        self._begin(headers(self.stream) + data(self.stream, message(bytes(1000))[: n * 100]))

    def refuse(self, n: int) -> None:
        self._begin(call(self.stream, body=b"refuse it", authorization=None if n % 2 else TOKEN))

    def reset(self, n: int) -> None:
        if self.stream > 2 * n:
            self.client.send(http2.reset(self._old(n), 8))

    def answer(self, n: int) -> None:
        if self.answered < len(self.world.asked):
            asked = self.world.asked[self.answered]
            self.answered += 1
            asked.answer(bytes(n * 1000) if n else ArithmeticError("a bug"))

    def window(self, n: int) -> None:
        if self.stream > 1:
            self.client.send(window(0, 1 + n * 1000), window(self._old(n), 1 + n * 30))

    def tick(self, _: int) -> None:
        self.world.tick()

    def wait(self, n: int) -> None:
        self.world.loop.advance(0.0 if n else 50.0)

    def abort(self, n: int) -> None:
        if not n:
            self.client.transport.abort()

    def _old(self, n: int) -> int:
        return max(1, self.stream - 2 * max(n, 1))

    def _begin(self, sent: bytes) -> None:
        if self.client.closed:
            self.client, self.stream = self.world.client(initial_window_size=self.room), 1
        else:
            self.client.send(sent)
            self.stream += 2


NAMES = ["call", "many", "half", "refuse", "reset", "answer", "window", "tick", "wait", "abort"]


@settings(max_examples=200)
@given(
    steps=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 8)), max_size=40),
    room=st.sampled_from([0, 50, 10**6]),
    end=st.booleans(),
)
def test_whatever_happens_nothing_is_left(steps: list[tuple[str, int]], room: int, end: bool) -> None:
    """The world's end looks at every counter."""
    with grpc_kit.World(max_bodies=200_000) as world:
        taken = Steps(world, room, end)
        for name, n in steps:
            getattr(taken, name)(n)
            taken.client.read()
        assert min(world.counts()) >= 0


PAYLOADS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([block(b"/t/Ask"), block(b"/t/TellMany"), block(b"/t/Tell"), literals({b"x": b"y"})]),
    st.sampled_from([message(), message() * 2, message()[:7], bytes(4), bytes(8), b"\0\0\0\x09"]),
    st.builds(http2.SETTING.pack, st.integers(0, 7), st.sampled_from([0, 1, 100, 16_384, 2**31])),
)
FRAMES = st.builds(
    http2.frame,
    st.sampled_from([0, 0, 0, 1, 1, 1, 2, 3, 4, 6, 7, 8, 8, 9, 10, 77]),
    st.sampled_from([0, 1, 4, 5, 4, 5, 8, 0x20, 0x25, 0xFF]),
    st.sampled_from([0, 0, 1, 1, 3, 3, 5, 7, 2]),
    PAYLOADS,
)


@settings(max_examples=400)
@given(st.lists(FRAMES, max_size=30), st.sampled_from([0, 3, 10**6]))
def test_whatever_frames_come_nothing_is_left(frames: list[bytes], room: int) -> None:
    """A fault ends the connection with its reason; the client looks at each frame that comes back."""
    with grpc_kit.World() as world:
        client, other = world.client(initial_window_size=room), world.client()
        for one in frames:
            client.ask(one)
        assert other.ask(call(1))[1].status == 0
        assert client.closed == (client.goaway is not None)
