"""The recording server notes what launchers may not do."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from nacre.launcher.wire import Away, Refused, Server
from nacre.schema.launch import ChannelAck
from nacre.testing.conformance.recorder import Recorder


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as recorder:
        yield recorder


def put(recorder: Recorder, offset: int, body: bytes, channel: str = "log", rank: int = 0) -> ChannelAck:
    path = f"/api/v1/attempts/att_1/replicas/{rank}/{channel}?offset={offset}"
    server = Server(recorder.address, "nacre_test", 5)
    try:
        return ChannelAck.model_validate(server.call("PUT", path, body))
    finally:
        server.close()


def line(**fields: object) -> bytes:
    return json.dumps({"time_ms": 1, **fields}).encode() + b"\n"


def test_bytes_are_kept_once_by_replica_and_channel(recorder: Recorder) -> None:
    assert put(recorder, 0, b"hello ").offset == 6
    assert put(recorder, 3, b"lo world").offset == 11
    put(recorder, 0, b"other", rank=1)
    assert recorder.log("att_1") == b"hello world"
    assert recorder.log("att_1", 1) == b"other"
    assert recorder.taken("att_1", "track") == b""
    assert recorder.faults == []


@pytest.mark.parametrize(
    ("channel", "offset", "body", "fault"),
    [
        ("log", 9, b"x", "a gap"),
        ("log", 0, b"jello", "other bytes"),
        ("track", 0, b"{}", "half a line"),
    ],
)
def test_what_no_launcher_may_send_is_a_fault(
    recorder: Recorder, channel: str, offset: int, body: bytes, fault: str
) -> None:
    put(recorder, 0, b"hello")
    put(recorder, offset, body, channel)
    [found] = recorder.faults
    assert fault in found


def test_an_event_after_the_exit_is_a_fault(recorder: Recorder) -> None:
    exit_line = line(type="exit", reason="succeeded", exit_code=0)
    put(recorder, 0, exit_line, "events")
    put(recorder, 0, exit_line, "events")
    assert recorder.faults == []
    assert recorder.exit("att_1") == {"time_ms": 1, "type": "exit", "reason": "succeeded", "exit_code": 0}
    put(recorder, len(exit_line), line(type="state", state="running"), "events")
    assert "an event after the exit" in recorder.faults[0]


def test_a_barrier_opens_when_all_are_ready(recorder: Recorder) -> None:
    ready = line(type="ready", address="127.0.0.1", ports=[1, 2, 3, 4])
    assert put(recorder, 0, ready, "events").rendezvous is None
    assert put(recorder, 0, ready, "events", 1).rendezvous is None  # nobody said how large the gang is
    recorder.gang("att_1", 2)
    members = put(recorder, 0, b"").rendezvous
    assert members is not None
    assert [member.rank for member in members] == [0, 1]


def test_wishes_are_told_with_the_next_answer(recorder: Recorder) -> None:
    assert put(recorder, 0, b"").desired == "run"
    recorder.stop("att_1", "gang_stopped", grace_s=2.5)
    ack = put(recorder, 0, b"")
    assert (ack.desired, ack.reason, ack.grace_s) == ("stop", "gang_stopped", 2.5)
    recorder.fence("att_1")
    assert put(recorder, 0, b"").desired == "fence"


def test_one_that_is_away_takes_nothing(recorder: Recorder) -> None:
    recorder.away = True
    with pytest.raises(Away):
        put(recorder, 0, b"hello")
    recorder.away = False
    assert recorder.log("att_1") == b""


def test_a_route_that_is_not_there_is_a_fault(recorder: Recorder) -> None:
    with pytest.raises(Refused):
        put(recorder, 0, b"", "nothing")
    assert "no such route" in recorder.faults[0]
