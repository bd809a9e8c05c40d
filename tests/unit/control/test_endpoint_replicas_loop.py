"""The loop of endpoints' replicas: what is a greeting, how often it looks, and any order of events."""

from __future__ import annotations

import json
import random
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.conftest import People
from tests.replicas_kit import ReplicasWorld

from nacre.clock import FixedClock
from nacre.control.endpoint_replicas import hello, listens
from nacre.db.connect import Database
from nacre.errors import Unavailable
from nacre.testing.engines import unavailable


@contextmanager
def listening(said: bytes) -> Iterator[str]:
    """A socket that says this to whoever connects, and then hangs up."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/replica.sock"
        listener.bind(path)
        listener.listen()

        def answer() -> None:
            found, _ = listener.accept()
            with found, suppress(BrokenPipeError):  # who only looks whether we listen has hung up
                found.sendall(said)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield path
        thread.join(10)


def frame(head: object) -> bytes:
    text = json.dumps(head).encode()
    return struct.pack("<IQ", len(text), 0) + text


class TestHello:
    def test_a_replica_that_greets_is_there(self) -> None:
        head = {"type": "hello", "signature": None, "raw": True, "stream": False, "max_batch": None}
        with listening(frame(head)) as path:
            assert hello(path)

    def test_another_frame_is_no_greeting(self) -> None:
        with listening(frame({"type": "result"})) as path:
            assert not hello(path)
        with listening(frame(["hello"])) as path:
            assert not hello(path)

    @pytest.mark.parametrize(
        "said",
        [
            b"",
            frame({"type": "hello"})[:-1],
            b"HTTP/1.1 200 OK\r\n\r\n",
            struct.pack("<IQ", 1 << 30, 0),
            struct.pack("<IQ", 2, 0) + b"{]",
        ],
    )
    def test_what_is_no_frame_is_an_error(self, said: bytes) -> None:
        with listening(said) as path, pytest.raises(Unavailable):
            hello(path)

    def test_nobody_listens(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable):
            hello(str(tmp_path / "none.sock"))
        (tmp_path / "file").write_text("")
        with pytest.raises(Unavailable):
            hello(str(tmp_path / "file"))

    def test_who_listens_is_there_whatever_it_says(self, tmp_path: Path) -> None:
        with listening(b"") as path:
            assert listens(path)
        assert not listens(str(tmp_path / "none.sock"))
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "dead.sock"))
        assert not listens(str(tmp_path / "dead.sock"))

    def test_a_link_leads_nowhere(self, tmp_path: Path) -> None:
        with listening(frame({"type": "hello"})) as path:
            (tmp_path / "replica.sock").symlink_to(path)
            with pytest.raises(Unavailable):
                hello(str(tmp_path / "replica.sock"))
            assert hello(path)


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ReplicasWorld:
    return ReplicasWorld(database, clock, people, tmp_path)


def test_it_looks_often_only_while_something_starts(world: ReplicasWorld) -> None:
    world.tick()
    assert world.loop.interval_s == 5
    world.deploy()
    world.jobs.build_environments()
    world.greeting = False
    world.tick()
    assert world.loop.interval_s == 0.2
    world.greeting = True
    world.tick()
    world.tick()
    assert world.loop.interval_s == 1


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_it_comes_right_and_each_record_has_an_end(
    world: ReplicasWorld, seed: int
) -> None:
    dice = random.Random(seed)
    world.started(min_replicas=1, max_replicas=4, target=4)
    for _ in range(120):
        what = dice.choice(
            ["load", "load", "die", "lose", "restart", "down", "away", "deaf", "ends", "exits"]
        )
        ready = [row for row in world.rows() if row.state in ("ready", "starting", "draining")]
        if what == "load":
            world.told = world.told or {}
            world.load(1, dice.choice([0.5, 4, 9, 16]), dice.randrange(1, 12))
        elif what == "die" and ready:
            world.die(dice.choice(ready), dice.choice(["exit_nonzero", "out_of_memory", "succeeded"]))
        elif (
            what == "lose" and ready and (attempt := dice.choice(ready).attempt_id) in world.engine.launched
        ):
            world.engine.lose(attempt)
        elif what == "restart":
            world = world.restarted()
        elif what == "down":
            world.engine.fail(dice.choice(["nodes", "launch", "observe"]), unavailable())
        elif what == "away":
            world.told = None
        elif what == "deaf":
            world.greeting = dice.random() < 0.7
        elif what == "exits":
            world.stopped()
        world.tick(dice.choice([0.2, 1, 5]))
        living = [row for row in world.rows() if row.state in ("queued", "starting", "ready")]
        assert len(living) <= 4
        open_ones = {row.id for row in world.attempts() if row.ended_at is None}
        assert {row.allocation_id for row in world.usage() if row.ended_at is None} == open_ones
        assert {
            row.attempt_id for row in world.rows() if row.ended_at is None and row.attempt_id
        } == open_ones

    world.engine.heal()
    world.greeting, world.told = True, {}
    world.change(state="ready", traffic=100, served=100, reason=None)
    for _ in range(8):
        world.load(1, 12.0, 15)
        world.stopped()
    assert len(world.sockets()) in (3, 4)
    assert world.revision().wanted == len(world.sockets())
    world.delete()
    world.tick(1)
    world.stopped()
    world.tick(1)
    assert [row for row in world.usage() if row.ended_at is None] == []
    assert world.engine.replicas == {}
