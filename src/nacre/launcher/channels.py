"""The four byte channels, read from the spool at any offset: what is next to send."""

from __future__ import annotations

import json
import os
import re
import stat
import threading
from importlib import import_module

from nacre.launcher.folder import Folder
from nacre.launcher.masks import Masks

LOG_CHUNK = 256 * 2**10
LINES_CHUNK = 2**20
_PUNCH_EACH = 2**20
_BLOCK = 4096
_FAILED = re.compile(r"nacre: (.+) (?:ended with exit code \d+|was ended by .+)")


class Channel:
    """A spool file and how far the server has it. ``final``: nothing is appended to it any more."""

    def __init__(self, name: str, path: str, offset: int) -> None:
        self.name = name
        self.path = path
        self.offset = offset
        self.final = False
        self._fd: int | None = None

    def _open(self) -> int | None:
        """The file; None while it is absent. The command owns ``io``: no link, no pipe is followed."""
        if self._fd is None:
            try:
                fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return None
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                os.close(fd)
                return None
            self._fd = fd
        return self._fd

    def size(self) -> int:
        """Bytes in the file now."""
        fd = self._open()
        return 0 if fd is None else os.fstat(fd).st_size

    def read(self, start: int, end: int) -> bytes:
        """Bytes of the file; fewer when it is shorter."""
        fd = self._open()
        return b"" if fd is None or end <= start else os.pread(fd, end - start, start)

    def peek(self) -> bytes:
        """What to send from ``offset``; empty when there is nothing yet."""
        raise NotImplementedError

    def drained(self) -> bool:
        """Whether the server has everything that will ever be in it."""
        return self.final and not self.peek()

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class LogChannel(Channel):
    """The command's output. Past ``cap`` bytes it is cut off, on the disk too, and a last line says so."""

    def __init__(self, folder: Folder, offset: int, cap: int, masks: Masks) -> None:
        super().__init__("log", folder.path("log"), offset)
        self._folder = folder
        self._cap = cap
        self._masks = masks
        saved = folder.read_json("cut.json") or {}
        self._lost: int = saved.get("lost", 0)
        self._cut: int = saved.get("cut", 0)
        self._punched = 0
        self._sealed: bool = saved.get("sealed", False)
        self._lock = threading.Lock()

    def _end(self) -> int:
        size = self.size()
        return size if self._sealed else min(size, self._cap)

    def peek(self) -> bytes:
        """The next bytes, secrets masked, also those that lie across a border of two sends."""
        end, offset = self._end(), self.offset  # once: another thread moves it while we look
        if offset >= end:
            return b""
        reach = self._masks.reach
        stop = min(end, offset + LOG_CHUNK)
        first = max(0, offset - reach)
        window = self.read(first, min(end, stop + reach))
        ready = len(window)
        if not self.final:  # the rest of a secret may not be written yet: keep its beginning back
            ready -= self._masks.held(window)
        hidden = self._masks.hide(window)
        return hidden[offset - first : max(offset - first, min(stop - first, ready))]

    def trim(self) -> None:
        """Give the disk back what lies past the limit."""
        with self._lock:
            self._trim()

    def _trim(self) -> None:
        size = self.size()
        if self._sealed or size - max(self._cap, self._punched) < _PUNCH_EACH:
            return
        if import_module("nacre.launcher.holes").punch(self.path, self._cap, size):
            self._punched = size
        else:  # shortening loses count of what is written meanwhile
            os.truncate(self.path, self._cap)
            self._lost += size - self._cap
            self._save()

    def seal(self) -> None:
        """Nothing is written any more: when the log was cut, say so in its last line."""
        with self._lock:
            self._seal()

    def _seal(self) -> None:
        cut = self._cut or self.size() - self._cap + self._lost
        if cut > 0 and not self._sealed:
            held = self._masks.held(self.read(max(0, self._cap - self._masks.reach), self._cap))
            notice = (
                f"\n[nacre] The log ends here: the command printed {cut:,} bytes more than the "
                f"{self._cap:,} that are kept.\n"
            )
            fd = os.open(self.path, os.O_WRONLY)
            try:
                os.pwrite(fd, b"*" * held, self._cap - held)  # the limit may cut through a secret
                self._cut = cut  # if we are killed from here on, the next launcher writes the same
                self._save()
                os.ftruncate(fd, self._cap)
                os.pwrite(fd, notice.encode(), self._cap)
            finally:
                os.close(fd)
            self._sealed = True
            self._save()
        self.final = True

    def _save(self) -> None:
        self._folder.write_json("cut.json", {"lost": self._lost, "cut": self._cut, "sealed": self._sealed})

    def last_line(self, *, several: bool = False) -> str:
        """The last line that is not blank, secrets masked, at most 300 characters.

        Of several processes it is that of the one that failed first, and its name: what the others say of
        that, or of being stopped, comes after the line by which ``spawn`` names it.
        """
        size = self.size()
        most = 65536 if several else 8192
        text = self._masks.hide(self.read(max(0, size - most), size)).decode("utf-8", "replace")
        lines = ["".join(c if c.isprintable() else " " for c in line).strip() for line in text.splitlines()]
        found = [line for line in lines if line]
        for at in range(len(found) - 1, 0, -1) if several else ():
            failed = _FAILED.fullmatch(found[at])
            if failed is not None:
                return f"{found[at - 1][-300:]} ({failed[1]})"
        return found[-1][-300:] if found else ""

    def tail(self, size: int = 8192) -> str:
        """The end of what was printed, to look for a cause in."""
        end = self.size()
        return self.read(max(0, end - size), end).decode("utf-8", "replace")


