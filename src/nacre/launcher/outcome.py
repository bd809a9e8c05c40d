"""Decides how the work ended: a reason word and a sentence, from what was seen of it."""

from __future__ import annotations

import re
import signal
from typing import NamedTuple

_NO_MEMORY = re.compile(
    r"MemoryError|bad_alloc|Cannot allocate memory|can't allocate memory|out of memory|OOM", re.IGNORECASE
)
_NO_NETWORK = re.compile(
    r"name resolution|NameResolutionError|Name or service not known|could not resolve host|"
    r"unable to resolve host|getaddrinfo failed|nodename nor servname|network is unreachable|ENETUNREACH|"
    r"EAI_AGAIN|ENOTFOUND|Failed to establish a new connection",
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
    offline: str | None = None
    """The project, when its work has no network."""


def decide(seen: Seen) -> Outcome:
    """How it ended, when nobody asked it to."""
    code = seen.code
    if code is None:
        message = "The work is gone and left no exit code: the machine restarted, or its shell was killed."
        return Outcome("exit_nonzero", message)
    number = code - 128 if 128 < code <= 192 else None
    exit_code = None if number is not None else code
    if code == 0:
        return Outcome("succeeded", "The command succeeded.", 0)
    if not seen.started:
        said = seen.last_line or f"its start failed with exit code {code}"
        return Outcome("launch_failed", f"The command could not be started: {said}", exit_code, number)
    if _no_memory(seen):
        return Outcome("out_of_memory", memory_message(seen), exit_code, number)
    what = f"signal {_signal_name(number)}" if number is not None else f"exit code {code}"
    said = f": {seen.last_line}" if seen.last_line else "."
    if seen.offline is not None and _NO_NETWORK.search(seen.tail):
        said = f"{said.removesuffix('.')}. This project's work has no network: an owner can allow it with "
        said += f"'nacre project update {seen.offline} --network full'."
    return Outcome("exit_nonzero", f"The command ended with {what}{said}", exit_code, number)


def _no_memory(seen: Seen) -> bool:
    return seen.oom_kills > 0 or (seen.memory_by_rlimit and bool(_NO_MEMORY.search(seen.tail)))


def memory_message(seen: Seen) -> str:
    """The sentence of ``out_of_memory``."""
    limit = size(seen.memory_limit) if seen.memory_limit is not None else "that of this machine"
    used = f" It used {size(seen.peak_bytes)} at its peak." if seen.peak_bytes is not None else ""
    return f"The command ran out of memory: its limit is {limit}.{used} Ask for more memory, or use less."


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
