"""Makes records of what a program leaves behind without tracking it: event files, and lines of its log.

Records are appended to the command's own track file, whole lines in one write. A point is made again the
same way by the launcher after this one, with the same step, time and value; the server drops what it has.

No curve is drawn twice. What the program itself tracks, or a framework's capture for it, is left out here,
also under the other name that TensorBoard's writers have for it. A curve that is in event files and in the
log comes from where it was first. Everything is read a turn late, so the program's own records are there.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from nacre.launcher.channels import LogChannel
from nacre.launcher.eventfiles import EventFiles
from nacre.launcher.folder import Events, Folder
from nacre.launcher.masks import Masks
from nacre.launcher.printed import Printed
from nacre.launcher.spec import Spec

_NOTE = "follow.json"
_TURN_S = 1.0
_SAVE_S = 5.0
_CHUNK = 4 * 2**20
_LONGEST_LINE = 64 * 2**10
_MOST_LINES = 5_000  # points from the log in a turn
_MOST_KEYS = 1_000
_WRITE = 256 * 2**10
# The lines of nacre.sdk.track begin so. Ours begin with the key.
_TRACKED = re.compile(rb'^\{"type":"m","key":("(?:[^"\\\n]|\\.)*")', re.MULTILINE)

Record = tuple[str, int, int, float]
"""Key, step, time in milliseconds, value."""


class Follow(threading.Thread):
    """Follows one attempt, from its start until :meth:`finish`."""

    def __init__(
        self, spec: Spec, folder: Folder, roots: list[str], log: LogChannel, masks: Masks, events: Events
    ) -> None:
        """``roots``: the folders to look for event files in."""
        super().__init__(daemon=True, name="follow")
        self._folder = folder
        self._log = log
        self._cap = spec.limits.log_bytes
        self._masks = masks
        self._events = events
        note = folder.read_json(_NOTE) or {}
        owners = {os.geteuid(), *([spec.uid] if spec.uid is not None else [])}
        self._files = EventFiles(roots, owners, self._began_s() - 1, note.get("files"))
        self._printed = Printed(note.get("printed"))
        self._at = self._ready = int(note.get("at", 0))
        self._again: list[int] | None = note.get("again")
        self._sources: dict[str, str] = dict(note.get("sources") or {})
        self._tracked: set[str] = set()
        self._seen: dict[str, int] = {}
        self._fd: int | None = None
        self._half = False
        self._saved_at = 0.0
        self._warned = False
        self._ending = threading.Event()

    def _began_s(self) -> float:
        with contextlib.suppress(OSError):
            return os.stat(self._folder.path("workload.json")).st_mtime
        return time.time()

    def run(self) -> None:
        """One turn a second."""
        while not self._ending.wait(_TURN_S):
            with contextlib.suppress(OSError):
                self._turn()

    def finish(self, check: Callable[[], None]) -> None:
        """Read everything that is left. ``check`` may raise to leave that to another launcher."""
        self._ending.set()
        if self.ident is not None:
            self.join()
        try:
            self._look(last=True)
            while self._read(last=True):
                check()
            self._save()
        except OSError as error:
            self._warn(f"Metrics in event files or in the log were not kept: {error}.")
        finally:
            self._files.close()
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _turn(self) -> None:
        self._read(last=False)
        self._look(last=False)
        if time.monotonic() > self._saved_at + _SAVE_S:
            self._save()

    def _look(self, *, last: bool) -> None:
        """What is there now may be read in the next turn."""
        self._files.look(now=last)
        self._ready = min(self._log.size(), self._cap)

    def _read(self, *, last: bool) -> bool:
        """One helping of everything; whether there may be more."""
        points = ((key, p.step, int(p.time_s * 1000), p.value) for key, p in self._files.read())
        self._learn("track.jsonl", _TRACKED)
        self._learn("claims", None)
        self._keep("files", points)
        return self._read_log(last=last)

    def _read_log(self, *, last: bool) -> bool:
        stop, now_ms = self._again or (min(self._ready, self._at + _CHUNK), time.time_ns() // 1_000_000)
        data = self._log.read(self._at, stop)
        end = len(data) if last and self._at + len(data) >= self._ready else data.rfind(b"\n") + 1
        if not end and len(data) >= _LONGEST_LINE:
            end = len(data)
        if not end:
            return False
        before = self._printed.state()
        points = self._printed.read(self._masks.hide(data[:end]))
        if len(points) > _MOST_LINES:
            self._warn(f"Only {_MOST_LINES} metrics a second are taken from the log; others were left out.")
            points = points[:_MOST_LINES]
        if points:  # if this is not all kept, we or the next launcher make the same points once more
            self._again = [self._at + end, now_ms]
            self._save(before, self._again)
        try:
            self._keep("log", ((p.key, p.step, now_ms, p.value) for p in points))
        except OSError:
            self._printed = Printed(before)
            raise
        self._at += end
        self._again = None
        return last and self._at < self._ready

    def _learn(self, name: str, pattern: re.Pattern[bytes] | None) -> None:
        """Names of metrics that the program tracks: in its own records, or told by capture."""
        at = self._seen.get(name, 0)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(self._folder.path("io", name), flags)
        except OSError:
            return
        try:
            while stat.S_ISREG(os.fstat(fd).st_mode):
                data = os.pread(fd, _CHUNK, at)
                data = data[: data.rfind(b"\n") + 1]
                if not data:
                    break
                for quoted in set(pattern.findall(data) if pattern else data.split(b"\n")):
                    with contextlib.suppress(ValueError):
                        self._tracked.update(_others(str(json.loads(quoted))))
                at += len(data)
        finally:
            os.close(fd)
        self._seen[name] = at

    def _keep(self, source: str, records: Iterable[Record]) -> None:
        """Append what is nobody else's."""
        lines: list[bytes] = []
        size = 0
        for key, step, time_ms, value in records:
            if not self._mine(key, source) or not 0 <= time_ms < 2**53:
                continue
            lines.append(_line(key, step, time_ms, value))
            size += len(lines[-1])
            if size > _WRITE:
                self._append(b"".join(lines))
                lines, size = [], 0
        if lines:
            self._append(b"".join(lines))

    def _mine(self, key: str, source: str) -> bool:
        if key in self._tracked:
            return False
        known = self._sources.get(key)
        if known is None and len(self._sources) < _MOST_KEYS:
            known = self._sources[key] = source
        return known == source

    def _append(self, data: bytes) -> None:
        """Add whole lines. Raises OSError when the disk refuses them."""
        if self._fd is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(self._folder.path("io", "track.jsonl"), flags)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                raise OSError("the track file is none any more")
            self._fd = fd
        if self._half:  # the disk was full in the middle of a line
            data = b"\n" + data
        written = os.write(self._fd, data)
        self._half = written < len(data) and data[written - 1 : written] != b"\n"
        while written < len(data):
            data = b"\n" + data[data.rfind(b"\n", 0, written) + 1 :]
            written = os.write(self._fd, data)
            self._half = written < len(data)

    def _save(self, printed: dict[str, Any] | None = None, again: list[int] | None = None) -> None:
        """Note how far we are. ``again``: where points end that may not be kept yet, and their time."""
        self._saved_at = time.monotonic()
        note = {
            "at": self._at,
            "printed": printed or self._printed.state(),
            "again": again,
            "files": self._files.state(),
            "sources": self._sources,
        }
        with contextlib.suppress(OSError):
            self._folder.write_json(_NOTE, note)

    def _warn(self, message: str) -> None:
        if not self._warned and not self._events.ended:
            self._warned = True
            self._events.add("warning", message=message)


_TRAIN = re.compile(r"^(?:train|training)/(?:epoch_)?|^train_")
_HELD_OUT = re.compile(r"^(validation|valid|val|eval|evaluation|test)[/_](?:epoch_)?")


def _others(key: str) -> set[str]:
    """The names that the same curve has in event files: Keras' ``val_loss`` is ``validation/epoch_loss``
    there, the ``eval_loss`` of Transformers is ``eval/loss``."""
    held = _HELD_OUT.match(key)
    if held is not None:
        name = key[held.end() :]
        words = {held[1], *(("validation", "val") if held[1] in ("val", "validation") else ())}
        return {key} | {f"{word}{joint}{name}" for word in words for joint in ("/", "_", "/epoch_")}
    name = _TRAIN.sub("", key)
    return {key, name, f"train/{name}", f"train/epoch_{name}", f"train_{name}", f"epoch_{name}"}


def _line(key: str, step: int, time_ms: int, value: float) -> bytes:
    number: Any = (
        value if math.isfinite(value) else repr(value).replace("inf", "Infinity").replace("nan", "NaN")
    )
    record = {"key": key, "type": "m", "value": number, "step": step, "time_ms": time_ms}
    return json.dumps(record).encode() + b"\n"
