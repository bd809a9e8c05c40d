"""Decides how the work ended: a reason word and a sentence, from what was seen of it."""

from __future__ import annotations

import re
import signal
from signal import SIGKILL
from typing import NamedTuple

_NO_MEMORY = re.compile(
    r"MemoryError|bad_alloc|Cannot allocate memory|can't allocate memory|out of memory|OOM", re.IGNORECASE
)
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded|ENOSPC|EDQUOT")
_NO_NETWORK = re.compile(
    r"name resolution|NameResolutionError|Name or service not known|could not resolve host|"
    r"unable to resolve host|getaddrinfo failed|nodename nor servname|network is unreachable|ENETUNREACH|"
    r"EAI_AGAIN|ENOTFOUND|Failed to establish a new connection|Tunnel connection failed",
    re.IGNORECASE,
)


class Outcome(NamedTuple):
    """The fields of the exit event that say why."""

    reason: str
    message: str
    exit_code: int | None = None
    signal: int | None = None


class Seen(NamedTuple):
    """What is known of a command that has ended. ``code`` is the shell's: 128 + n for signal n."""

    code: int | None
    started: bool
    last_line: str
    tail: str
    oom_kills: int
    peak_bytes: int | None
    memory_limit: int | None
    memory_by_rlimit: bool
    at_limit: bool = True
    """Whether it was the work's own limit, not the machine's end, that the kernel ended something for."""
    offline: str | None = None
    """The project, when its work has not the whole network."""
    network: str = "none"
    disk_full: bool = False
    """Whether the node's disk was full when it ended."""


def decide(seen: Seen) -> Outcome:
    """How it ended, when nobody asked it to."""
    code = seen.code
    if code is None:
        if seen.oom_kills:
            return Outcome("out_of_memory", _memory_message(seen, ""))
        message = "The work is gone and left no exit code: the machine restarted, or its shell was killed."
        return Outcome("exit_nonzero", message)
    number = code - 128 if 128 < code <= 192 else None
    exit_code = None if number is not None else code
    if code == 0:
        return Outcome("succeeded", "The command succeeded.", 0)
    what = f"signal {_signal_name(number)}" if number is not None else f"exit code {code}"
    said = f": {seen.last_line}" if seen.last_line else "."
    if _no_memory(seen):
        # With any other end it was a process of the command's that was killed, and the command went on.
        then = f" The command then ended with {what}{said}" if seen.oom_kills and number != SIGKILL else ""
        return Outcome("out_of_memory", _memory_message(seen, then), exit_code, number)
    if not seen.started:
        said = seen.last_line or f"its start failed with exit code {code}"
        return Outcome("launch_failed", f"The command could not be started: {said}", exit_code, number)
    if seen.offline is not None and _NO_NETWORK.search(seen.tail):
        said = f"{said.removesuffix('.')}. {_network_message(seen.offline, seen.network)}"
    reason, message = "exit_nonzero", f"The command ended with {what}{said}"
    if seen.disk_full and _NO_SPACE.search(seen.tail):
        reason, message = "disk_full", f"The disk of the node was full. {message}"
    return Outcome(reason, message, exit_code, number)


def _network_message(project: str, network: str) -> str:
    update = f"'nacre project update {project} --network"
    if network == "packages":
        return (
            f"This project's work reaches package indexes only: an owner can open the rest, {update} full'."
        )
    return (
        "This project's work has no network: an owner can let it install packages with "
        f"{update} packages', or reach everything with '--network full'."
    )


def _no_memory(seen: Seen) -> bool:
    return seen.oom_kills > 0 or (seen.memory_by_rlimit and bool(_NO_MEMORY.search(seen.tail)))


def _memory_message(seen: Seen, then: str) -> str:
    if seen.oom_kills and not seen.at_limit:
        limit = "has no limit" if seen.memory_limit is None else f"may use {size(seen.memory_limit)}"
        used = "" if seen.peak_bytes is None else f" It used {size(seen.peak_bytes)} at its peak."
        text = (
            f"The machine ran out of memory, and the kernel ended the command, which {limit}.{used}{then}"
        )
        return f"{text.removesuffix('.')}. Others took the rest: ask for more, so that it is kept for you."
    return memory_message(seen.memory_limit, seen.peak_bytes, then, rlimit=seen.memory_by_rlimit)


def memory_message(limit: int | None, peak: int | None, then: str = "", *, rlimit: bool = False) -> str:
    """The sentence of ``out_of_memory``. ``rlimit``: of each process, and nobody counted all the time."""
    most = "that of this machine" if limit is None else size(limit)
    most += " for each process, and one asked for more" if rlimit else ""
    used = (
        "" if peak is None else f" It used {size(peak)} at its peak{', as far as seen' if rlimit else ''}."
    )
    text = f"The command ran out of memory: its limit is {most}.{used}{then}"
    return f"{text.removesuffix('.')}. Ask for more memory, or use less."


def size(count: int) -> str:
    """Bytes for people."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _signal_name(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)
