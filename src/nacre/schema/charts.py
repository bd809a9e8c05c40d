"""The table of runs, charts of many, their comparison and their export."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Name, Wire
from nacre.schema.runs import Number, RunState

View = Literal["active", "deleted", "all"]

MAX_CHART_RUNS = 100
MAX_CHART_SERIES = 2000
MAX_WIDTH = 4000


class RunSearch(Wire):
    """Which runs, in which order, with which columns.

    ``filter`` and ``order_by`` are in MLflow's grammar: ``metrics.loss < 0.3 and params.opt = 'adam'``,
    ``["metrics.accuracy DESC", "attributes.start_time DESC"]``. ``columns`` are ``params.NAME``,
    ``metrics.NAME``, ``tags.NAME``, where ``*`` and ``?`` in NAME stand for anything; null means all.
    """

    filter: str = Field("", max_length=16_384)
    order_by: list[str] = Field([], max_length=16)
    experiments: list[str] | None = Field(None, max_length=200, description="names; null: all")
    view: View = "active"
    columns: list[str] | None = Field(None, max_length=500)
    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = Field(None, max_length=4096)
    count: bool = Field(False, description="also count every run that fits; this grows with the runs")


class RunMetric(Answer):
    """What the table shows of a metric: NaN and infinities travel as words, as everywhere."""

    last: Number
    min: Number
    max: Number
    step: int
    count: int


class RunRecord(Answer):
    """A row of the table."""

    id: str
    project: Name
    experiment: str
    name: str
    user: str | None = None
    job: str | None = None
    state: RunState
    created_at: datetime
    started_at: datetime
    ended_at: datetime | None = None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: dict[str, RunMetric] = {}


class RunTablePage(Answer):
    """A page of the table; ``next`` is the cursor of the following one, ``total`` the count if asked."""

    items: list[RunRecord]
    next: str | None = None
    total: int | None = None


class RunColumn(Answer):
    """A key that runs have. ``type`` of a param or tag: ``number`` when each value reads as one."""

    kind: Literal["params", "metrics", "tags"]
    key: str
    type: Literal["number", "boolean", "text"]
    runs: int = Field(description="how many of the runs looked at have it")


class RunColumns(Answer):
    """What a picker of columns offers: the keys of the latest ``looked_at`` runs."""

    items: list[RunColumn]
    looked_at: int


class ChartSpec(Wire):
    """Many curves at a width in pixels.

    ``keys`` are names of metrics, where ``*`` and ``?`` stand for anything; null means all. ``low`` and
    ``high`` bound the axis: steps, milliseconds since 1970 (``time``) or since the run's start
    (``relative``).
    """

    runs: list[str] = Field(min_length=1, max_length=MAX_CHART_RUNS)
    keys: list[str] | None = Field(None, max_length=500)
    width: int = Field(320, ge=4, le=MAX_WIDTH)
    axis: Literal["step", "time", "relative"] = "step"
    low: float | None = None
    high: float | None = None


class ChartSeries(Answer):
    """One curve, as columns of equal length; a value that is NaN or infinite is null.

    Of at most ``width`` points each is sent as it is (``exact``). Of more, each entry stands for the points
    of one pixel: ``n`` of them, around ``x``, in numbers of five digits. ``cursor`` is where a live
    subscription goes on (``docs/howto/live.md``).
    """

    run: str
    key: str
    x: list[float | None]
    mean: list[float | None]
    min: list[float | None]
    max: list[float | None]
    last: list[float | None]
    n: list[int]
    exact: bool = Field(description="whether the entries are the points themselves")
    count: int = Field(description="points of the whole series")
    cursor: str


class Chart(Answer):
    """The curves, run by run in the order asked for, by key inside a run."""

    axis: Literal["step", "time", "relative"]
    series: list[ChartSeries]


class CompareSpec(Wire):
    """Runs to put side by side."""

    runs: list[str] = Field(min_length=2, max_length=100)
    metrics: list[str] | None = Field(
        None, max_length=500, description="names or patterns; null: all but system/*"
    )


class ComparedRun(Answer):
    """A column of the comparison."""

    id: str
    name: str
    experiment: str
    user: str | None = None
    job: str | None = None
    state: RunState
    created_at: datetime
    duration_s: float | None = None


class ComparedValues(Answer):
    """One fact of each run, in the runs' order; null where a run has none."""

    key: str
    values: list[Any]
    differs: bool


class ComparedMetric(Answer):
    """One metric of each run, in the runs' order.

    ``goal`` is known by the metric's name (``loss`` is to be small, ``accuracy`` great), else null; then
    ``best`` (index of the run with the best last value) and ``best_ever`` (best of all points) are null.
    """

    key: str
    last: list[Number | None]
    min: list[Number | None]
    max: list[Number | None]
    goal: Literal["min", "max"] | None = None
    best: int | None = None
    best_ever: int | None = None
    differs: bool


class RunComparison(Answer):
    """Runs side by side: what went in, what came out, and what they ran on.

    ``made_with`` is what the jobs' records say: code, environment, data, commands, variables, hardware.
    """

    runs: list[ComparedRun]
    params: list[ComparedValues]
    tags: list[ComparedValues]
    metrics: list[ComparedMetric]
    made_with: list[ComparedValues]


class RunExport(Wire):
    """What to export. ``runs`` (references) narrows it to those; else as :class:`RunSearch`.

    CSV is meant for spreadsheets: a text that one would take for a formula gets an apostrophe before it,
    unless ``raw``. Parquet is exact.
    """

    format: Literal["csv", "parquet"] = "csv"
    what: Literal["runs", "points"] = "runs"
    runs: list[str] | None = Field(None, max_length=1000)
    filter: str = Field("", max_length=16_384)
    order_by: list[str] = Field([], max_length=16)
    experiments: list[str] | None = Field(None, max_length=200)
    view: View = "active"
    columns: list[str] | None = Field(None, max_length=500)
    raw: bool = False


_R = f"{PROJECT}/runs"
_READ = (Access.VIEWER, "runs:read")
OPERATIONS = (
    Operation(
        "runs.search", "POST", f"{_R}/search", "Search, sort and page the table of runs", *_READ, "runs ls"
    ),
    Operation(
        "runs.columns",
        "GET",
        f"{PROJECT}/run-columns",
        "List the keys that runs have",
        *_READ,
        "runs columns",
    ),
    Operation("runs.chart", "POST", f"{_R}/chart", "Read many curves at a width", *_READ, "runs plot"),
    Operation("runs.compare", "POST", f"{_R}/compare", "Put runs side by side", *_READ, "runs compare"),
    Operation(
        "runs.export",
        "GET",
        f"{PROJECT}/run-export",
        "Export runs or points as CSV or Parquet",
        *_READ,
        "runs export",
    ),
)
