"""What uv said, as one of Nacre's errors."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nacre.errors import InvalidSpec, NacreError, PluginError

_NETWORK = (
    "Failed to fetch",
    "error sending request",
    "dns error",
    "client error (Connect)",
    "Request failed after",
    "network was disabled",
    "operation timed out",
)
_SPEC = (
    "No solution found",
    "Couldn't parse",
    "unsatisfiable",
    "Hash mismatch",
    "hash mismatch",
    "--require-hashes",
    "no usable wheels",
    "no wheels",
    "doesn't have a wheel",
    "building from source is disabled",
    "Because ",
    "not compatible",
    "incompatible",
    "was not found in the package registry",
)
_MAX = 4000


def explanation(lines: Sequence[str]) -> str:
    """The useful part of uv's output: from its first ``error``, on one line, without labels and hints."""
    text = "\n".join(lines)
    start = re.search(r"^\s*(error|×|x)\b", text, re.MULTILINE)
    text = text[start.start() :] if start else "\n".join(lines[-10:])
    text = re.split(r"^\s*hint: .*(?:index-strategy|subsequent index)", text, flags=re.MULTILINE)[0]
    text = re.sub(r"^\s*(error|cause|hint):\s*", "", text, flags=re.MULTILINE)
    parts = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    said = " ".join(part if part.endswith((".", ":", ",")) else f"{part}." for part in _joined(parts))
    return said if len(said) <= _MAX else f"{said[:_MAX]}…"


def _joined(parts: list[str]) -> list[str]:
    """uv wraps one sentence over lines that begin with ``And because`` or a lower-case word."""
    joined: list[str] = []
    for part in parts:
        if joined and (part[0].islower() or part.startswith("And because")):
            joined[-1] = f"{joined[-1].rstrip('.')} {part[0].lower()}{part[1:]}"
        else:
            joined.append(part)
    return joined


def is_network(lines: Sequence[str]) -> bool:
    """Whether the network, rather than the request, is at fault."""
    text = "\n".join(lines)
    return any(word in text for word in _NETWORK)


def to_error(doing: str, lines: Sequence[str], code: int) -> NacreError:
    """``InvalidSpec`` when the request cannot be met, ``PluginError`` when the tool or network failed."""
    text = "\n".join(lines)
    said = explanation(lines)
    if "No space left on device" in text:
        return PluginError(f"{doing} failed because the disk is full: free some space and build again")
    if is_network(lines):
        return PluginError(f"{doing} failed because a package index could not be reached: {said}")
    if code == 1 or any(word in text for word in _SPEC):
        return InvalidSpec(f"the requirements cannot be met: {said}")
    return PluginError(f"{doing} failed: uv ended with {code}: {said or 'it said nothing'}")
