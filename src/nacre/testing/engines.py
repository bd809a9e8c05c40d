"""Engines for tests: a fake that fails on command, and the suite that every engine must pass."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from nacre.errors import NotFound, Unavailable
from nacre.ports.engines import Engine, Handle, NodeFacts, Observed
from nacre.schema.launch import LaunchSpec

GIB = 2**30


@dataclass
class FakeLaunch:
    """What the fake engine knows of one attempt."""

    spec: LaunchSpec
    seen: Observed = Observed(launcher=True, work=True, exited=False, done=False)  # noqa: RUF009
    launches: int = 1
    adoptions: int = 0
    stops: int = 0
    output_kept: bool = False


class FakeEngine(Engine):
    """Machines and launchers that exist only in memory.

    ``fail(method, error)`` makes the next call of a method raise; ``see(attempt_id, …)`` changes what is
    observed; ``lose(attempt_id)`` takes away everything that there is of an attempt.
    """

    def __init__(self, nodes: list[NodeFacts] | None = None) -> None:
        self.machines = nodes if nodes is not None else [NodeFacts("local", 4.0, 8 * GIB)]
        self.launched: dict[str, FakeLaunch] = {}
        self.forgotten: list[str] = []
        self._failures: dict[str, list[Exception]] = {}

    def fail(self, method: str, error: Exception) -> None:
        """Make the next call of ``method`` raise ``error``."""
        self._failures.setdefault(method, []).append(error)

    def see(self, attempt_id: str, **fields: bool) -> None:
        """Change what is observed of an attempt: launcher, work, exited, done."""
        launch = self.launched[attempt_id]
        launch.seen = replace(launch.seen, **fields)

    def lose(self, attempt_id: str) -> None:
        """Nothing is left of the attempt."""
        del self.launched[attempt_id]

    def _call(self, method: str) -> None:
        waiting = self._failures.get(method)
        if waiting:
            raise waiting.pop(0)

    def nodes(self) -> list[NodeFacts]:
        self._call("nodes")
        return self.machines

    def handle(self, spec: LaunchSpec) -> Handle:
        self._call("handle")
        return {"attempt": spec.attempt_id, "rank": spec.rank}

    def launch(self, spec: LaunchSpec, handle: Handle) -> None:
        self._call("launch")
        if handle["attempt"] not in self.launched:
            self.launched[handle["attempt"]] = FakeLaunch(spec)

    def observe(self, handle: Handle) -> Observed:
        self._call("observe")
        launch = self.launched.get(handle["attempt"])
        return launch.seen if launch else Observed(launcher=False, work=False, exited=False, done=False)

    def adopt(self, handle: Handle) -> None:
        self._call("adopt")
        launch = self.launched.get(handle["attempt"])
        if launch is None:
            raise NotFound("nothing is left of it")
        if not launch.seen.launcher:
            launch.adoptions += 1
            launch.seen = replace(launch.seen, launcher=True)

    def stop(self, handle: Handle) -> None:
        self._call("stop")
        if handle["attempt"] in self.launched:
            self.launched[handle["attempt"]].stops += 1

    def forget(self, handle: Handle, *, everything: bool = False) -> None:
        self._call("forget")
        launch = self.launched.get(handle["attempt"])
        if launch is not None and launch.output_kept and not everything:
            return
        self.launched.pop(handle["attempt"], None)
        self.forgotten.append(handle["attempt"])

    def leftovers(self) -> list[tuple[str, Handle]]:
        self._call("leftovers")
        return [(attempt, self.handle(launch.spec)) for attempt, launch in self.launched.items()]

    def socket(self, handle: Handle, name: str) -> str:
        return f"/fake/{handle['attempt']}/{name}"


class EngineSuite(ABC):
    """What every engine promises. Subclass it in a test module and give the three fixtures' contents.

    Example::

        class TestMyEngine(EngineSuite):
            @pytest.fixture
            def engine(self): ...
            def spec(self, engine, attempt_id): ...
            def settle(self, engine, handle): ...
    """

    deadline_s = 30.0

    @abstractmethod
    def spec(self, engine: Engine, attempt_id: str) -> LaunchSpec:
        """A launch whose work goes on until it is stopped."""

    @abstractmethod
    def settle(self, engine: Engine, handle: Handle) -> None:
        """Let stopped work come to its end (a fake needs to be told)."""

    @abstractmethod
    def kill_launcher(self, engine: Engine, handle: Handle) -> None:
        """Kill the launcher as ``kill -9`` does, and leave the work alone."""

    @abstractmethod
    def keep_output(self, engine: Engine, handle: Handle) -> None:
        """Have output in the replica's folder that the server would not take."""

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

    def end(self, engine: Engine, handle: Handle) -> None:
        """Bring it to its end and remove it."""
        end = time.monotonic() + self.deadline_s
        while not engine.observe(handle).done:
            assert time.monotonic() < end
            engine.adopt(handle)
            engine.stop(handle)
            self.settle(engine, handle)
            time.sleep(0.01)
        engine.forget(handle)

    def test_machines_have_names_and_something_to_give(self, engine: Engine) -> None:
        nodes = engine.nodes()
        assert nodes
        assert len({node.name for node in nodes}) == len(nodes)
        assert all(node.cpu > 0 and node.memory > 0 for node in nodes)

    def test_a_handle_is_json_and_the_same_each_time(self, engine: Engine) -> None:
        spec = self.spec(engine, "att_handle")
        handle = engine.handle(spec)
        assert json.loads(json.dumps(handle)) == handle == engine.handle(spec)

    def test_nothing_is_seen_of_what_was_never_launched(self, engine: Engine) -> None:
        handle = engine.handle(self.spec(engine, "att_never"))
        assert engine.observe(handle) == Observed(launcher=False, work=False, exited=False, done=False)
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
        assert engine.observe(handle) == Observed(launcher=False, work=False, exited=False, done=False)
        engine.forget(handle, everything=True)

    def test_output_that_the_server_would_not_have_goes_only_with_everything(self, engine: Engine) -> None:
        _, handle = self.start(engine, "att_kept")
        self.until(engine, handle, lambda seen: seen.work)
        self.keep_output(engine, handle)
        engine.forget(handle)
        assert engine.leftovers() == [("att_kept", handle)]
        engine.forget(handle, everything=True)
        assert engine.leftovers() == []

    def test_launching_twice_starts_it_once(self, engine: Engine) -> None:
        spec, handle = self.start(engine, "att_twice")
        engine.launch(spec, handle)
        before = self.until(engine, handle, lambda seen: seen.work)
        engine.launch(spec, json.loads(json.dumps(handle)))
        assert engine.observe(handle) == before
        self.end(engine, handle)

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


def unavailable(what: str = "the engine") -> Unavailable:
    """An error for :meth:`FakeEngine.fail`: nobody can tell now."""
    return Unavailable(f"{what} cannot tell now")