class LinesChannel(Channel):
    """Whole lines of JSON. A line too long to send, or refused by the server, is sent as blanks."""

    def __init__(self, name: str, path: str, offset: int, masks: Masks | None) -> None:
        super().__init__(name, path, offset)
        self._masks = masks
        self._careful_until = 0

    def peek(self) -> bytes:
        """The next whole lines; one alone while the server refuses some."""
        offset = self.offset  # once: another thread moves it while we look
        data = self.read(offset, min(self.size(), offset + LINES_CHUNK))
        if not data:
            return b""
        if offset and self.read(offset - 1, offset) != b"\n":
            return self._blank_rest(data)
        careful = offset < self._careful_until
        end = (data.find(b"\n") if careful else data.rfind(b"\n")) + 1
        if end:
            return self._masks.hide_json(data[:end]) if self._masks is not None else data[:end]
        if len(data) < LINES_CHUNK:
            return b""  # half a line: its end is yet to be written
        return blank(data)

    def _blank_rest(self, data: bytes) -> bytes:
        """The rest of a line that was too long."""
        end = data.find(b"\n") + 1
        if end or len(data) == LINES_CHUNK:
            return blank(data[: end or None])
        return b""

    def refused(self, data: bytes) -> bytes | None:
        """The server will not have these lines: None to send them singly, or blanks for one."""
        if data.count(b"\n") > 1:
            self._careful_until = max(self._careful_until, self.offset + len(data))
            return None
        return blank(data)


class SamplesChannel(LinesChannel):
    """Lines of our own, without end while the work runs: what the server has goes back to the disk."""

    def __init__(self, path: str, offset: int) -> None:
        super().__init__("samples", path, offset, None)
        self._punched = 0

    def trim(self) -> None:
        """Give back what was taken, all but the last block of it; nothing where the disk cannot do that."""
        end = (self.offset - 1) // _BLOCK * _BLOCK
        if end - self._punched >= _PUNCH_EACH:
            import_module("nacre.launcher.holes").punch(self.path, self._punched, end)
            self._punched = end


def blank(data: bytes) -> bytes:
    """An empty line of the same length, so that offsets stay true."""
    return b" " * (len(data) - 1) + b"\n"


class Acks:
    """``acks.json``: how far the server has each channel. A lost write only means sending again."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        saved = folder.read_json("acks.json") or {}
        self.offsets = {name: int(saved.get(name, 0)) for name in ("log", "track", "events", "samples")}
        self._written = json.dumps(saved)

    def save(self, channels: list[Channel]) -> None:
        """Write the offsets when they changed; a full disk is no reason to stop."""
        self.offsets = {channel.name: channel.offset for channel in channels}
        text = json.dumps(self.offsets)
        if text != self._written:
            try:
                self._folder.write_json("acks.json", self.offsets)
            except OSError:
                return
            self._written = text
