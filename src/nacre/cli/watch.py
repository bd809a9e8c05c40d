"""A run on the terminal while it goes: sparklines that grow."""

from __future__ import annotations

import json
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nacre.cli.app import as_json, out
from nacre.cli.render.plot import sparkline
from nacre.cli.render.runs import number
from nacre.schema.live import Cursor
from nacre.schema.runs import RunState
from nacre.sdk.client import Client

_KEPT = 600
_WIDTH = 48
_ROWS = 40


@dataclass
class _Curve:
    values: deque[float | None] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last: float | None = None
    step: int = 0
    count: int = 0


class _Screen:
    """What is known of the run."""

    def __init__(self) -> None:
        self.head: dict[str, Any] = {}
        self.curves: dict[str, _Curve] = {}

    @property
    def over(self) -> bool:
        return str(self.head.get("state", RunState.RUNNING)) != RunState.RUNNING

    def take(self, data: dict[str, Any]) -> list[str]:
        """Bring an update in; names of metrics to fetch anew."""
        self.head = data.get("run", self.head)
        stale = []
        for key, news in data.get("metrics", {}).items():
            curve = self.curves.setdefault(key, _Curve())
            curve.last, curve.step, curve.count = news["last"], news["last_step"], news["count"]
            if news.get("refetch"):
                stale.append(key)
            curve.values.extend(news.get("value", ()))
        return stale

    def draw(self) -> Group:
        grid = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("metric", "", "last", "step", "points"):
            grid.add_column(name, no_wrap=True)
        own_first = sorted(self.curves.items(), key=lambda one: (one[0].startswith("system/"), one[0]))
        for key, curve in own_first[:_ROWS]:
            last = "NaN" if curve.last is None else number(curve.last)
            line = f"[cyan]{sparkline(list(curve.values), _WIDTH)}[/cyan]"
            grid.add_row(escape(key), line, last, str(curve.step), str(curve.count))
        title = Text.assemble(
            (str(self.head.get("name", "")), "bold"), "  ", str(self.head.get("state", ""))
        )
        if not self.curves:
            return Group(title, Text("no metrics yet", "dim"))
        return Group(title, grid)


def watch_run(client: Client, run: str, keys: list[str] | None) -> None:
    """Show a run until it has ended; lines of JSON with ``--output json``."""
    found = client.runs.get(run)
    screen = _Screen()
    cursor: Cursor = {}
    if not as_json():
        cursor = _fetch(client, found.id, keys, screen)
    with client.live() as updates:
        updates.run(found.id, keys=keys, cursor=cursor)
        if as_json():
            for update in updates:
                sys.stdout.write(json.dumps(update.model_dump(mode="json")) + "\n")
                sys.stdout.flush()
                screen.take(update.data)
                if screen.over:
                    break
            return
        with Live(console=out, refresh_per_second=10, get_renderable=screen.draw):
            for update in updates:
                if stale := screen.take(update.data):
                    _fetch(client, found.id, stale, screen)
                if screen.over:
                    return


def _fetch(client: Client, run: str, keys: list[str] | None, screen: _Screen) -> Cursor:
    """Curves as they are now; the cursor that goes on from there."""
    chart = client.runs.chart([run], keys, width=_KEPT // 4)
    for series in chart.series:
        curve = screen.curves[series.key] = _Curve(count=series.count)
        curve.values.extend(series.mean)
        curve.last = next((value for value in reversed(series.last) if value is not None), None)
        curve.step = int(series.cursor.split(":")[1])
    return {f"m:{series.key}": series.cursor for series in chart.series}
