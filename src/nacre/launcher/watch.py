"""Watches running work: its end, its limits, and what others want of it."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

from nacre.launcher import processes
from nacre.launcher.cgroups import Groups
from nacre.launcher.control import Control, stop_message
from nacre.launcher.enforced import record
from nacre.launcher.folder import Events, Fenced, Folder
from nacre.launcher.outcome import Outcome, memory_message, size
from nacre.launcher.room import Disk, written
from nacre.launcher.spec import Spec
from nacre.launcher.start import Workload

_MEASURE_MIN_S, _MEASURE_MAX_S = 0.1, 30.0


class Watch:
    """One running workload. ``verdict`` is set when the launcher, not the command, chose the end."""

    def __init__(
        self,
        *,
        spec: Spec,
        folder: Folder,
        work: Workload,
        groups: Groups,
        events: Events,
        control: Control,
        nudge: Callable[[], None],
        keep: Callable[[], None],
        given: int = 0,
    ) -> None:
        """``keep`` is called at each look, for what has to stay alive beside the work.

        ``given``: bytes that lay in the work's folders when it began, and that its quota is not for.
        """
        self.verdict: Outcome | None = None
        self.peak_bytes: int | None = None
        self.disk: Disk | None = None
        if spec.limits.disk_bytes is not None:
            self.disk = Disk(written(spec, folder), spec.limits.disk_bytes, given)
        self._spec = spec
        self._folder = folder
        self._work = work
        self._groups = groups
        self._events = events
        self._control = control
        self._nudge = nudge
        self._keep = keep
        self._kill_at: float | None = None
        self._asked_at: float | None = None
        self._request: processes.Request | None = None
        self._measure_at = 0.0
        self._running = events.seen("state", "running")
        self._inside: int | None = None
        self._samples_memory = self._watches_memory() or (
            "memory" in groups.paths and groups.peak_bytes() is None  # else the kernel knows it at the end
        )

    def until_end(self) -> None:
        """Return when the command and everything of it has ended. Raises Fenced, with all of it killed."""
        poller = select.poll()
        poller.register(self._control.wake_fd, select.POLLIN)
        try:
            process: int | None = os.pidfd_open(self._work.pid)
            poller.register(process or 0, select.POLLIN)
        except OSError:  # it ended already
            process = None
        try:
            while self._work.running():
                self._step()
                poller.poll(1000 * self._pause())
                self._control.drain()
        finally:
            if process is not None:
                os.close(process)
        self._note_running()
        self.end_leftovers()
        if self._control.fenced:
            raise Fenced

    def _pause(self) -> float:
        """Seconds until something is due; an end or a wish wakes earlier."""
        if not self._running:
            return 0.005 if processes.elapsed_s(self._work.start) < 5 else 0.1
        due = [5.0]
        now = time.monotonic()
        if self._kill_at is not None:
            due.append(self._kill_at - now)
        if self._request is not None and self._request.waits:
            due.append(0.02)
        if self.disk is not None:
            due.append(self.disk.pause(now))
        if self._samples_memory:
            due.append(self._measure_at - now)
        if self._spec.limits.max_duration_s is not None:
            due.append(self._spec.limits.max_duration_s - processes.elapsed_s(self._work.start))
        return max(0.01, min(due))

    def _watches_memory(self) -> bool:
        return self._spec.limits.memory_bytes is not None and "memory" not in self._groups.held

    def _note_running(self) -> None:
        if not self._running and self._folder.has("io/started"):
            self._running = True
            isolation = record(self._spec, self._groups)
            self._events.state("running", time_ms=self._started_ms(), isolation=isolation)
            self._nudge()

    def _started_ms(self) -> int:
        """When the command started, by its mark: perhaps no launcher was there then.

        The command can change the mark, but only to a time within its life.
        """
        now = time.time_ns() // 1_000_000
        try:
            marked = os.stat(self._folder.path("io/started")).st_mtime_ns // 1_000_000
        except OSError:
            return now
        earliest = now - int(1000 * processes.elapsed_s(self._work.start)) - 1000
        return marked if earliest <= marked <= now else now

    def _step(self) -> None:
        self._note_running()
        now = time.monotonic()
        if self._folder.has("exit"):
            return  # it ended by itself; its shell is about to
        if self._control.fenced:
            self.kill()
        elif self._kill_at is not None:
            if self._asked_at is not None:
                self._kill_at = self._asked_at + self._grace_s()
            if now >= self._kill_at:
                self.kill()
                self._asked_at = None
                self._kill_at = now + 1
            elif self._request is not None:
                self._request.go_on()
        else:
            self._consider(now)
        if not self._control.fenced:
            self._measure(now)
        if self._running:
            self._keep()

    def _consider(self, now: float) -> None:
        """Begin a graceful end when it is wanted or due."""
        limit = self._spec.limits.max_duration_s
        if self._control.stop_reason is not None:
            reason = self._control.stop_reason
            self.stop(Outcome(reason, stop_message(reason)), now)
        elif limit is not None and processes.elapsed_s(self._work.start) >= limit:
            message = f"The command was stopped after its max_duration of {limit:g} seconds."
            self.stop(Outcome("timed_out", message), now)

    def stop(self, verdict: Outcome, now: float) -> None:
        """SIGTERM to the command and what its shells run; SIGKILL to all of it after the grace time."""
        self.verdict = verdict
        self._events.state("stopping")
        self._nudge()
        pid = processes.command_pid(self._work.pid, self._work.depth) if self._running else None
        if pid is None:
            self._kill_at = now
        else:
            self._request = processes.Request(pid)
            self._asked_at = now
            self._kill_at = now + self._grace_s()

    def _grace_s(self) -> float:
        """The server may say otherwise, also when the stop has begun already."""
        told = self._control.grace_s
        return self._spec.limits.grace_s if told is None else told

    def _measure(self, now: float) -> None:
        limit = self._spec.limits.disk_bytes
        if self.disk is not None and limit is not None and self.disk.look(now):
            self._end(disk_full(limit, self.disk.used))
        elif self._samples_memory and now >= self._measure_at:
            self._measure_memory(now)

    def _measure_memory(self, now: float) -> None:
        limit = self._spec.limits.memory_bytes
        used = self._groups.used_bytes()
        if used is None:
            if self._spec.boxed and self._inside is None and self._running:
                self._inside = processes.command_pid(self._work.pid, self._work.depth)
            used = processes.memory_bytes(self._work.pid, self._inside, limit or 0)
        self.peak_bytes = max(self.peak_bytes or 0, used)
        if self._watches_memory() and limit is not None and used > limit:
            self._end(Outcome("out_of_memory", memory_message(limit, used)))
        took = time.monotonic() - now
        self._measure_at = now + min(_MEASURE_MAX_S, max(_MEASURE_MIN_S, 50 * took))

    def _end(self, verdict: Outcome) -> None:
        self.verdict = self.verdict or verdict  # it may be in its grace time
        self.kill()
        self._kill_at = time.monotonic() + 1

    def kill(self) -> None:
        """SIGKILL everything that the command is; only the shell that notes the exit code stays."""
        if self._groups.paths:
            self._groups.kill()
        processes.end_all(self._work.pid, self._work.marks)

    def end_leftovers(self) -> None:
        """After the command: what it left behind ends too, and the last bytes reach the log."""
        if self._groups.paths:
            self._groups.kill()
        else:
            processes.end_all(self._work.pid, self._work.marks)
        deadline = time.monotonic() + 5
        while self._work.pumping() and time.monotonic() < deadline:
            time.sleep(0.002)
        if self._work.pumping():  # something out of reach holds the pipe open, or the disk is full
            processes.send(self._work.pump, signal.SIGTERM)


def disk_full(limit: int, used: int) -> Outcome:
    """The outcome of work that wrote more than its quota."""
    message = (
        f"The command filled its disk quota: {size(used)} of {size(limit)}. Ask for more, or write less."
    )
    return Outcome("disk_full", message)
