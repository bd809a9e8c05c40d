"""Every engine keeps the promises of its port."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from nacre.launcher import cgroups, processes
from nacre.launcher.isolation import detect
from nacre.plugins.engines.local import LocalEngine
from nacre.ports.engines import Engine, Handle
from nacre.schema.launch import LaunchLimits, LaunchSpec, SandboxMode
from nacre.testing.conformance.engine import EngineSuite
from nacre.testing.conformance.engine_port import EnginePortSuite
from nacre.testing.engines import FakeEngine

UID = 61234

SKEW = """\
import runpy, sys, time
real, real_ns, off = time.time, time.time_ns, float(sys.argv[1])
time.time = lambda: real() + off
time.time_ns = lambda: real_ns() + int(off * 1e9)
at = sys.argv.index("-m")
sys.argv = sys.argv[at + 1 :]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs ``-m MODULE`` of a Python's arguments with a clock that is off."""


@cache
def modes() -> list[str]:
    return detect().modes


class TestFakeEngine(EnginePortSuite):
    @pytest.fixture
    def engine(self) -> FakeEngine:
        return FakeEngine()

    def spec(self, engine: Engine, attempt_id: str, rank: int = 0) -> LaunchSpec:
        return LaunchSpec(
            project="vision",
            subject_id="job_1",
            subject_name="train-1",
            attempt_id=attempt_id,
            rank=rank,
            folder="/nowhere",
            server="unix:/nowhere",
            token="",
            blobs_root=None,
            trees_root="/nowhere",
            command=["true"],
            sandbox=SandboxMode.NONE,
        )

    def again(self, engine: Engine) -> FakeEngine:
        assert isinstance(engine, FakeEngine)
        later = FakeEngine()
        later.replicas.update(engine.replicas)
        engine.replicas = later.replicas
        return later

    @contextmanager
    def unreachable(self, engine: Engine) -> Iterator[None]:
        assert isinstance(engine, FakeEngine)
        engine.down = True
        yield
        engine.down = False

    def settle(self, engine: Engine, handle: Handle) -> None:
        assert isinstance(engine, FakeEngine)
        engine.see(handle["attempt"], handle["rank"], launcher=False, work=False, exited=True, done=True)

    def kill_launcher(self, engine: Engine, handle: Handle) -> None:
        assert isinstance(engine, FakeEngine)
        engine.see(handle["attempt"], handle["rank"], launcher=False)

    def keep_output(self, engine: Engine, handle: Handle) -> None:
        assert isinstance(engine, FakeEngine)
        engine.replicas[handle["attempt"], handle["rank"]].output_kept = True


class LocalSuite(EngineSuite):
    """The engine of one machine, in one sandbox mode."""

    mode: SandboxMode
    deadline_s = 20.0

    @pytest.fixture
    def engine(self, tmp_path: Path) -> LocalEngine:
        if self.mode.value not in modes():
            pytest.skip(f"{self.mode.value} does not work on this host")
        self.home = tmp_path
        (tmp_path / "trees").mkdir()
        return LocalEngine(tmp_path)

    def spec(self, engine: Engine, attempt_id: str, rank: int = 0) -> LaunchSpec:
        return LaunchSpec(
            project="vision",
            subject_id="job_1",
            subject_name="train-1",
            attempt_id=attempt_id,
            rank=rank,
            folder=str(self.home / "attempts" / attempt_id / str(rank)),
            server=self.recorder.address,
            token="nacre_test",
            blobs_root=str(self.home),
            trees_root=str(self.home / "trees"),
            command=["/bin/sh", "-c", "sleep 600"],
            sandbox=self.mode,
            uid=UID if self.mode is SandboxMode.BWRAP_ROOT else None,
            limits=LaunchLimits(grace_s=0.2, processes=None),
        )

    def again(self, engine: Engine) -> LocalEngine:
        return LocalEngine(self.home)

    @contextmanager
    def unreachable(self, engine: Engine) -> Iterator[None]:
        """The disk of the home is gone for a while."""
        (self.home / "attempts").rename(self.home / "elsewhere")
        yield
        (self.home / "elsewhere").rename(self.home / "attempts")

    def skewed(self, engine: Engine, seconds: float) -> LocalEngine:
        (self.home / "skew.py").write_text(SKEW)
        python = self.home / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} -P {self.home}/skew.py {seconds} "$@"\n')
        python.chmod(0o755)
        return LocalEngine(self.home, str(python))

    def keep_output(self, engine: Engine, handle: Handle) -> None:
        folder = Path(handle["folder"])
        (folder / "output-kept").write_text("{}")
        (folder / "output" / "model.pt").write_bytes(b"weights")

    def kill_launcher(self, engine: Engine, handle: Handle) -> None:
        for pid in launchers(handle):
            os.kill(pid, signal.SIGKILL)

    def kill_everything(self, engine: Engine, handle: Handle) -> None:
        self.kill_launcher(engine, handle)
        work = json.loads((Path(handle["folder"]) / "workload.json").read_text())
        for pid in (work["pid"], work["pump"], *self.survivors(engine, handle)):
            processes.send(pid, signal.SIGKILL)

    def survivors(self, engine: Engine, handle: Handle) -> list[int]:
        marks = [f"NACRE_ATTEMPT_ID={handle['attempt']}".encode(), f"NACRE_RANK={handle['rank']}".encode()]
        return processes.marked(marks, processes.table())


