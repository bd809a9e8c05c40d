"""The frames of an HTTP/2 connection as they pass: what each stream holds, and which one is stuck."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.modelserver.grpc.streams import Streams

DATA, HEADERS, RESET, SETTINGS = 0, 1, 3, 4
END = 1


def frame(kind: int, stream: int, size: int = 0, flags: int = 0) -> bytes:
    return size.to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + b"\xaa" * size


def test_bytes_are_held_until_they_are_answered() -> None:
    streams = Streams(0)
    streams.asked(frame(SETTINGS, 0, 12) + frame(HEADERS, 1, 40) + frame(DATA, 1, 1000), 0.0)
    streams.asked(frame(HEADERS, 3, 40) + frame(DATA, 3, 50, END), 0.0)
    assert streams.held == 1050
    streams.answered(frame(HEADERS, 1, 9), 1.0)
    assert streams.held == 50
    streams.asked(frame(DATA, 1, 7), 2.0)
    streams.answered(frame(DATA, 3, 9) + frame(HEADERS, 3, 9, END), 2.0)
    assert streams.held == 7
    streams.answered(frame(HEADERS, 1, 9, END), 2.0)
    assert streams.held == 0


@pytest.mark.parametrize("who", ["asked", "answered"])
def test_a_stream_that_is_reset_holds_nothing(who: str) -> None:
    streams = Streams(0)
    streams.asked(frame(HEADERS, 1) + frame(DATA, 1, 5000), 0.0)
    getattr(streams, who)(frame(RESET, 1, 4), 0.0)
    streams.asked(frame(DATA, 1, 5000), 0.0)  # sent before it heard of that
    assert streams.held == 0


def test_an_answer_that_stands_still_is_stuck() -> None:
    streams = Streams(0)
    streams.asked(frame(HEADERS, 1) + frame(DATA, 1, 5, END), 0.0)
    assert not streams.stuck(100.0)  # a model may take its time
    streams.answered(frame(HEADERS, 1) + frame(DATA, 1, 5), 100.0)
    assert not streams.stuck(100.0)
    assert streams.stuck(101.0)
    streams.answered(frame(DATA, 1, 5), 150.0)
    assert not streams.stuck(101.0)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_frames_may_come_in_pieces(sizes: list[int]) -> None:
    whole = b"P" * 24 + frame(HEADERS, 1, 11)
    whole += b"".join(frame(DATA, 1, size) for size in (0, 3, 17, 9))
    streams = Streams(24)
    at = 0
    while at < len(whole):
        size = sizes[at % len(sizes)]
        streams.asked(whole[at : at + size], 0.0)
        at += size
    assert streams.held == 29
