"""The front's side of replicas: choice, waiting, deadlines, replicas that die, end, or lie."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from tests import replica_kit as kit

from nacre.modelserver.backend import DeadlineExceeded, ModelFailed, Refused, ReplicaLost
from nacre.modelserver.calls import BadRequest
from nacre.modelserver.frames import WINDOW, Frame, Reader, describe, pack, tensors
from nacre.modelserver.parts import Parts
from nacre.modelserver.pool import Pool, RawRequest
from nacre.modelserver.replica_answers import RawAnswer
from nacre.schema.serving import ServedReplica

HELLO = {
    "type": "hello",
    "signature": {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    },
    "raw": True,
    "stream": True,
    "max_batch": None,
}
X = np.array([[1, 2]], np.float32)


class Fake:
    """A replica of the scene's own: it answers what and when the scene says."""

    def __init__(self, folder: Path, name: str = "a") -> None:
        self.replica = ServedReplica(id=name, socket=str(folder / f"{name}.sock"))
        self.asked: asyncio.Queue[Frame] = asyncio.Queue()
        self.gone = asyncio.Event()
        self.connected = 0
        self._hello = HELLO
        self._server: asyncio.Server | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def start(self, **changed: Any) -> None:
        self._hello = {**HELLO, **changed}
        self.die()  # uvloop does not close a loop with a server that is open
        self._server = await asyncio.start_unix_server(self._serve, self.replica.socket)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.connected += 1
        writer.writelines(pack(self._hello))
        frames = Reader(1 << 30)
        try:
            while data := await reader.read(1 << 16):
                while data:
                    room = frames.buffer()
                    step = min(len(room), len(data))
                    room[:step] = data[:step]
                    for frame in frames.advance(step):
                        self.asked.put_nowait(frame)
                    data = data[step:]
        except ConnectionError:
            pass
        finally:
            self.gone.set()
            writer.transport.abort()

    async def next(self, kind: str) -> dict[str, Any]:
        frame = await asyncio.wait_for(self.asked.get(), kit.DEADLINE)
        assert frame.head["type"] == kind, frame.head
        self.last = frame
        return frame.head

    def say(self, head: dict[str, Any], *tail: bytes) -> None:
        assert self._writer is not None
        self._writer.writelines(pack(head, list(tail)))

    def answer(self, number: int, values: Any) -> None:
        described, raw = describe("y", np.array(values, np.float32), "FP32")
        self.say({"type": "result", "id": number, "outputs": [described]}, bytes(raw))

    def die(self) -> None:
        if self._server is not None:
            self._server.close()
            Path(self.replica.socket).unlink(missing_ok=True)
        if self._writer is not None:
            self._writer.transport.abort()


class Caller:
    """Asks a pool, and keeps the outcomes in their order."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.outcomes: list[Any] = []
        self._came = asyncio.Event()

    def _done(self, outcome: Any) -> None:
        self.outcomes.append(outcome)
        self._came.set()

    def start(self, seconds: float = kit.DEADLINE, feed: dict[str, Any] | None = None) -> None:
        self.pool.start(["y"], feed or {"x": X}, asyncio.get_running_loop().time() + seconds, self._done)

    def raw(self, body: bytes = b"", seconds: float = kit.DEADLINE) -> Callable[[], None]:
        request = RawRequest("POST", "predict", {"accept": "*/*"}, body)
        return self.pool.raw(request, asyncio.get_running_loop().time() + seconds, self._done)

    async def until(self, count: int) -> list[Any]:
        async with asyncio.timeout(kit.DEADLINE):
            while len(self.outcomes) < count:
                self._came.clear()
                await self._came.wait()
        return self.outcomes


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(kit.DEADLINE):
        while not true():
            await asyncio.sleep(0.005)


class Stage:
    """What a scene plays with, and takes down at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fakes: list[Fake] = []
        self._pools: list[Pool] = []

    def fake(self, name: str = "a") -> Fake:
        self._fakes.append(Fake(self._folder, name))
        return self._fakes[-1]

    def pool(self, *replicas: kit.Replica, **options: Any) -> Pool:
        self._pools.append(Pool(**options))
        self._pools[-1].set_replicas(
            [ServedReplica(id=Path(one.socket).stem, socket=one.socket) for one in replicas]
        )
        return self._pools[-1]

    async def end(self) -> None:
        for pool in self._pools:
            pool.close()
        for fake in self._fakes:
            fake.die()
        async with asyncio.timeout(kit.DEADLINE):  # nothing is left behind
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others, timeout=0.1)


