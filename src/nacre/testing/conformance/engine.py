"""The suite that every engine passes, with real work and a server that records what arrives.

Subclass it in a test module; ``docs/howto/engines.md`` explains each part. Example::

    class TestMyEngine(EngineSuite):
        @pytest.fixture
        def engine(self, tmp_path):
            return MyEngine(tmp_path)

        def spec(self, engine, attempt_id, rank=0):
            return LaunchSpec(server=self.recorder.address, command=["sleep", "600"], …)

        def kill_launcher(self, engine, handle): ...

Work is shell scripts and ``python`` of the machine where it runs; nothing else is needed there.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import pytest

from nacre.ports.engines import Engine, Handle
from nacre.schema.launch import LaunchSpec
from nacre.testing.conformance.engine_port import EnginePortSuite
from nacre.testing.conformance.recorder import Recorder

MIB = 2**20

_DEAF = "trap '' TERM; echo up; while :; do sleep 0.05; done"
_CHATTY = "trap '' TERM; echo up; while :; do echo; sleep 0.05; done"
"""What the server wants is heard with the answer to the next bytes."""
_POLITE = "trap 'echo saved; exit 3' TERM; echo up; while :; do sleep 0.05; done"
_HOG = "blocks = [bytearray(8 << 20) for _ in range(60)]; print('survived', len(blocks))"
_LINES = 714_286
_MANY = f"seq 1000000 {1_000_000 + _LINES - 1}"
"""Five and a half million bytes, no two lines alike."""


class EngineSuite(EnginePortSuite):
    """What Nacre relies on. ``recorder`` is the server that the launches report to."""

    recorder: Recorder
    python = "python3"
    """Name of a Python that work finds."""
    grace_s = 0.3
    """Of every launch, unless a test says otherwise."""

    # What a subclass says, besides what the port's half asks for

    @abstractmethod
    def kill_everything(self, engine: Engine, handle: Handle) -> None:
        """Launcher and work die at once, as in a power cut."""

    @abstractmethod
    def survivors(self, engine: Engine, handle: Handle) -> list[int]:
        """Process ids of what still lives of the replica's work, wherever it went."""

    @abstractmethod
    def skewed(self, engine: Engine, seconds: float) -> Engine:
        """An engine whose launchers read a clock that is off by ``seconds``; skips where there is none."""

    # Steps

    @pytest.fixture(autouse=True)
    def _record(self) -> Iterator[None]:
        with Recorder() as recorder:
            self.recorder = recorder
            yield
            assert recorder.faults == []

    @pytest.fixture(autouse=True)
    def _forget_everything(self, _record: None, engine: Engine) -> Iterator[None]:
        yield
        for _, handle in self.again(engine).leftovers():
            engine.forget(handle, everything=True)

    def gather(self, attempt_id: str, size: int) -> None:
        self.recorder.gang(attempt_id, size)

    def run(
        self, engine: Engine, attempt_id: str, script: str, rank: int = 0, **fields: Any
    ) -> tuple[LaunchSpec, Handle]:
        """Launch a shell script. ``limits`` of ``fields`` are changes to those of the spec."""
        spec = self.spec(engine, attempt_id, rank)
        limits = {"grace_s": self.grace_s, **fields.pop("limits", {})}
        fields["limits"] = spec.limits.model_copy(update=limits)
        spec = spec.model_copy(update={"command": ["/bin/sh", "-c", script], **fields})
        handle = engine.handle(spec)
        engine.launch(spec, handle)
        return spec, handle

    def wait(self, wanted: Any, what: str) -> None:
        """Wait for something that the recorder will have heard."""
        end = time.monotonic() + self.deadline_s
        while not wanted():
            assert time.monotonic() < end, f"no {what} in {self.deadline_s:g} s"
            time.sleep(0.01)

    def heard(self, attempt_id: str, text: bytes, rank: int = 0) -> None:
        """Wait until the work has printed this."""
        self.wait(lambda: text in self.recorder.log(attempt_id, rank), f"{text!r} in the log")

    def outcome(self, engine: Engine, handle: Handle, attempt_id: str, rank: int = 0) -> dict[str, Any]:
        """Wait for the end; the exit event."""
        self.until(engine, handle, lambda seen: seen.done)
        event = self.recorder.exit(attempt_id, rank)
        assert event is not None, "it was done before its end was reported"
        return event

    # How work ends

    def test_success_is_reported_after_all_that_was_printed(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_good", "echo hello; echo oops >&2")
        event = self.outcome(engine, handle, "att_good")
        assert (event["reason"], event["exit_code"]) == ("succeeded", 0)
        assert self.recorder.log("att_good") == b"hello\noops\n"
        assert self.recorder.states("att_good") == ["preparing", "starting", "running"]

    def test_an_exit_code_is_reported(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_code", "echo that went wrong; exit 7")
        event = self.outcome(engine, handle, "att_code")
        assert (event["reason"], event["exit_code"]) == ("exit_nonzero", 7)
        assert "that went wrong" in event["message"]

    def test_a_signal_is_reported(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_signal", "kill -SEGV $$; sleep 60")
        event = self.outcome(engine, handle, "att_signal")
        assert (event["reason"], event.get("signal")) == ("exit_nonzero", 11)

    def test_too_much_memory_is_reported_with_limit_and_peak(self, engine: Engine) -> None:
        script = f'{self.python} -c "{_HOG}"'
        _, handle = self.run(engine, "att_memory", script, limits={"memory_bytes": 128 * MIB})
        event = self.outcome(engine, handle, "att_memory")
        assert event["reason"] == "out_of_memory"
        assert "128.0 MiB" in event["message"]
        assert b"survived" not in self.recorder.log("att_memory")

    def test_a_command_that_is_not_there_is_a_failed_launch(self, engine: Engine) -> None:
        spec = self.spec(engine, "att_absent").model_copy(update={"command": ["no-such-program"]})
        handle = engine.handle(spec)
        engine.launch(spec, handle)
        assert self.outcome(engine, handle, "att_absent")["reason"] == "launch_failed"

    def test_records_that_the_work_tracks_arrive(self, engine: Engine) -> None:
        line = '{"type": "m", "key": "loss", "value": 0.5, "step": 1, "time_ms": 1}'
        _, handle = self.run(engine, "att_track", f"echo '{line}' >> \"$NACRE_TRACK_FILE\"")
        self.outcome(engine, handle, "att_track")
        assert self.recorder.taken("att_track", "track").decode() == line + "\n"

    # Stopping

    def test_a_stop_lets_the_work_save_its_state(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_polite", _POLITE, limits={"grace_s": 20})
        self.heard("att_polite", b"up")
        engine.stop(handle)
        event = self.outcome(engine, handle, "att_polite")
        assert (event["reason"], event["exit_code"]) == ("cancelled_by_user", 3)
        assert b"saved\n" in self.recorder.log("att_polite")
        assert self.recorder.states("att_polite")[-1] == "stopping"

    def test_work_that_ignores_sigterm_is_killed_after_its_grace_and_not_before(
        self, engine: Engine
    ) -> None:
        _, handle = self.run(engine, "att_deaf", _DEAF, limits={"grace_s": 0.7})
        self.heard("att_deaf", b"up")
        asked = time.monotonic()
        engine.stop(handle)
        event = self.outcome(engine, handle, "att_deaf")
        assert 0.7 <= time.monotonic() - asked < 0.7 + 5
        assert (event["reason"], event.get("signal")) == ("cancelled_by_user", 9)
        assert self.survivors(engine, handle) == []

    def test_the_server_stops_with_a_reason_and_a_grace_of_its_own(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_asked", _CHATTY, limits={"grace_s": 600})
        self.heard("att_asked", b"up")
        self.recorder.stop("att_asked", "gang_stopped", grace_s=0.2)
        assert self.outcome(engine, handle, "att_asked")["reason"] == "gang_stopped"

    def test_a_fenced_attempt_ends_at_once_and_says_nothing_more(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_fenced", _CHATTY, limits={"grace_s": 600})
        self.heard("att_fenced", b"up")
        self.recorder.fence("att_fenced")
        self.until(engine, handle, lambda seen: not seen.launcher and not seen.work)
        assert self.recorder.exit("att_fenced") is None
        assert self.survivors(engine, handle) == []

    def test_a_program_that_left_its_parents_ends_with_the_work(self, engine: Engine) -> None:
        script = "setsid sh -c 'sleep 600 & sleep 600' & echo up; sleep 0.1"
        _, handle = self.run(engine, "att_daemon", script)
        assert self.outcome(engine, handle, "att_daemon")["reason"] == "succeeded"
        assert self.survivors(engine, handle) == []

    # Gangs

    def test_no_replica_begins_before_all_are_ready(self, engine: Engine) -> None:
        self.gather("att_barrier", 2)
        script = "echo rank $NACRE_RANK; exit $NACRE_RANK"
        handles = [self.run(engine, "att_barrier", script, replicas=2)[1]]
        self.wait(lambda: self._ready("att_barrier", 0), "replica that is ready")
        time.sleep(0.4)
        assert "running" not in self.recorder.states("att_barrier", 0)
        handles.append(self.run(engine, "att_barrier", script, rank=1, replicas=2)[1])
        for rank, handle in enumerate(handles):
            event = self.outcome(engine, handle, "att_barrier", rank)
            assert event["exit_code"] == rank
            assert self.recorder.log("att_barrier", rank) == b"rank %d\n" % rank
            assert len(self._ready("att_barrier", rank)) == 1

    def test_a_barrier_that_never_opens_ends_with_the_servers_reason(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_alone", "echo began", replicas=2)
        self.wait(lambda: self._ready("att_alone", 0), "replica that is ready")
        self.recorder.stop("att_alone", "rendezvous_timeout")
        assert self.outcome(engine, handle, "att_alone")["reason"] == "rendezvous_timeout"
        assert self.recorder.log("att_alone") == b""
        assert "running" not in self.recorder.states("att_alone")

    def test_a_launcher_killed_at_the_barrier_is_replaced(self, engine: Engine) -> None:
        _, first = self.run(engine, "att_wait", "echo began", replicas=2)
        self.wait(lambda: self._ready("att_wait", 0), "replica that is ready")
        self.kill_launcher(engine, first)
        self.until(engine, first, lambda seen: not seen.launcher)
        self.gather("att_wait", 2)
        engine.adopt(first)
        _, second = self.run(engine, "att_wait", "echo began", rank=1, replicas=2)
        for rank, handle in enumerate((first, second)):
            assert self.outcome(engine, handle, "att_wait", rank)["reason"] == "succeeded"
            assert self.recorder.log("att_wait", rank) == b"began\n"
            assert len(self._ready("att_wait", rank)) == 1

    def _ready(self, attempt_id: str, rank: int) -> list[dict[str, Any]]:
        return [event for event in self.recorder.events(attempt_id, rank) if event["type"] == "ready"]

    # Everything dies

    def test_after_a_power_cut_the_end_is_still_reported(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_power", "echo up; sleep 600")
        self.heard("att_power", b"up")
        self.kill_everything(engine, handle)
        engine = self.again(engine)
        seen = self.until(engine, handle, lambda seen: not seen.launcher and not seen.work)
        assert not seen.done
        engine.adopt(handle)
        event = self.outcome(engine, handle, "att_power")
        assert event["reason"] != "succeeded"
        assert "exit_code" not in event
        assert self.survivors(engine, handle) == []
        assert self.recorder.log("att_power") == b"up\n"

    def test_an_exit_while_no_launcher_was_there_is_reported_by_the_next(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_late", "echo up; sleep 0.5; echo done; exit 4")
        self.heard("att_late", b"up")
        self.kill_launcher(engine, handle)
        self.until(engine, handle, lambda seen: seen.exited)
        engine = self.again(engine)
        engine.adopt(handle)
        event = self.outcome(engine, handle, "att_late")
        assert (event["reason"], event["exit_code"]) == ("exit_nonzero", 4)
        assert self.recorder.log("att_late") == b"up\ndone\n"

    def test_work_is_started_once_however_often_launchers_die(self, engine: Engine) -> None:
        spec, handle = self.run(engine, "att_once", "echo up; sleep 0.8; echo done")
        for pause in (0.02, 0.05, 0.1, 0.2):
            time.sleep(pause)
            self.kill_launcher(engine, handle)
            self.until(engine, handle, lambda seen: not seen.launcher)
            engine = self.again(engine)
            engine.launch(spec, handle)
            engine.adopt(handle)
        outcome = self.outcome(engine, handle, "att_once")
        assert outcome["reason"] == "succeeded", outcome["message"]
        assert self.recorder.log("att_once") == b"up\ndone\n"

    def test_what_nobody_looks_after_is_found_and_swept(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_orphan", _DEAF)
        self.heard("att_orphan", b"up")
        self.kill_launcher(engine, handle)
        engine = self.again(engine)
        assert engine.leftovers() == [("att_orphan", handle)]
        assert self.survivors(engine, handle) != []
        engine.forget(handle)
        assert self.survivors(engine, handle) == []
        assert engine.leftovers() == []

    # Every byte once

    def test_every_byte_of_a_large_log_arrives_once_though_launchers_die(self, engine: Engine) -> None:
        self.recorder.delay_s = 0.02
        _, handle = self.run(engine, "att_log", _MANY)
        for part in (0.1, 0.4, 0.7):
            enough = int(part * 8 * _LINES)
            self.wait(lambda size=enough: len(self.recorder.log("att_log")) > size, f"{enough} bytes")
            self.kill_launcher(engine, handle)
            self.until(engine, handle, lambda seen: not seen.launcher)
            engine.adopt(handle)
        self.recorder.delay_s = 0
        assert self.outcome(engine, handle, "att_log")["reason"] == "succeeded"
        expected = b"".join(b"%d\n" % number for number in range(1_000_000, 1_000_000 + _LINES))
        assert self.recorder.log("att_log") == expected

    def test_a_server_that_is_away_gets_everything_later(self, engine: Engine) -> None:
        _, handle = self.run(engine, "att_gap", "echo up; sleep 0.3; seq 1 1000; exit 2")
        self.heard("att_gap", b"up")
        self.recorder.away = True
        self.until(engine, handle, lambda seen: seen.exited)
        time.sleep(0.2)
        assert not engine.observe(handle).done
        self.recorder.away = False
        assert self.outcome(engine, handle, "att_gap")["exit_code"] == 2
        assert self.recorder.log("att_gap") == b"up\n" + b"".join(b"%d\n" % n for n in range(1, 1001))

    # Clocks

    @pytest.mark.parametrize("seconds", [-900.0, 900.0])
    def test_a_clock_that_is_wrong_breaks_nothing(self, engine: Engine, seconds: float) -> None:
        """Limits and graces are measured, not read off the clock; the server sets its own bounds."""
        engine = self.skewed(engine, seconds)
        began = time.time()
        limits = {"grace_s": 0.5, "max_duration_s": 60.0}
        _, handle = self.run(engine, "att_clock", _DEAF, limits=limits)
        self.heard("att_clock", b"up")
        first = self.recorder.events("att_clock")[0]
        assert abs(first["time_ms"] / 1000 - began - seconds) < 60, "the clock was not off"
        asked = time.monotonic()
        engine.stop(handle)
        event = self.outcome(engine, handle, "att_clock")
        assert 0.5 <= time.monotonic() - asked < 0.5 + 5
        assert event["reason"] == "cancelled_by_user"
