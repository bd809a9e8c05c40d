"""Keeps a share of the requests with their answers, as lines of files that the server makes a dataset of.

A worker writes ``part-<pid>-<start>-<number>.open`` in the folder of an endpoint, and renames it to
``.jsonl`` once it has ``PART_BYTES`` or is ``PART_SECONDS`` old. A line is a JSON object::

    {"time_ms": …, "revision": 3, "batched": true,
     "inputs": {"x": {"datatype": "FP32", "shape": [2, 3], "b64": "…"}}, "outputs": {"y": {…}}}

``b64``: the values in row-major order, little endian; of BYTES there is a flat list ``data`` of texts.
``batched``: whether the first dimension of the inputs counts samples. Of a model with code of its own the
bodies are kept: ``body`` where it is text, else ``body_b64``, as an input and as an output.

Requests never wait for it: what is kept is copied, the thread that writes looks for it by itself, and what
does not fit into the memory that may wait is dropped and counted.
"""

from __future__ import annotations

import base64
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import orjson

from nacre.modelserver.calls import Call, Interface
from nacre.modelserver.stats import CaptureReport
from nacre.modelserver.tensors import NUMPY, Array, as_text
from nacre.schema.serving import ServedCapture

log = logging.getLogger(__name__)

PART_BYTES = 16 * 2**20
PART_SECONDS = 60.0
WAITING_BYTES = 32 * 2**20
"""What may wait to be written, of all endpoints of a worker."""
_LOOK = 1.0
_STOP = 5.0


@dataclass(frozen=True)
class _Kept:
    """A request with its answer, copied. Tensors are (name, datatype, array)."""

    key: str
    config: ServedCapture
    time_ms: int
    revision: int
    batched: bool
    inputs: Sequence[tuple[str, str, Array]]
    outputs: Sequence[tuple[str, str, Array]]
    size: int


@dataclass
class _Part:
    """A file that is being written. ``folder_bytes``: what the folder had when it was begun."""

    path: Path
    stream: IO[bytes]
    began: float
    folder_bytes: int
    size: int = 0
    full: bool = False


