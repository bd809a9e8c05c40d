"""Names, pins and what a lock already covers. Pure text, no resolving."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*(?:==\s*([^\s;\\]+)|@\s*(\S+))")
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?")
_BARE = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\s*==\s*([\w.!+]+))?$")


def canonical(name: str) -> str:
    """A distribution's name as indexes spell it: ``Scikit_Learn`` is ``scikit-learn``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def logical_lines(text: str) -> list[str]:
    """Lines of a requirements file: joined at backslashes, without comments and blank ones."""
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def pins(lock: str) -> dict[str, str]:
    """Canonical name to exact version (or URL) of every distribution in a lock."""
    found = (_PIN.match(line) for line in logical_lines(lock))
    return {canonical(m[1]): m[2] or m[3] for m in found if m}


def promised(requirements: Iterable[str], extra: Iterable[str]) -> bool:
    """Whether whatever ``requirements`` resolve to will plainly have ``extra``: each is named among them,
    without marker, and asks for no more than the name or for the very same."""
    have = set()
    for line in requirements:
        match = _NAME.match(line.strip())
        if match and ";" not in line:
            have |= {canonical(match[0]), _compact(line)}
    return {_compact(line) for line in extra} <= have


def _compact(requirement: str) -> str:
    """Without blanks, the name in canonical form."""
    text = "".join(requirement.split())
    match = _NAME.match(text)
    return canonical(match[0]) + text[match.end() :] if match else text


def lacking(lock: str, requirements: Iterable[str]) -> list[str]:
    """The requirements that the lock does not plainly cover.

    Covered are a bare name that is pinned, and ``name==version`` pinned at that version. Anything subtler
    (ranges, extras, markers) is left to the resolver and so counts as lacking.
    """
    have = pins(lock)
    return [r for r in requirements if not _covered(r.strip(), have)]


def _covered(requirement: str, have: dict[str, str]) -> bool:
    match = _BARE.match(requirement)
    if match is None or canonical(match[1]) not in have:
        return False
    version = have[canonical(match[1])]
    return match[2] is None or match[2] in (version, version.split("+")[0])