Scene = Callable[[Stage], Awaitable[None]]
Play = Callable[[Scene], None]


def perform(folder: Path, scene: Scene, factory: Callable[[], asyncio.AbstractEventLoop] | None) -> None:
    async def main() -> None:
        stage = Stage(folder)
        try:
            async with asyncio.timeout(kit.DEADLINE):
                await scene(stage)
        finally:
            await stage.end()

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


@pytest.fixture(params=["uvloop", "asyncio"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Plays a scene in both kinds of event loop."""
    return partial(perform, tmp_path, factory=uvloop.new_event_loop if request.param == "uvloop" else None)


@pytest.fixture
def play_once(tmp_path: Path) -> Play:
    return partial(perform, tmp_path, factory=uvloop.new_event_loop)


async def opened(pool: Pool, *fakes: Fake) -> None:
    for fake in fakes:
        await fake.start()
    pool.set_replicas([fake.replica for fake in fakes])
    await until(lambda: pool.up == len(fakes))


def test_batches_go_to_the_replica_with_the_least_under_way(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        a, b = stage.fake("a"), stage.fake("b")
        pool = stage.pool(concurrency=2)
        caller = Caller(pool)
        await opened(pool, a, b)
        assert pool.states() == {"a": "up", "b": "up"}
        assert pool.places == 4
        for _ in range(5):
            caller.start()
        for fake in (a, b):
            first, second = (await fake.next("infer"))["id"], (await fake.next("infer"))["id"]
            assert first != second
            got = tensors(fake.last.head["inputs"], fake.last.tail)  # type: ignore[arg-type]
            assert got["x"].tolist() == X.tolist()
        assert (pool.queued, pool.waiting) == (1, 0)
        b.answer(second, [[7, 8]])
        (outcome,) = await caller.until(1)
        assert [array.tolist() for array in outcome] == [[[7, 8]]]
        assert (await b.next("infer"))["outputs"] == ["y"]  # the one that had no place
        assert pool.queued == 0

    play(scene)


def test_without_a_replica_work_waits_for_the_first(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        changes: list[int] = []
        pool = stage.pool()
        pool.changed = lambda: changes.append(pool.waiting)
        caller = Caller(pool)
        caller.start()
        caller.raw(b"hello")
        caller.start(seconds=0.01)
        assert (pool.waiting, pool.queued, changes[-1]) == (3, 3, 3)
        (late,) = await caller.until(1)
        assert isinstance(late, DeadlineExceeded)
        assert "no replica was ready" in late.text
        fake = stage.fake()
        pool.set_replicas([fake.replica])
        assert pool.states() == {"a": "it was not reached yet"}
        await until(lambda: pool.states() == {"a": "it does not listen yet"})
        await fake.start()
        number = (await fake.next("infer"))["id"]
        assert pool.waiting == 0
        fake.answer(number, [[3, 4]])
        number = (await fake.next("raw"))["id"]
        assert (fake.last.head["path"], bytes(fake.last.tail or b"")) == ("predict", b"hello")
        fake.say({"type": "raw_result", "id": number, "status": 201, "content_type": "text/plain"}, b"hi")
        outcomes = await caller.until(3)
        assert outcomes[2] == RawAnswer(201, "text/plain", b"hi")
        assert changes[-1] == 0

    play(scene)


def test_a_replica_that_dies_loses_what_it_had_and_nothing_else(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        a, b = stage.fake("a"), stage.fake("b")
        pool = stage.pool()
        caller = Caller(pool)
        await opened(pool, a, b)
        for _ in range(4):
            caller.start()
        await a.next("infer")
        number = (await b.next("infer"))["id"]
        a.die()
        (lost,) = await caller.until(1)
        assert isinstance(lost, ReplicaLost)
        assert lost.status == 503
        assert pool.states()["a"] == "it has closed the connection"
        assert pool.queued == 2
        for count in (2, 3, 4):  # what had not been sent goes to the other one
            b.answer(number, [[count, 0]])
            outcome = (await caller.until(count))[-1]
            assert outcome[0].tolist() == [[count, 0]]
            if count < 4:
                number = (await b.next("infer"))["id"]
        await a.start()
        await until(lambda: pool.up == 2)  # it is back

    play(scene)


def test_a_deadline_ends_the_wait_and_keeps_the_place(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool()
        caller = Caller(pool)
        await opened(pool, fake)
        caller.start(seconds=0.02)
        number = (await fake.next("infer"))["id"]
        caller.start()
        (late,) = await caller.until(1)
        assert isinstance(late, DeadlineExceeded)
        assert (await fake.next("cancel"))["id"] == number
        assert pool.queued == 1  # the replica is still at work
        fake.say({"type": "error", "id": number, "kind": "cancelled", "message": ""})
        fake.answer((await fake.next("infer"))["id"], [[5, 6]])
        outcomes = await caller.until(2)
        assert outcomes[1][0].tolist() == [[5, 6]]

    play(scene)


def test_errors_of_a_replica(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool(max_response_bytes=1000)
        caller = Caller(pool)
        await opened(pool, fake)
        for kind in ("bad_request", "failed", "overloaded", "too_large"):
            caller.start()
            number = (await fake.next("infer"))["id"]
            fake.say({"type": "error", "id": number, "kind": kind, "message": f"it was {kind}"})
        wrong, failure, overloaded, large = await caller.until(4)
        assert isinstance(wrong, BadRequest)
        assert isinstance(failure, ModelFailed)
        assert [wrong.args[0], failure.text, overloaded.text] == [
            "it was bad_request",
            "it was failed",
            "it was overloaded",
        ]
        assert [failure.status, overloaded.status, large.status] == [500, 503, 413]
        caller.start()
        fake.answer((await fake.next("infer"))["id"], [[0.0] * 2] * 200)
        over = (await caller.until(5))[-1]
        assert isinstance(over, Refused)
        assert over.text == "the model's answer is over the limit of 1000 bytes"
        caller.start()  # and the connection goes on
        fake.answer((await fake.next("infer"))["id"], [[5, 6]])
        assert (await caller.until(6))[-1][0].tolist() == [[5, 6]]
        assert fake.connected == 1

    play(scene)


Y = {"name": "y", "datatype": "FP32", "shape": [1, 2], "size": 8}


@pytest.mark.parametrize(
    "lie",
    [
        ({"type": "result", "outputs": [{**Y, "shape": [1, 3]}]}, bytes(8)),
        ({"type": "result", "outputs": [{**Y, "name": "z"}]}, bytes(8)),
        ({"type": "result", "outputs": [{**Y, "datatype": "INT32"}]}, bytes(8)),
        ({"type": "result", "outputs": []}, b""),
        ({"type": "result"}, b""),
        ({"type": "result", "id": 99, "outputs": [Y]}, bytes(8)),
        ({"type": "result", "id": "1", "outputs": [Y]}, bytes(8)),
        ({"type": "raw_result", "status": 200, "content_type": "a"}, b""),
        ({"type": "chunk", "last": False}, b"x"),
        ({"type": "nonsense"}, b""),
        ({"type": 3}, b""),
    ],
)
def test_a_replica_that_lies_is_dropped(play_once: Play, lie: tuple[dict[str, Any], bytes]) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool()
        caller = Caller(pool)
        await opened(pool, fake)
        caller.start()
        number = (await fake.next("infer"))["id"]
        fake.say({"id": number, **lie[0]}, lie[1])
        (lost,) = await caller.until(1)
        assert isinstance(lost, ReplicaLost)
        assert pool.states()["a"].startswith("it does not keep to the protocol")
        await fake.gone.wait()

    play_once(scene)


@pytest.mark.parametrize(
    "lie",
    [
        {"status": 99, "content_type": "a"},
        {"status": 204, "content_type": "a"},
        {"status": "200", "content_type": "a"},
        {"status": 200, "content_type": "text/plain\r\nSet-Cookie: a=b"},
        {"status": 200, "content_type": None},
    ],
)
def test_an_answer_of_its_own_cannot_break_the_fronts_http(play_once: Play, lie: dict[str, Any]) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool()
        caller = Caller(pool)
        await opened(pool, fake)
        caller.raw()
        fake.say({"id": (await fake.next("raw"))["id"], "type": "raw_result", **lie})
        assert isinstance((await caller.until(1))[0], ReplicaLost)

    play_once(scene)


@pytest.mark.parametrize(
    ("hello", "said"),
    [
        ({"type": "greeting"}, "it does not keep to the protocol: it does not begin with hello"),
        ({"signature": {"inputs": 3}}, "it does not keep to the protocol: its signature is none"),
        ({"max_batch": 7}, "seven is too many"),
    ],
)
def test_a_replica_is_judged_by_its_hello(play_once: Play, hello: dict[str, Any], said: str) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool(accept=lambda hello: "seven is too many" if hello.max_batch == 7 else None)
        await fake.start(**hello)
        pool.set_replicas([fake.replica])
        await until(lambda: pool.states() == {"a": said})
        assert pool.up == 0
        await fake.start()
        await until(lambda: pool.up == 1)
        assert pool.hello is not None
        assert pool.hello.raw

    play_once(scene)


def test_a_link_in_place_of_the_socket_is_not_followed(play_once: Play, tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake("real")
        await fake.start()
        (tmp_path / "link.sock").symlink_to(fake.replica.socket)
        (tmp_path / "file.sock").touch()
        pool = stage.pool()
        pool.set_replicas(
            [ServedReplica(id=name, socket=str(tmp_path / f"{name}.sock")) for name in ("link", "file")]
        )
        await until(
            lambda: (
                pool.states() == {"link": "link.sock is not a socket", "file": "file.sock is not a socket"}
            )
        )
        assert fake.connected == 0

    play_once(scene)


def test_a_replica_that_is_taken_away_finishes_what_it_has(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        a, b = stage.fake("a"), stage.fake("b")
        pool = stage.pool()
        caller = Caller(pool)
        await opened(pool, a)
        caller.start()
        number = (await a.next("infer"))["id"]
        await b.start()
        pool.set_replicas([b.replica])
        assert pool.states() == {"b": "it was not reached yet"}
        caller.start()
        b.answer((await b.next("infer"))["id"], [[1, 1]])
        await caller.until(1)
        assert not a.gone.is_set()
        a.answer(number, [[2, 2]])
        assert (await caller.until(2))[1][0].tolist() == [[2, 2]]
        await a.gone.wait()
        caller.start()
        await b.next("infer")
        pool.close()
        caller.start()  # whoever still holds the revision is not left waiting
        await until(lambda: pool.queued == 1)
        pool.close()
        assert isinstance((await caller.until(3))[2], Refused)

    play(scene)


def test_a_replica_that_says_goodbye_gets_nothing_new(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool()
        caller = Caller(pool)
        await opened(pool, fake)
        caller.start()
        number = (await fake.next("infer"))["id"]
        fake.say({"type": "goodbye"})
        await fake.next("goodbye")
        assert pool.states() == {"a": "it ends"}
        caller.start()
        assert pool.waiting == 1
        fake.answer(number, [[2, 2]])
        await caller.until(1)
        assert fake.asked.empty()

    play(scene)


# ---- streams


def test_a_stream_gives_its_place_back_and_is_taken_part_by_part(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool()
        caller = Caller(pool)
        await opened(pool, fake)
        caller.raw()
        number = (await fake.next("raw"))["id"]
        caller.start()
        assert pool.queued == 1
        fake.say({"type": "chunk", "id": number, "last": False}, b"one")
        (parts,) = await caller.until(1)
        await fake.next("infer")  # a stream is no reason for a batch to wait
        assert isinstance(parts, Parts)
        assert await anext(parts) == b"one"
        assert (await fake.next("more"))["bytes"] == 3
        fake.say({"type": "chunk", "id": number, "last": False}, b"two")
        fake.say({"type": "chunk", "id": number, "last": True}, b"three")
        assert [part async for part in parts] == [b"two", b"three"]

    play(scene)


def test_a_stream_ends_with_its_reader_its_replica_or_its_time(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool(concurrency=9)
        caller = Caller(pool)
        await opened(pool, fake)

        async def begin(seconds: float = kit.DEADLINE) -> tuple[int, Parts]:
            caller.raw(seconds=seconds)
            number = (await fake.next("raw"))["id"]
            fake.say({"type": "chunk", "id": number, "last": False}, b"one")
            parts = (await caller.until(len(caller.outcomes) + 1))[-1]
            assert await anext(parts) == b"one"
            await fake.next("more")
            return number, parts

        number, parts = await begin()
        parts.cancel()
        assert (await fake.next("cancel"))["id"] == number
        fake.say({"type": "error", "id": number, "kind": "cancelled", "message": ""})
        number, parts = await begin(seconds=0.05)
        with pytest.raises(DeadlineExceeded, match="made nothing"):
            await anext(parts)
        assert (await fake.next("cancel"))["id"] == number
        number, parts = await begin()
        fake.say({"type": "error", "id": number, "kind": "failed", "message": "no more"})
        with pytest.raises(ModelFailed, match="no more"):
            await anext(parts)
        number, parts = await begin()
        fake.die()
        with pytest.raises(ReplicaLost):
            await anext(parts)

    play(scene)


def test_a_stream_that_does_not_pause_is_a_lie(play_once: Play) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool()
        caller = Caller(pool)
        await opened(pool, fake)
        caller.raw()
        number = (await fake.next("raw"))["id"]
        for _ in range(3):
            fake.say({"type": "chunk", "id": number, "last": False}, bytes(WINDOW))
        await until(lambda: pool.states()["a"].startswith("it does not keep to the protocol"))

    play_once(scene)


def test_a_request_whose_client_has_gone_is_cancelled(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        fake = stage.fake()
        pool = stage.pool()
        caller = Caller(pool)
        await opened(pool, fake)
        first, second = caller.raw(), caller.raw()
        number = (await fake.next("raw"))["id"]
        second()  # it was not sent yet, and never is
        first()
        assert (await fake.next("cancel"))["id"] == number
        fake.say({"type": "chunk", "id": number, "last": False}, b"one")  # it had begun already
        fake.say({"type": "error", "id": number, "kind": "cancelled", "message": ""})
        assert [outcome.status for outcome in await caller.until(2)] == [499, 499]
        caller.start()
        fake.answer((await fake.next("infer"))["id"], [[1, 1]])
        await caller.until(3)

    play(scene)


# ---- replicas that hang


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks often, and gives nobody time beyond that of a request."""
    monkeypatch.setattr("nacre.modelserver.link.LOOK_S", 0.02)
    monkeypatch.setattr(
        "nacre.modelserver.liveness.LOOK_S", 5.0
    )  # what a loaded machine delays is no reason
    monkeypatch.setattr("nacre.modelserver.liveness.IDLE_STUCK_S", 0.1)
    monkeypatch.setattr("nacre.modelserver.liveness.IDLE_HUNG_S", 0.3)
    monkeypatch.setattr("nacre.modelserver.liveness._LEAST_GRACE_S", 0.1)


@pytest.mark.usefixtures("hasty")
def test_a_replica_that_answers_nothing_gets_nothing_more_and_is_told_of(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        a, b = stage.fake("a"), stage.fake("b")
        pool = stage.pool(timeout_s=0.2)
        caller = Caller(pool)
        await opened(pool, a)
        caller.start(seconds=0.1)
        number = (await a.next("infer"))["id"]
        assert isinstance((await caller.until(1))[0], DeadlineExceeded)
        await until(lambda: pool.states()["a"].startswith("hung: it has answered nothing for "))
        assert pool.states()["a"].endswith(", and has 1 requests under way")
        caller.start()
        assert (pool.up, pool.waiting) == (0, 1)
        await b.start()
        pool.set_replicas([a.replica, b.replica])
        b.answer((await b.next("infer"))["id"], [[1, 1]])
        await caller.until(2)
        a.answer(number, [[2, 2]])  # it was only very slow
        await until(lambda: pool.states() == {"a": "up", "b": "up"})
        assert len(caller.outcomes) == 2

    play(scene)


@pytest.mark.usefixtures("hasty")
def test_a_replica_without_work_has_to_answer_pings(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        a, b = stage.fake("a"), stage.fake("b")
        await a.start(ping=True)
        await b.start()
        pool = stage.pool()
        pool.set_replicas([a.replica, b.replica])
        await until(lambda: pool.up == 2)
        for number in range(20):
            await a.next("ping")
            a.say({"type": "pong", "steps": number, "working": False})
        assert pool.states() == {"a": "up", "b": "up"}
        await a.next("ping")
        await until(lambda: pool.states()["a"].startswith("hung: it has answered nothing for "))
        assert pool.states()["b"] == "up"  # it knows no ping, and has nothing to do
        assert a.asked.empty()

    play(scene)


@pytest.mark.usefixtures("hasty")
def test_a_replica_that_says_no_hello_is_hung_in_the_end(
    play_once: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.modelserver.link.IDLE_HUNG_S", 0.2)

    async def scene(stage: Stage) -> None:
        fake, other = stage.fake(), stage.fake("b")
        pool = stage.pool(accept=lambda hello: "seven is too many" if hello.max_batch == 7 else None)
        await other.start(max_batch=7)
        pool.set_replicas([fake.replica, other.replica])
        await until(lambda: pool.states()["a"] == "hung: it does not listen yet")
        assert pool.states()["b"] == "seven is too many"  # another one would say the same
        await fake.start()
        await until(lambda: pool.up == 1)

    play_once(scene)


ENDLESS = kit.DOUBLE.replace(
    "def predict(inputs):\n", "def predict(inputs):\n    while inputs['x'][0, 0] < 0:\n        pass\n"
)


@pytest.mark.usefixtures("hasty")
def test_an_endless_loop_answers_pings_and_hangs_nevertheless(play_once: Play, tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        pool = stage.pool(replica, timeout_s=1.0)
        await until(lambda: pool.up == 1)
        caller = Caller(pool)
        caller.start(feed={"x": np.ones((1, 2), np.float32)})
        await caller.until(1)
        caller.start(seconds=0.5, feed={"x": -np.ones((1, 2), np.float32)})
        await until(lambda: pool.states()["r"].startswith("hung: "))

    with kit.Replica(kit.write(tmp_path / "m", ENDLESS), tmp_path) as replica:
        play_once(scene)


# ---- with real replicas


SLOW = kit.DOUBLE.replace(
    "def predict(inputs):\n", "def predict(inputs):\n    import time\n    time.sleep(0.01)\n"
)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[kit.Replica]]:
    model = kit.write(tmp_path / "model", SLOW)
    with kit.Replica(model, tmp_path, name="a") as a, kit.Replica(model, tmp_path, name="b") as b:
        yield [a, b]


async def load(caller: Caller, count: int, concurrency: int) -> None:
    """So many batches, so many at once; each has its own values."""
    for number in range(count):
        caller.start(feed={"x": np.full((1, 2), number, np.float32)})
        await until(lambda number=number: len(caller.outcomes) > number - concurrency)  # type: ignore[misc]


def test_kill_9_of_a_replica_under_load_fails_only_what_it_had(
    play_once: Play, two: list[kit.Replica]
) -> None:
    async def scene(stage: Stage) -> None:
        pool = stage.pool(*two, concurrency=2)
        await until(lambda: pool.up == 2)
        caller = Caller(pool)
        running = asyncio.create_task(load(caller, 200, 8))
        await caller.until(60)
        os.kill(two[0].process.pid, signal.SIGKILL)
        await running
        outcomes = await caller.until(200)
        lost = [one for one in outcomes if isinstance(one, Exception)]
        assert 1 <= len(lost) <= 2
        assert all(isinstance(one, ReplicaLost) for one in lost)
        values = sorted(int(one[0][0, 0]) for one in outcomes if not isinstance(one, Exception))
        assert len(values) == 200 - len(lost)
        assert set(values) <= {2 * n for n in range(200)}

    play_once(scene)


def test_sigterm_of_a_replica_under_load_fails_nothing(play_once: Play, two: list[kit.Replica]) -> None:
    async def scene(stage: Stage) -> None:
        pool = stage.pool(*two, concurrency=2)
        await until(lambda: pool.up == 2)
        caller = Caller(pool)
        running = asyncio.create_task(load(caller, 200, 8))
        await caller.until(60)
        two[0].terminate()
        await running
        outcomes = await caller.until(200)
        assert sorted(int(one[0][0, 0]) for one in outcomes) == [2 * n for n in range(200)]
        assert await asyncio.to_thread(two[0].wait) == 0

    play_once(scene)


def test_a_stream_of_a_real_replica_is_closed_by_its_reader(play_once: Play, tmp_path: Path) -> None:
    text = """
    import json

    ended = []

    def predict(inputs):
        return ended if inputs is None else tell()

    def tell():
        try:
            for n in range(10**9):
                yield {"n": n, "pad": "x" * 1000}
        finally:
            ended.append(n)
    """

    async def scene(stage: Stage) -> None:
        pool = stage.pool(replica)
        await until(lambda: pool.up == 1)
        caller = Caller(pool)
        caller.raw(b"1")
        (parts,) = await caller.until(1)
        taken = 0
        async for part in parts:
            assert json.loads(part.removeprefix(b"data: "))["n"] == taken
            taken += 1
            if taken == 1000:  # a megabyte: more than is ever under way
                parts.cancel()
                break
        ended: list[int] = []
        while not ended:
            caller.raw(b"null")
            ended = json.loads((await caller.until(len(caller.outcomes) + 1))[-1].body)
        assert taken <= ended[0] + 1 <= taken + WINDOW // 1000 + 2

    with kit.Replica(kit.write(tmp_path / "m", text), tmp_path) as replica:
        play_once(scene)
