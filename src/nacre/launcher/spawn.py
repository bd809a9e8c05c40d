"""Starts the processes of a replica and sees them end: ``spawn.py PLAN COMMAND…``, in the sandbox.

Run by the environment's own Python (3.8 or later) as ``python -I -S spawn.py``; imports nothing but the
standard library and its neighbour ``processes``. The plan, a JSON file::

    {"grace_s": 10,
     "processes": [{"name": "rank 2", "variables": {…}}, …],
     "helpers": [{"name": …, "variables": {…}, "command": […] | null, "ends_itself": true}, …]}

Each process is the command with variables of its own. The first that fails ends the others, and its exit
code (128 + n for signal n) is ours. SIGTERM is passed on. Helpers, such as parameter servers, end with the
processes. What they print goes through us, by whole lines: a program may write a line in several pieces.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from nacre.launcher import processes
else:
    import processes

_AWAITED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
"""Noted in a pipe, in the order in which they come: none is missed, whenever it comes."""
_HALF_S, _HALF_BYTES = 0.5, 2**16
"""How long, and how much of it, a line may wait for its end: a prompt or a bar of progress has none."""
_SHUTDOWN_S = 10.0
"""How long helpers that end by themselves may take after the processes."""

_READS = 16
"""Of one process, before the others have their turn."""


class Child:
    """One started process. ``code``: its exit code once it has ended, 128 + n for signal n."""

    def __init__(self, row: dict[str, Any], command: list[str], *, helper: bool) -> None:
        self.name: str = row["name"]
        self.helper = helper
        self.ends_itself: bool = row.get("ends_itself", False)
        self.code: int | None = None
        self._half = b""
        self._half_since = 0.0
        words = row.get("command") or command
        environment = {**os.environ, **row["variables"]}
        self.output, write_end = os.pipe()
        os.set_blocking(self.output, False)
        actions = [(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_DUP2, write_end, 2)]
        try:
            # A group of its own: what it leaves behind can be ended with it.
            self.pid = os.posix_spawnp(
                words[0],
                words,
                environment,
                file_actions=actions,
                setpgroup=0,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE],
            )
        except OSError:
            os.close(self.output)
            raise
        finally:
            os.close(write_end)

    def ended(self, status: int) -> None:
        """Take the status that ``waitpid`` gave."""
        self.code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def pass_on(self) -> bool:
        """Print the whole lines that it has printed; False when no more will come, or nobody reads it."""
        for _ in range(_READS):
            try:
                data = os.read(self.output, _HALF_BYTES)
            except BlockingIOError:
                return True
            if not data:
                self.end_line()
                return False
            data = self._half + data
            end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
            if len(data) - end >= _HALF_BYTES:
                end = len(data)
            if end or not self._half:
                self._half_since = time.monotonic()
            self._half = data[end:]
            if not _print(data[:end]):
                return False
        return True

    def half_until(self) -> float | None:
        """When the line whose end is missing has waited long enough."""
        return self._half_since + _HALF_S if self._half else None

    def pass_half(self) -> None:
        """Print it as it is."""
        _print(self._half)
        self._half = b""

    def end_line(self) -> None:
        """Print what is left, as a line."""
        if self._half:
            self._half += b"\n"
            self.pass_half()


class Crew:
    """All that was started, until the last of it has ended."""

    def __init__(self, plan: dict[str, Any], command: list[str]) -> None:
        self._grace_s: float = plan["grace_s"]
        self._children: dict[int, Child] = {}
        self._requests: dict[int, processes.Request] = {}
        self._kill_at: float | None = None
        self._stopped = False
        self.code = 0
        self._printing: dict[int, Child] = {}
        self._poll = select.poll()
        self._noted = _note_signals()
        self._poll.register(self._noted, select.POLLIN)
        self._start(plan["helpers"], command, helper=True)
        self._start(plan["processes"], command, helper=False)

    def _start(self, rows: list[dict[str, Any]], command: list[str], *, helper: bool) -> None:
        for row in rows if self.code == 0 else ():
            try:
                child = Child(row, command, helper=helper)
            except OSError as error:
                words = row.get("command") or command
                say(f"{row['name']}: the command {words[0]!r} could not be started: {error.strerror}")
                self._fail(127 if isinstance(error, FileNotFoundError) else 126)
                return
            self._children[child.pid] = child
            self._printing[child.output] = child
            self._poll.register(child.output, select.POLLIN)

    def stop(self) -> None:
        """Pass a SIGTERM on. Who sent it decides how long to wait."""
        if not self._stopped:
            self._stopped = True
            self._ask(list(self._children.values()))

    def run(self) -> int:
        """Wait for the end of all of it; the exit code."""
        while True:
            while self._children:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                child = self._children.pop(pid, None)
                if child is not None:  # not something that one of them left behind, and that came to us
                    self._requests.pop(pid, None)
                    child.ended(status)
                    self._pass_on(child, ended=True)
                    self._consider(child)
            if not self._children:
                for child in list(self._printing.values()):
                    self._pass_on(child, ended=True)
                return self.code
            self._act_on_clock()
            hurry = self._kill_at is not None or any(one.waits for one in self._requests.values())
            if any(number != signal.SIGCHLD for number in self._wait(0.02 if hurry else 60)):
                self.stop()

    def _wait(self, most_s: float) -> bytes:
        """Pass on what is printed; the numbers of the signals that came, until something came."""
        now = time.monotonic()
        dues = [due for child in self._printing.values() for due in [child.half_until()] if due is not None]
        numbers = b""
        for fd, _ in self._poll.poll(1000 * max(0.0, min([most_s, *(due - now for due in dues)]))):
            if fd == self._noted:
                numbers = os.read(fd, 4096)
            else:
                self._pass_on(self._printing[fd])
        for child in self._printing.values():
            due = child.half_until()
            if due is not None and due <= time.monotonic():
                child.pass_half()
        return numbers

    def _pass_on(self, child: Child, *, ended: bool = False) -> None:
        """What it left behind may print on after its end. Where nobody reads, it finds that out itself."""
        if child.output not in self._printing:
            return
        if not child.pass_on():
            self._poll.unregister(child.output)
            del self._printing[child.output]
            os.close(child.output)
        elif ended:
            child.end_line()

    def _act_on_clock(self) -> None:
        for request in self._requests.values():
            request.go_on()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            for child in self._children.values():
                _kill_group(child.pid)

    def _consider(self, child: Child) -> None:
        """What the end of one means for the others."""
        _kill_group(child.pid)
        if child.code and self.code == 0 and not (child.helper and (self._over or self._stopped)):
            if not self._stopped:
                what = f"ended with exit code {child.code}"
                if child.code > 128:
                    what = f"was ended by {_signal_name(child.code - 128)}"
                say(f"{child.name} {what}")
            self._fail(child.code)
        elif self._over and self._kill_at is None:
            self._ask([helper for helper in self._children.values() if not helper.ends_itself])
            self._kill_at = time.monotonic() + (self._grace_s if self._requests else _SHUTDOWN_S)

    @property
    def _over(self) -> bool:
        """Whether only helpers are left."""
        return all(child.helper for child in self._children.values())

    def _fail(self, code: int) -> None:
        self.code = code
        if not self._stopped and self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace_s
            self._ask(list(self._children.values()))

    def _ask(self, children: list[Child]) -> None:
        for child in children:
            if child.pid not in self._requests:
                self._requests[child.pid] = processes.Request(child.pid)


def _note_signals() -> int:
    """The end of the pipe from which numbers of signals can be read."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in _AWAITED:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
    return read_end


def _print(data: bytes) -> bool:
    """In one piece, where the reader keeps up. False when nobody reads any more."""
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return False
    return True


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        return


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def say(what: str) -> None:
    """A line for people, in the log."""
    sys.stderr.write(f"nacre: {what}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Run a plan; an exit code."""
    with open(arguments[0], encoding="utf-8") as file:
        plan = json.load(file)
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    return Crew(plan, arguments[1:]).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
