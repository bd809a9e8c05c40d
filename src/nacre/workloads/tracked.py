"""Runs of Nacre as a TensorBoard needs them, read through the API; the standard library only."""

from __future__ import annotations

import collections
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nacre.sdk.tracking.wire import Wire

MAX_POINTS = 2000
"""Of a curve; of more, the extremes of each stretch are shown."""

Point = tuple[int, int, float]
"""Step, milliseconds since 1970, value."""


class Source:
    """The project's runs, through the API."""

    def __init__(self, wire: Wire, project: str) -> None:
        self._wire = wire
        self._base = f"/api/v1/projects/{quote(project, safe='')}/runs"

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as ``runs.get`` answers it."""
        found: dict[str, Any] = self._wire.call("GET", f"{self._base}/{run_id}")
        return found

    def event_files(self, run_id: str) -> dict[str, str]:
        """Path of each event file among its artifacts → digest."""
        files = self._wire.call("GET", f"{self._base}/{run_id}/artifacts")["files"]
        return {
            item["path"]: item["digest"] for item in files if "tfevents" in posixpath.basename(item["path"])
        }

    def points(self, run_id: str, key: str) -> list[Point]:
        """A metric in order of (step, time)."""
        path = f"{self._base}/{run_id}/metrics/{quote(key, safe='')}?limit={MAX_POINTS}"
        points = self._wire.call("GET", path)["points"]
        return [(int(p["step"]), int(p["time_ms"]), float(p["value"])) for p in points]

    def download(self, run_id: str, path: str, target: Path) -> None:
        """Write an artifact to a file that is there only when it is whole."""
        partial = target.with_name(f"{target.name}.part")
        with partial.open("wb") as stream:
            self._wire.fetch(f"{self._base}/{run_id}/artifacts/{quote(path)}", stream)
        partial.rename(target)


@dataclass
class Curve:
    """What was written of a metric."""

    seen: tuple[Any, ...] = ()
    written: collections.Counter[tuple[int, int, str]] = field(default_factory=collections.Counter)
    last: tuple[int, int] | None = None

    def fresh(self, points: Sequence[Point], count: int) -> list[Point]:
        """Those that were not written yet; from now on they are.

        Of a curve that is thinned, only those behind the last one: which of the others were chosen changes.
        """
        thinned = count > len(points)
        now = collections.Counter[tuple[int, int, str]]()
        found = []
        for point in points:
            name = (point[0], point[1], repr(point[2]))
            now[name] += 1
            if thinned and self.last is not None and point[:2] <= self.last:
                continue
            if now[name] > self.written[name]:
                found.append(point)
        self.written = collections.Counter() if thinned else now
        if points:
            self.last = max(points[-1][:2], self.last or points[-1][:2])
        return found


def tracked_names(tag: str, folder: str) -> set[str]:
    """Names that a tracked metric of this scalar of an event file may have: the tag with none, some or all
    of the folders that the file lay in (``train/loss``)."""
    folders = [] if folder in ("", ".") else folder.split("/")
    return {"/".join([*folders[at:], tag]) for at in range(len(folders) + 1)}


def table(texts: Mapping[str, str]) -> str:
    """Markdown."""

    def cell(text: str) -> str:
        shown = text if len(text) <= 1000 else f"{text[:1000]}…"
        return shown.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")

    return "| | |\n|---|---|\n" + "\n".join(f"| {cell(k)} | {cell(v)} |" for k, v in texts.items())


def typed(text: str) -> bool | float | str:
    """A parameter as a number or a truth value where it is one."""
    if text in ("True", "False"):
        return text == "True"
    try:
        return float(text)
    except ValueError:
        return text
