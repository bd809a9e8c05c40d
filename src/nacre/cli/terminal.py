"""This terminal joined to one of an instance: raw keys there, raw bytes back, sizes, the exit code."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from nacre.cli.app import err
from nacre.errors import NacreError, RequestError, Unavailable
from nacre.sdk.client import Client
from nacre.sdk.terminal import InstanceTerminal

if sys.platform != "win32":
    import termios
    import tty

PATIENCE_S = 60.0
LOST = 255
"""The exit code when the connection is gone, as ``ssh`` has it."""
_END_OF_INPUT = b"\x04"


def attach_terminal(nacre: Client, instance: str, name: str | None) -> int:
    """Work in a terminal of the instance until its shell ends; the exit code for this program.

    A connection that breaks is made anew, to the same shell.
    """
    if sys.platform == "win32":
        raise RequestError("this needs a POSIX terminal: open it in the console, or in JupyterLab")
    session = _Session(nacre, instance, name)
    try:
        with _raw(sys.stdin.fileno()):
            return session.work()
    finally:
        for line in session.said:
            err.print(line)


class _Session:
    """One thread types; this one prints, and connects again."""

    def __init__(self, nacre: Client, instance: str, name: str | None) -> None:
        self._nacre = nacre
        self._instance, self._name = instance, name
        self._terminal: InstanceTerminal | None = None
        self._escape = Escape() if sys.stdin.isatty() else None
        self._wake_out, self._wake_in = os.pipe()
        self._left = False
        self.said: list[str] = []
        """For the person, once the terminal is an ordinary one again."""

    def work(self) -> int:
        before = signal.signal(signal.SIGWINCH, self._resized)
        typing = threading.Thread(target=self._type, daemon=True, name="typing")
        try:
            terminal = self._connect()
            typing.start()
            while True:
                try:
                    for data in terminal:
                        _write(data)
                    return LOST if terminal.exit_code is None else terminal.exit_code
                except Unavailable as error:
                    if self._left:
                        return self._detached()
                    terminal = self._again(error)
        finally:
            signal.signal(signal.SIGWINCH, before)
            os.write(self._wake_in, b"x")
            if typing.is_alive():
                typing.join(5)
            if self._terminal is not None:
                self._terminal.close()
            os.close(self._wake_in)
            os.close(self._wake_out)

    def _connect(self) -> InstanceTerminal:
        rows, cols = _size()
        found = self._nacre.instances.terminal(self._instance, terminal=self._name, rows=rows, cols=cols)
        self._name, self._terminal = found.name, found
        return found

    def _again(self, error: Unavailable) -> InstanceTerminal:
        """The same shell over a new connection.

        Raises:
            NacreError: it is not to be had, or not in time.
        """
        deadline = time.monotonic() + PATIENCE_S
        pause = 0.2
        while not self._left:
            time.sleep(pause)
            pause = min(2 * pause, 3.0)
            try:
                return self._connect()
            except Unavailable:
                if time.monotonic() > deadline:
                    break
        self.said.append(self._how_to_return())
        raise error

    def _detached(self) -> int:
        self.said.append(self._how_to_return())
        return 0

    def _how_to_return(self) -> str:
        back = f"nacre instance terminal {self._instance} --terminal {self._name}"
        return f"\nthe shell goes on: come back with [bold]{back}[/bold]"

    def _type(self) -> None:
        """What comes from the keyboard, or from a pipe, which ends as Ctrl-D does."""
        keys = sys.stdin.fileno()
        while True:
            ready, _, _ = select.select([keys, self._wake_out], [], [])
            if self._wake_out in ready:
                return
            data = os.read(keys, 4096)
            ended, leave = not data, False
            if ended:
                data = _END_OF_INPUT
            elif self._escape is not None:
                data, leave = self._escape.feed(data)
            with contextlib.suppress(NacreError):  # whoever prints finds out
                if self._terminal is not None:
                    self._terminal.send(data)
            if leave:
                self._leave()
            if leave or ended:
                return

    def _leave(self) -> None:
        self._left = True
        if self._terminal is not None:
            self._terminal.close()

    def _resized(self, number: int, frame: FrameType | None) -> None:
        def tell() -> None:
            with contextlib.suppress(NacreError):
                if self._terminal is not None:
                    self._terminal.resize(*_size())

        # The printing thread may be within the connection: not from inside a signal's handler.
        threading.Thread(target=tell, daemon=True, name="size").start()


class Escape:
    """``~.`` at the beginning of a line leaves, as in ``ssh``; ``~~`` is one ``~``."""

    def __init__(self) -> None:
        self._state = "line"

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is to be typed, and whether to leave."""
        out = bytearray()
        for key in data:
            if self._state == "tilde":
                self._state = "text"
                if key == ord("."):
                    return bytes(out), True
                if key != ord("~"):
                    out += b"~"
            elif self._state == "line" and key == ord("~"):
                self._state = "tilde"
                continue
            out.append(key)
            self._state = "line" if key in b"\r\n" else "text"
        return bytes(out), False


def _size() -> tuple[int, int]:
    """Rows and columns of this terminal; ``COLUMNS`` would not follow its window."""
    try:
        size = os.get_terminal_size(sys.stdin.fileno())
    except OSError:
        return 24, 80
    return (size.lines, size.columns) if size.lines and size.columns else (24, 80)


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@contextlib.contextmanager
def _raw(keys: int) -> Iterator[None]:
    """The keyboard's bytes as they are; as before afterwards."""
    if not os.isatty(keys):
        yield
        return
    before = termios.tcgetattr(keys)
    tty.setraw(keys)
    try:
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
