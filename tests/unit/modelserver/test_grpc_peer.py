"""A client of another make (h2), joined with a connection in memory: it raises at each frame that is
against the protocol."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import grpc_kit
from grpc_client import fields, message, pattern
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver.grpc.http2 import HEAD


class Peer:
    """Both ends, and the bytes between them; the server gets them in pieces of any sizes."""

    def __init__(self, world: grpc_kit.World, pieces: Iterable[int]) -> None:
        self.events: list[Event] = []
        self.h2 = H2Connection(H2Configuration(header_encoding=None))
        self.h2.initiate_connection()
        self._world = world
        self._pieces = itertools.cycle(pieces)
        self._client = world.begin(self.h2.data_to_send())
        self.deliver()

    def deliver(self) -> bool:
        """Move bytes until nobody has more to say; false when there were none."""
        moved = False
        while True:
            self._world.loop.settle()
            back = self._client.transport.take()
            for frame in self._frames(back):
                self._take(self.h2.receive_data(frame))
            forth = self.h2.data_to_send()
            for piece in self._cut(forth):
                self._client.send(piece)
            if not back and not forth:
                return moved
            moved = True

    def _cut(self, data: bytes) -> Iterable[bytes]:
        at = 0
        while at < len(data):
            end = at + next(self._pieces)
            yield data[at:end]
            at = end

    def _frames(self, data: bytes) -> Iterable[bytes]:
        """One by one: h2 looks at its own settings before all frames that come together."""
        at = 0
        while at < len(data):
            high, low, *_ = HEAD.unpack_from(data, at)
            end = at + HEAD.size + (high << 16 | low)
            yield data[at:end]
            at = end

    def _take(self, events: list[Event]) -> None:
        self.events += events
        for event in events:
            if isinstance(event, DataReceived) and event.flow_controlled_length:
                assert event.stream_id is not None
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)

    def over(self, stream: int) -> bool:
        """Whether its answer has ended."""
        return any(
            isinstance(event, StreamEnded | StreamReset) and event.stream_id == stream
            for event in self.events
        )

    def begin(self, stream: int, path: bytes) -> None:
        self.h2.send_headers(stream, sorted((fields(path) | {b":authority": b"x"}).items()))

    def send(self, stream: int, data: bytes) -> None:
        """All of it, as the windows allow, and the end; less where the answer comes before."""
        while data and not self.over(stream):
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room:
                self.h2.send_data(stream, data[:room])
                data = data[room:]
            elif not self.deliver():
                self._world.loop.advance(0.05)  # until a message of a stream is answered
        if not self.over(stream):
            self.h2.end_stream(stream)

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.deliver()
            self._world.loop.advance(0.1)

    def change(self, **values: int) -> None:
        """Settings, by their names."""
        self.h2.update_settings({SettingCodes[name.upper()]: value for name, value in values.items()})

    def answer(self, stream: int) -> tuple[bytes, bytes]:
        """The status of a call, and all data of its answer."""
        own = [event for event in self.events if getattr(event, "stream_id", None) == stream]
        assert any(isinstance(event, StreamEnded) for event in own), own
        heads = [event.headers for event in own if isinstance(event, ResponseReceived | TrailersReceived)]
        body = b"".join(event.data or b"" for event in own if isinstance(event, DataReceived))
        return dict(heads[-1] or ())[b"grpc-status"], body


CALL = st.fixed_dictionaries(
    {
        "path": st.sampled_from([b"/t/Tell", b"/t/Later", b"/t/TellMany", b"/t/LaterMany", b"/t/None"]),
        "sizes": st.lists(st.sampled_from([1, 2, 100, 5000, 20_000, 70_000, 200_000]), max_size=3),
        "cancelled": st.sampled_from([False, False, False, True]),
        "wait": st.integers(0, 30),
        "delivered": st.booleans(),
    }
)


@settings(max_examples=80)
@given(
    calls=st.lists(CALL, min_size=1, max_size=6),
    pieces=st.lists(st.sampled_from([50, 60, 100, 5000, 16_393, 70_000]), min_size=1, max_size=20),
    window=st.sampled_from([0, 1000, 65_535, 300_000]),
    frames=st.sampled_from([16_384, 30_000, 2**24 - 1]),
    table=st.sampled_from([4096, 0, 200]),
)
def test_each_call_gets_its_answer_and_nobody_objects(
    calls: list[dict[str, Any]], pieces: list[int], window: int, frames: int, table: int
) -> None:
    with grpc_kit.World() as world:
        peer = Peer(world, pieces)
        wanted: dict[int, tuple[bytes, bytes]] = {}
        for stream, one in zip(itertools.count(1, 2), calls, strict=False):
            path = one["path"]
            sizes = one["sizes"] if path.endswith(b"Many") else (one["sizes"] or [1])[:1]
            sent = b"".join(message(bytes((one["wait"],)) + pattern(size - 1)) for size in sizes)
            peer.begin(stream, path)
            peer.send(stream, sent)
            if one["delivered"]:
                peer.deliver()
            if stream == 1:
                peer.change(initial_window_size=window, max_frame_size=frames, header_table_size=table)
            if one["cancelled"] and not peer.over(stream):
                peer.h2.reset_stream(stream, ErrorCodes.CANCEL)
            else:
                wanted[stream] = (b"12", b"") if path == b"/t/None" else (b"0", sent)
        peer.wait(0.4)
        peer.change(initial_window_size=2**20)
        peer.h2.increment_flow_control_window(2**22)
        peer.wait(1.0)
        assert not any(isinstance(event, ConnectionTerminated) for event in peer.events)
        assert {stream: peer.answer(stream) for stream in wanted} == wanted


@settings(max_examples=15)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=20))
def test_bytes_may_come_one_by_one(pieces: list[int]) -> None:
    with grpc_kit.World() as world:
        peer = Peer(world, pieces)
        for stream, path in ((1, b"/t/Tell"), (3, b"/t/TellMany"), (5, b"/t/Tell")):
            peer.begin(stream, path)
            peer.send(stream, message(b"some words"))
        peer.wait(0.1)
        assert [peer.answer(stream) for stream in (1, 3, 5)] == [(b"0", message(b"some words"))] * 3