class Capture:
    """Of one worker. ``offer`` is for the event loop; a thread, begun by the first one, does the rest."""

    def __init__(self, *, waiting_bytes: int = WAITING_BYTES) -> None:
        self._most = waiting_bytes
        self._waiting: deque[_Kept] = deque()
        self._waiting_bytes = 0
        self._counts: dict[str, CaptureReport] = {}
        self._turns: dict[str, float] = {}
        self._parts: dict[str, _Part] = {}
        self._number = 0
        self._start = time.time_ns()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    def offer(
        self,
        key: str,
        config: ServedCapture,
        revision: int,
        call: Call,
        arrays: list[Array],
        interface: Interface,
    ) -> None:
        """Keep this request if it is its turn. ``arrays``: of the outputs that ``call`` asked for."""
        size = sum(map(_size, call.feed.values())) + sum(map(_size, arrays))
        if not self._take(key, config, size):
            return
        specs = interface.inputs
        inputs = [(name, specs[name].datatype, np.array(a)) for name, a in call.feed.items()]
        outputs = [
            (name, interface.outputs[name].datatype, np.array(a))
            for name, a in zip(call.outputs, arrays, strict=True)
        ]
        batched = all(spec.shape[:1] == [-1] for spec in specs.values())
        self._keep(_Kept(key, config, _now(), revision, batched, inputs, outputs, size))

    def offer_bodies(
        self, key: str, config: ServedCapture, revision: int, request: bytes, answer: bytes
    ) -> None:
        """As :meth:`offer`, for a model whose own code reads requests and writes answers."""
        size = len(request) + len(answer)
        if self._take(key, config, size):
            self._keep(_Kept(key, config, _now(), revision, True, _body(request), _body(answer), size))

    def _take(self, key: str, config: ServedCapture, size: int) -> bool:
        """Whether it is the turn of a request of so many bytes, and there is room for it."""
        turn = self._turns.get(key, 1.0 - config.share) + config.share
        self._turns[key] = turn % 1.0 if turn >= 1.0 else turn
        if turn < 1.0:
            return False
        if self._waiting_bytes + size > self._most or self._stopping.is_set():
            self._count(key, "dropped")
            return False
        return True

    def _keep(self, kept: _Kept) -> None:
        self._waiting.append(kept)
        with self._lock:
            self._waiting_bytes += kept.size
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
            self._thread.start()

    def _count(self, key: str, what: Literal["kept", "dropped", "over"]) -> None:
        with self._lock:
            counts = self._counts.setdefault(key, {"kept": 0, "dropped": 0, "over": 0})
            counts[what] += 1

    def report(self) -> dict[str, CaptureReport]:
        """What became of the requests that were to be kept, by endpoint."""
        with self._lock:
            return {key: counts.copy() for key, counts in self._counts.items()}

    def close(self) -> None:
        """Write what waits and finish every part."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP)

    # On the thread

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK):
            self.flush()
        self.flush()
        for key in list(self._parts):
            self._finish(key)

    def flush(self) -> None:
        """Write what waits, and finish the parts that are full or old."""
        while self._waiting:
            kept = self._waiting.popleft()
            try:
                self._write(kept)
            except OSError as error:
                self._count(kept.key, "dropped")
                self._abandon(kept.key)
                log.error("a request of %s was not captured: %s", kept.key, error)
            with self._lock:
                self._waiting_bytes -= kept.size
        now = time.monotonic()
        for key, part in list(self._parts.items()):
            if part.full or now - part.began >= PART_SECONDS:
                self._finish(key)

    def _write(self, kept: _Kept) -> None:
        part = self._parts.get(kept.key) or self._begin(kept)
        line = _line(kept)
        if part.folder_bytes + part.size + len(line) > kept.config.budget_bytes:
            self._count(kept.key, "over")
            part.full = True  # so that the next one looks at the folder anew
            return
        part.stream.write(line)
        part.size += len(line)
        part.full = part.size >= PART_BYTES
        self._count(kept.key, "kept")
        if part.full:
            self._finish(kept.key)

    def _begin(self, kept: _Kept) -> _Part:
        folder = Path(kept.config.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        path = folder / f"part-{os.getpid()}-{self._start}-{self._number}.open"
        held = sum(map(_size_of, folder.iterdir()))
        part = _Part(path, path.open("xb"), time.monotonic(), held)
        self._parts[kept.key] = part
        return part

    def _finish(self, key: str) -> None:
        """Close a part; one without a line goes."""
        part = self._parts.pop(key)
        try:
            part.stream.close()
            if part.size:
                part.path.rename(part.path.with_suffix(".jsonl"))
            else:
                part.path.unlink()
        except OSError as error:  # such as a disk that is full, or a folder that was removed
            log.error("what was captured of %s is not all there: %s", key, error)

    def _abandon(self, key: str) -> None:
        if key in self._parts:
            self._finish(key)


def _now() -> int:
    return time.time_ns() // 10**6


def _body(raw: bytes) -> list[tuple[str, str, Array]]:
    """The one tensor that a body is."""
    try:
        name, text = "body", raw.decode()
    except UnicodeDecodeError:
        name, text = "body_b64", base64.b64encode(raw).decode()
    return [(name, "BYTES", np.array([text], dtype=object))]


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # the server has just taken it
        return 0


def _size(array: Array) -> int:
    """About how many bytes it has, with those of its texts."""
    texts = sum(map(len, array.reshape(-1).tolist())) if array.dtype == object else 0
    return int(array.nbytes + texts)


def _line(kept: _Kept) -> bytes:
    return orjson.dumps(
        {
            "time_ms": kept.time_ms,
            "revision": kept.revision,
            "batched": kept.batched,
            "inputs": {name: _tensor(datatype, array) for name, datatype, array in kept.inputs},
            "outputs": {name: _tensor(datatype, array) for name, datatype, array in kept.outputs},
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _tensor(datatype: str, array: Array) -> dict[str, Any]:
    found: dict[str, Any] = {"datatype": datatype, "shape": list(array.shape)}
    if datatype == "BYTES":
        return found | {"data": [as_text(value) for value in array.reshape(-1).tolist()]}
    plain = np.ascontiguousarray(array, dtype=NUMPY[datatype])
    return found | {"b64": base64.b64encode(plain.tobytes()).decode()}
