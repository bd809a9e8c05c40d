"""Metrics that a program prints: lines of ``name=value`` pairs only, as Katib's collector reads them.

epoch=1 loss=0.52, accuracy=0.81
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)"
_PAIR = re.compile(rf"\s*([A-Za-z_][\w./@:|-]{{0,99}})\s*=\s*({_NUMBER})(/\d+)?\s*(?:,|;|(?<=\s)|\Z)", re.I)
_LINE = re.compile(rb"^[ \t]*[A-Za-z_\x80-\xff][^=\n]{0,150}=[^\n]{1,1000}$", re.MULTILINE)
_STEPS = ("global_step", "step", "iteration", "iter", "batch", "epoch")
"""Names that say where on the curve the others are; the first of these that a line has counts."""

_MOST_KEYS = 200


class Point(NamedTuple):
    """One value of a metric."""

    key: str
    step: int
    value: float


def pairs(line: str) -> list[tuple[str, float]]:
    """The pairs of a line; none when anything else stands in it."""
    found = []
    at, end = 0, len(line)
    while at < end:
        match = _PAIR.match(line, at)
        if match is None or (match[3] and match[1].lower() not in _STEPS):  # epoch=3/10
            return []
        found.append((match[1], float(match[2])))
        at = match.end()
    return found


class Printed:
    """Goes through a log; knows the step that comes next."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """``state``: of another one, to go on from there."""
        state = state or {}
        self._step: int | None = state.get("step")
        self._next: dict[str, int] = dict(state.get("next") or {})

    def state(self) -> dict[str, Any]:
        """What another one needs to go on."""
        return {"step": self._step, "next": dict(self._next)}

    def read(self, data: bytes) -> list[Point]:
        """The points of whole lines. A line of steps only is for the lines after it.

        A metric without a step gets one more than its last. After 200 names no new one is taken.
        """
        found: list[Point] = []
        if b"=" not in data:
            return found
        for match in _LINE.finditer(data.replace(b"\r", b"\n")):
            told = pairs(match[0].decode("utf-8", "replace").rstrip())
            if told:
                found += self._points(told)
        return found

    def _points(self, told: list[tuple[str, float]]) -> list[Point]:
        steps = {name.lower(): value for name, value in told if name.lower() in _STEPS}
        said = next((steps[name] for name in _STEPS if name in steps), None)
        step = int(said) if said is not None and abs(said) < 2**53 else None
        rest = [(name, value) for name, value in told if name.lower() not in _STEPS]
        if not rest:
            self._step = step
        return [self._point(name, value, step) for name, value in rest if self._known(name)]

    def _known(self, name: str) -> bool:
        return name in self._next or len(self._next) < _MOST_KEYS

    def _point(self, name: str, value: float, step: int | None) -> Point:
        if step is None:
            step = self._step
        if step is None:
            step = self._next.get(name, 0)
        self._next[name] = max(step + 1, self._next.get(name, 0))
        return Point(name, step, value)