def launchers(handle: Handle) -> list[int]:
    """Launchers of a folder that run, also those that have not written down who they are."""
    found = {}
    for pid, row in processes.table().items():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"nacre.launcher" in words and handle["folder"].encode() in words and row.state not in "ZX":
            found[pid] = row.parent
    # What a launcher has just begun looks like it until it becomes another program.
    return [pid for pid, parent in found.items() if parent not in found]


class TestLocalEngine(LocalSuite):
    """Without a sandbox, and what is so whatever the sandbox."""

    mode = SandboxMode.NONE

    def test_kept_output_is_all_that_stays(self, engine: LocalEngine) -> None:
        _, handle = self.start(engine, "att_output")
        self.until(engine, handle, lambda seen: seen.work)
        self.keep_output(engine, handle)
        for _ in range(2):
            engine.forget(handle)
            left = sorted(path.name for path in Path(handle["folder"]).iterdir())
            assert left == ["output", "output-kept"]
        engine.forget(handle, everything=True)
        assert not (self.home / "attempts" / "att_output").exists()

    def test_the_last_replica_takes_what_the_gang_shared(self, engine: LocalEngine) -> None:
        first, second = self.start_gang(engine, "att_shared")
        shared = self.home / "attempts" / "att_shared"
        (shared / "network").touch()
        engine.forget(first)
        assert {path.name for path in shared.iterdir()} >= {"1", "network"}
        engine.forget(second)
        assert not shared.exists()

    def test_the_last_replica_that_ended_by_itself_takes_what_the_gang_shared(
        self, engine: LocalEngine
    ) -> None:
        handles = self.start_gang(engine, "att_shared")
        shared = self.home / "attempts" / "att_shared"
        (shared / "network").touch()
        for handle in handles:
            self.end(engine, handle)
        assert not shared.exists()

    def test_what_a_dead_server_left_of_a_gangs_folder_is_no_replica(self, engine: LocalEngine) -> None:
        (self.home / "attempts" / "att_odd" / "shared").mkdir(parents=True)
        (self.home / "attempts" / "att_odd" / "7").touch()
        assert engine.leftovers() == []

    def test_control_groups_of_a_dead_launcher_go(self, engine: LocalEngine) -> None:
        _, handle = self.start(engine, "att_groups")
        self.until(engine, handle, lambda seen: seen.work)
        made = cgroups.find("att_groups-0").joined
        if not made:
            pytest.skip("this host lets us make no control groups")
        self.kill_launcher(engine, handle)
        (Path(handle["folder"]) / "plan.json").unlink()  # killed before it could write them down
        self.until(engine, handle, lambda seen: not seen.launcher)
        engine.forget(handle)
        assert cgroups.find("att_groups-0").joined == []

    def test_a_pid_that_another_process_got_is_not_taken_for_the_launcher(
        self, engine: LocalEngine
    ) -> None:
        handle = engine.handle(self.spec(engine, "att_reuse"))
        folder = Path(handle["folder"])
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text("{}")
        (folder / "launcher.json").write_text(json.dumps({"pid": os.getpid(), "start": 1}))
        (folder / "workload.json").write_text(json.dumps({"pid": os.getpid(), "start": 1}))
        seen = engine.observe(handle)
        assert not seen.launcher
        assert not seen.work
        engine.stop(handle)

    def test_the_first_look_at_the_machine_compiles_the_launcher(self, engine: LocalEngine) -> None:
        source = Path(cgroups.__file__)
        compiled = Path(importlib.util.cache_from_source(str(source)))
        compiled.unlink(missing_ok=True)
        engine.nodes()
        assert compiled.exists() or not os.access(source.parent, os.W_OK)

    def test_only_the_owner_may_read_the_spec(self, engine: LocalEngine) -> None:
        _, handle = self.start(engine, "att_private")
        assert (Path(handle["folder"]) / "spec.json").stat().st_mode & 0o777 == 0o600
        self.end(engine, handle)

    def test_a_launcher_gets_no_variable_of_the_servers(
        self, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NACRE_DATABASE_URL", "postgresql://secret@example/nacre")
        _, handle = self.start(engine, "att_clean")
        self.until(engine, handle, lambda seen: seen.work)
        noted = json.loads((Path(handle["folder"]) / "launcher.json").read_text())
        assert b"postgresql" not in Path(f"/proc/{noted['pid']}/environ").read_bytes()
        self.end(engine, handle)


@pytest.mark.sandbox
class TestLocalEngineInBubblewrapOfRoot(LocalSuite):
    mode = SandboxMode.BWRAP_ROOT


@pytest.mark.sandbox
class TestLocalEngineInBubblewrapOfAUser(LocalSuite):
    mode = SandboxMode.BWRAP_USER
