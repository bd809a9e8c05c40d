"""The part of the engine suite that needs no real work: what each method of the port promises by itself."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from nacre.errors import NotFound, Unavailable
from nacre.ports.engines import Engine, Handle, Observed
from nacre.schema.launch import LaunchSpec

NOTHING = Observed(launcher=False, work=False, exited=False, done=False)


class EnginePortSuite(ABC):
    """Promises of the port's methods. A real engine runs :class:`.engine.EngineSuite`, which has these too;
    this half alone is for engines without processes.
    """

    deadline_s = 30.0
    """How long anything that is waited for may take."""

    # What a subclass says

    @abstractmethod
    def spec(self, engine: Engine, attempt_id: str, rank: int = 0) -> LaunchSpec:
        """A replica whose work goes on until it is stopped."""

    @abstractmethod
    def kill_launcher(self, engine: Engine, handle: Handle) -> None:
        """Kill the launcher as ``kill -9`` does, and leave the work alone."""

    @abstractmethod
    def keep_output(self, engine: Engine, handle: Handle) -> None:
        """Have output in the replica's folder that the server would not take."""

    @abstractmethod
    def again(self, engine: Engine) -> Engine:
        """The engine of a server that was killed and started: it remembers nothing."""

    @abstractmethod
    def unreachable(self, engine: Engine) -> AbstractContextManager[None]:
        """While it lasts, the engine cannot tell what there is."""

    def settle(self, engine: Engine, handle: Handle) -> None:  # noqa: B027
        """Let stopped work come to its end. Real work does so by itself; a fake needs to be told."""

    def gather(self, attempt_id: str, size: int) -> None:  # noqa: B027
        """Let a gang of this size begin when all of it is ready."""

    # Steps

    @pytest.fixture(autouse=True)
    def _forget_everything(self, engine: Engine) -> Iterator[None]:
        yield
        for _, handle in self.again(engine).leftovers():
            engine.forget(handle, everything=True)

    def until(self, engine: Engine, handle: Handle, wanted: Callable[[Observed], bool]) -> Observed:
        """Wait until the engine observes what is wanted."""
        end = time.monotonic() + self.deadline_s
        while not wanted(seen := engine.observe(handle)):
            assert time.monotonic() < end, f"still {seen}"
            time.sleep(0.01)
        return seen

    def start(self, engine: Engine, attempt_id: str) -> tuple[LaunchSpec, Handle]:
        """A launch that is on its way."""
        spec = self.spec(engine, attempt_id)
        handle = engine.handle(spec)
        engine.launch(spec, handle)
        return spec, handle

    def start_gang(self, engine: Engine, attempt_id: str, size: int = 2) -> list[Handle]:
        """All replicas of an attempt, at work."""
        self.gather(attempt_id, size)
        handles = []
        for rank in range(size):
            spec = self.spec(engine, attempt_id, rank).model_copy(update={"replicas": size})
            handles.append(engine.handle(spec))
            engine.launch(spec, handles[-1])
        for handle in handles:
            self.until(engine, handle, lambda seen: seen.launcher and seen.work)
        return handles

    def end(self, engine: Engine, handle: Handle) -> None:
        """Bring it to its end and remove it, whatever is missing of it."""
        end = time.monotonic() + self.deadline_s
        while not engine.observe(handle).done:
            assert time.monotonic() < end
            engine.adopt(handle)
            engine.stop(handle)
            self.settle(engine, handle)
            time.sleep(0.01)
        engine.forget(handle)

    # Machines and handles

    def test_machines_have_names_and_something_to_give(self, engine: Engine) -> None:
        nodes = engine.nodes()
        assert nodes
        assert len({node.name for node in nodes}) == len(nodes)
        assert all(node.cpu > 0 and node.memory > 0 for node in nodes)

    def test_a_handle_is_json_and_the_same_each_time(self, engine: Engine) -> None:
        spec = self.spec(engine, "att_handle")
        handle = engine.handle(spec)
        assert json.loads(json.dumps(handle)) == handle == engine.handle(spec)
        assert self.again(engine).handle(spec) == handle

    def test_replicas_of_an_attempt_have_handles_of_their_own(self, engine: Engine) -> None:
        handles = [engine.handle(self.spec(engine, "att_ranks", rank)) for rank in range(3)]
        assert len({json.dumps(handle, sort_keys=True) for handle in handles}) == 3

    # One replica

    def test_nothing_is_seen_of_what_was_never_launched(self, engine: Engine) -> None:
        handle = engine.handle(self.spec(engine, "att_never"))
        assert engine.observe(handle) == NOTHING
        with pytest.raises(NotFound):
            engine.adopt(handle)
        engine.stop(handle)
        engine.forget(handle)

    def test_work_starts_and_ends_when_it_is_stopped(self, engine: Engine) -> None:
        _, handle = self.start(engine, "att_stop")
        self.until(engine, handle, lambda seen: seen.launcher and seen.work)
        engine.stop(handle)
        engine.stop(handle)
        self.settle(engine, handle)
        seen = self.until(engine, handle, lambda seen: seen.done)
        assert not seen.work
        engine.forget(handle)
        engine.forget(handle)

    def test_launching_twice_starts_it_once(self, engine: Engine) -> None:
        spec, handle = self.start(engine, "att_twice")
        engine.launch(spec, handle)
        before = self.until(engine, handle, lambda seen: seen.work)
        engine.launch(spec, json.loads(json.dumps(handle)))
        assert engine.observe(handle) == before
        self.end(engine, handle)

    def test_what_was_launched_is_left_over_until_it_is_forgotten(self, engine: Engine) -> None:
        assert engine.leftovers() == []
        _, handle = self.start(engine, "att_left")
        self.until(engine, handle, lambda seen: seen.work)
        assert engine.leftovers() == [("att_left", handle)]
        engine.forget(handle)
        assert engine.leftovers() == []

    def test_forgetting_ends_what_still_runs(self, engine: Engine) -> None:
        _, handle = self.start(engine, "att_forget")
        self.until(engine, handle, lambda seen: seen.launcher and seen.work)
        engine.forget(handle)
        assert engine.observe(handle) == NOTHING
        engine.forget(handle, everything=True)

    def test_output_that_the_server_would_not_have_goes_only_with_everything(self, engine: Engine) -> None:
        _, handle = self.start(engine, "att_kept")
        self.until(engine, handle, lambda seen: seen.work)
        self.keep_output(engine, handle)
        engine.forget(handle)
        assert engine.leftovers() == [("att_kept", handle)]
        engine.forget(handle, everything=True)
        assert engine.leftovers() == []

    def test_a_dead_launcher_is_seen_and_another_one_carries_on(self, engine: Engine) -> None:
        _, handle = self.start(engine, "att_adopt")
        self.until(engine, handle, lambda seen: seen.launcher and seen.work)
        self.kill_launcher(engine, handle)
        seen = self.until(engine, handle, lambda seen: not seen.launcher)
        assert seen.work
        engine.adopt(handle)
        engine.adopt(handle)
        seen = self.until(engine, handle, lambda seen: seen.launcher)
        assert seen.work
        self.end(engine, handle)

    # Gangs

    def test_each_replica_of_a_gang_is_seen_stopped_and_forgotten_by_itself(self, engine: Engine) -> None:
        first, second = self.start_gang(engine, "att_gang")
        assert sorted(engine.leftovers(), key=str) == sorted(
            [("att_gang", first), ("att_gang", second)], key=str
        )
        engine.stop(first)
        self.settle(engine, first)
        self.until(engine, first, lambda seen: seen.done)
        seen = engine.observe(second)
        assert (seen.launcher, seen.work, seen.done) == (True, True, False)
        engine.forget(first)
        assert engine.observe(first) == NOTHING
        assert engine.leftovers() == [("att_gang", second)]
        assert engine.observe(second).work
        self.end(engine, second)
        assert engine.leftovers() == []

    def test_one_replica_of_a_gang_is_killed_and_the_other_lives(self, engine: Engine) -> None:
        first, second = self.start_gang(engine, "att_half")
        self.kill_launcher(engine, second)
        self.until(engine, second, lambda seen: not seen.launcher)
        assert engine.observe(first).launcher
        engine.adopt(second)
        self.until(engine, second, lambda seen: seen.launcher and seen.work)
        engine.forget(second)
        assert engine.observe(second) == NOTHING
        assert engine.observe(first).work
        self.end(engine, first)

    # A server that starts again, an engine that cannot be asked

    def test_another_server_finds_everything_again(self, engine: Engine) -> None:
        spec, handle = self.start(engine, "att_found")
        self.until(engine, handle, lambda seen: seen.launcher and seen.work)
        later = self.again(engine)
        handle = json.loads(json.dumps(handle))
        assert later.leftovers() == [("att_found", handle)]
        seen = later.observe(handle)
        assert (seen.launcher, seen.work) == (True, True)
        later.launch(spec, handle)
        later.adopt(handle)
        assert later.observe(handle) == seen
        self.end(later, handle)
        assert later.leftovers() == []

    def test_an_engine_that_cannot_tell_says_so_and_changes_nothing(self, engine: Engine) -> None:
        spec, handle = self.start(engine, "att_away")
        before = self.until(engine, handle, lambda seen: seen.launcher and seen.work)
        later = self.spec(engine, "att_later")
        calls: list[Callable[[], object]] = [
            lambda: engine.observe(handle),
            lambda: engine.adopt(handle),
            lambda: engine.stop(handle),
            lambda: engine.forget(handle),
            lambda: engine.forget(handle, everything=True),
            engine.leftovers,
            lambda: engine.launch(spec, handle),
            lambda: engine.launch(later, engine.handle(later)),
        ]
        with self.unreachable(engine):
            for call in calls:
                with pytest.raises(Unavailable):
                    call()
        assert engine.observe(handle) == before
        assert engine.leftovers() == [("att_away", handle)]
        engine.launch(later, engine.handle(later))
        self.until(engine, engine.handle(later), lambda seen: seen.work)
