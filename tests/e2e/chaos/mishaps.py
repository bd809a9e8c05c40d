"""What goes wrong, drawn from a seed: kill -9, SIGSTOP, a full disk, a locked database."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from real_server import Server

MIB = 2**20


class Mishaps:
    """Things that happen to one server. Each method lasts until it is over."""

    def __init__(self, server: Server, rng: random.Random, full: Callable[[bool], None]) -> None:
        """``full`` is told when the disk gets full, and when it no longer is."""
        self._server = server
        self._rng = rng
        self._full = full
        self.happened: list[str] = []
        self._rare = {self.fill_disk: 0.04, self.lock_database: 0.05}

    def next(self) -> None:
        """The next one."""
        chance = self._rng.random()
        for rare, share in self._rare.items():
            if chance < share:
                rare()
                return
            chance -= share
        usual = [
            self.kill_server,
            self.kill_launcher,
            self.kill_launchers,
            self.stop_server,
            self.stop_launcher,
        ]
        self._rng.choice(usual)()

    def _note(self, text: str) -> None:
        self.happened.append(f"{time.strftime('%H:%M:%S')} {text}")

    # Processes

    def kill_server(self) -> None:
        """kill -9, and another one after a while."""
        away = self._rng.choice([0, 0.5, 2, 6])
        self._note(f"the server is killed and away for {away} s")
        self._server.kill9()
        time.sleep(away)
        self._server.start()

    def kill_launcher(self) -> None:
        """kill -9 of one launcher."""
        for pid in self._rng.sample(found := self._launchers(), min(1, len(found))):
            self._note(f"launcher {pid} is killed")
            _signal(pid, signal.SIGKILL)

    def kill_launchers(self) -> None:
        """kill -9 of every launcher, sometimes of the server too."""
        both = self._rng.random() < 0.5
        self._note(f"all launchers{' and the server' if both else ''} are killed")
        if both:
            self._server.kill9()
        for pid in self._launchers():
            _signal(pid, signal.SIGKILL)
        if both:
            self._server.start()

    def stop_server(self) -> None:
        """The server stands still."""
        self._still([self._server.pid], "the server")

    def stop_launcher(self) -> None:
        """A launcher stands still."""
        found = self._launchers()
        self._still(self._rng.sample(found, min(1, len(found))), "a launcher")

    def _still(self, pids: list[int], who: str) -> None:
        length = self._rng.choice([0.5, 2, 5])
        self._note(f"{who} stands still for {length} s")
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        try:
            time.sleep(length)
        finally:
            for pid in pids:
                _signal(pid, signal.SIGCONT)

    def _launchers(self) -> list[int]:
        found = []
        for path in sorted((self._server.home / "attempts").glob("*/*/launcher.json")):
            with contextlib.suppress(OSError, ValueError, psutil.Error):
                pid = int(json.loads(path.read_text())["pid"])
                if "nacre.launcher" in " ".join(psutil.Process(pid).cmdline()):
                    found.append(pid)
        return found

    # Disk and database

    def fill_disk(self) -> None:
        """No space is left for some seconds."""
        length = self._rng.choice([1, 3])
        self._note(f"the disk is full for {length} s")
        filler = self._server.home / "filler"
        self._full(True)
        try:
            with filler.open("wb", buffering=0) as stream:
                for size in (MIB, 4096):
                    with contextlib.suppress(OSError):
                        while True:
                            stream.write(b"\0" * size)
            time.sleep(length)
        finally:
            filler.unlink()
            self._full(False)

    def lock_database(self, length: float | None = None) -> None:
        """Another program holds the database's write lock."""
        length = length or self._rng.choice([2.0, 8.0])
        self._note(f"the database is locked for {length} s")
        with _locked(self._server.home / "nacre.db"):
            time.sleep(length)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
