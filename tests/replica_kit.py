"""Replica processes for tests, and the other side of their sockets."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

import nacre
from nacre.modelserver import frames
from nacre.modelserver.frames import Reader, pack

SITE = str(Path(nacre.__file__).parents[1])
DEADLINE = 60.0

DOUBLE = """
import numpy as np

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
}


def predict(inputs):
    return {"y": inputs["x"] * 2}
"""


def _connected(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(DEADLINE)
    try:
        file = os.open(path, os.O_PATH)
        try:
            sock.connect(f"/proc/self/fd/{file}")  # however long the path is
        finally:
            os.close(file)
    except OSError:
        sock.close()
        raise
    return sock


class Connection:
    """A model server's connection, as calls that wait."""

    def __init__(self, path: str) -> None:
        self.sock = _connected(path)
        self._reader = Reader(1 << 30)
        self._frames: list[frames.Frame] = []
        self._ids = itertools.count(1)
        self.hello = self.receive().head

    def receive(self) -> frames.Frame:
        while not self._frames:
            count = self.sock.recv_into(self._reader.buffer())
            if not count:
                raise EOFError("the replica has closed the connection")
            self._frames += self._reader.advance(count)
        return self._frames.pop(0)

    def send(self, head: dict[str, Any], tail: list[Any] | None = None) -> None:
        self.sock.sendall(b"".join(pack(head, tail or [])))

    def infer(self, feed: dict[str, Any], outputs: list[str]) -> int:
        """Ask, without waiting; the id."""
        parts = [frames.describe(name, a, frames.datatype_of(a)) for name, a in feed.items()]
        number = next(self._ids)
        head = {"type": "infer", "id": number, "outputs": outputs, "inputs": [one for one, _ in parts]}
        self.send(head, [raw for _, raw in parts])
        return number

    def run(self, feed: dict[str, Any], outputs: list[str]) -> dict[str, Any]:
        number = self.infer(feed, outputs)
        frame = self.receive()
        assert frame.head["type"] == "result", frame.head
        assert frame.head["id"] == number
        assert frame.tail is not None
        return frames.tensors(frame.head["outputs"], frame.tail)

    def raw(self, body: bytes, path: str = "predict", **headers: str) -> int:
        """Ask, without waiting; the id."""
        number = next(self._ids)
        self.send({"type": "raw", "id": number, "method": "POST", "path": path, "headers": headers}, [body])
        return number

    def ask(self, body: bytes, **headers: str) -> frames.Frame:
        number = self.raw(body, **headers)
        frame = self.receive()
        assert frame.head["id"] == number
        return frame

    def stream(self, number: int) -> Iterator[bytes]:
        """The parts of a stream, taken as they come."""
        while True:
            frame = self.receive()
            assert (frame.head["type"], frame.head["id"]) == ("chunk", number), frame.head
            data = bytes(frame.tail or b"")
            if data:
                self.send({"type": "more", "id": number, "bytes": len(data)})
                yield data
            if frame.head["last"]:
                return


class Replica:
    """``python -m nacre.modelserver.replica`` as a child process."""

    def __init__(
        self, model: Path, folder: Path, *arguments: str, python: str = sys.executable, name: str = "r"
    ) -> None:
        self.socket = str(folder / f"{name}.sock")
        self.log = folder / f"{name}.log"
        self._connections: list[Connection] = []
        variables = {key: value for key, value in os.environ.items() if not key.startswith("NACRE_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    python,
                    "-m",
                    "nacre.modelserver.replica",
                    "--model",
                    str(model),
                    "--socket",
                    self.socket,
                    *arguments,
                ],
                cwd=folder,
                env={**variables, "PYTHONPATH": SITE},
                stdout=log,
                stderr=log,
            )

    def connect(self) -> Connection:
        """A connection, as soon as the replica listens."""
        until = time.monotonic() + DEADLINE
        while True:
            try:
                made = Connection(self.socket)
                self._connections.append(made)
                return made
            except (FileNotFoundError, ConnectionRefusedError):
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.02)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self.process.wait(DEADLINE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.sock.close()
        self.process.kill()
        self.process.wait()


def write(folder: Path, text: str) -> Path:
    """A folder with this ``predict.py``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "predict.py").write_text(textwrap.dedent(text))
    return folder


@contextmanager
def custom(text: str, *arguments: str) -> Iterator[tuple[Replica, Connection]]:
    """A replica of a model with this ``predict.py``, and a connection to it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Replica(write(folder / "model", text), folder, *arguments) as replica:
            yield replica, replica.connect()


def x(*rows: list[float]) -> dict[str, Any]:
    """A batch for :data:`DOUBLE`."""
    return {"x": np.array(rows, np.float32)}
