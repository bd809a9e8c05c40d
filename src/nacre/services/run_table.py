"""The table of runs, charts and comparisons. Reads only.

Answers are plain dicts in the shape of ``nacre.schema.charts``, with NumPy arrays inside: they are written
as JSON without a model for each number.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import epoch_ms
from nacre.db.connect import Database
from nacre.db.queries import series as stored
from nacre.db.queries.run_search import search_runs
from nacre.db.queries.run_table import (
    count_runs,
    job_facts,
    known_keys,
    resolve_runs,
    snapshot,
    table_rows,
)
from nacre.db.queries.series import Series, find_series
from nacre.db.tables.runs import ExperimentRow, RunRow
from nacre.domain.comparing import best, differs, goal, kind_of
from nacre.domain.curves import Curve, shortened
from nacre.domain.identity import Caller
from nacre.domain.run_columns import SYSTEM, Columns, Keys, parse_columns
from nacre.domain.run_filter import Comparison, Order, parse_filter, parse_order
from nacre.errors import NotFound, TooLarge
from nacre.schema.charts import MAX_CHART_SERIES, ChartSpec, CompareSpec, RunExport, RunSearch
from nacre.services.live_topics import series_cursor

MAX_CHART_POINTS = 1_000_000
_KEPT_BYTES = 8 * 2**20


class RunTable:
    """What ``runs.search``, ``runs.columns``, ``runs.chart`` and ``runs.compare`` answer."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self._curves = _Curves()

    @staticmethod
    def check(
        spec: RunSearch | RunExport,
    ) -> tuple[tuple[Comparison, ...], tuple[Order, ...], Columns]:
        """Filter, order and columns, parsed.

        Raises:
            InvalidSpec: one of them does not parse; says where.
        """
        return parse_filter(spec.filter), parse_order(spec.order_by), parse_columns(spec.columns)

    def search(self, caller: Caller, spec: RunSearch) -> dict[str, Any]:
        """A page of the table. Only its runs are described, so it stays flat as runs grow.

        Raises:
            InvalidSpec: filter, order, columns or cursor make no sense.
            NotFound: there is no such experiment.
        """
        filters, order, columns = self.check(spec)
        with self.db.read() as session:
            experiments = self.experiments(session, caller.project_id, spec.experiments)
            rows, following = search_runs(
                session,
                caller.project_id,
                experiment_ids=experiments,
                filter=filters,
                order=order,
                view=spec.view,
                limit=spec.limit,
                cursor=spec.cursor,
            )
            items = [_worded(row) for row in table_rows(session, rows, columns)]
            total = None
            if spec.count:
                total = count_runs(
                    session,
                    caller.project_id,
                    experiment_ids=experiments,
                    where=filters,
                    view=spec.view,
                )
        return {"items": items, "next": following, "total": total}

    @staticmethod
    def experiments(session: Session, project_id: str, names: Sequence[str] | None) -> list[int] | None:
        """The ids of experiments; null for all.

        Raises:
            NotFound: one does not exist.
        """
        if names is None:
            return None
        statement = select(ExperimentRow.name, ExperimentRow.id).where(
            ExperimentRow.project_id == project_id, ExperimentRow.name.in_(names)
        )
        found = {row.name: row.id for row in session.execute(statement)}
        for name in names:
            if name not in found:
                raise NotFound(f"there is no experiment {name!r} in this project")
        return list(found.values())

    def columns(self, caller: Caller, experiments: Sequence[str] | None) -> dict[str, Any]:
        """The keys that the latest runs have: what a picker offers."""
        with self.db.read() as session:
            ids = self.experiments(session, caller.project_id, experiments)
            found, looked_at = known_keys(session, caller.project_id, ids)
        items = [
            {
                "kind": kind,
                "key": fact.key,
                "type": "number" if kind == "metrics" else kind_of(fact.low, fact.high),
                "runs": fact.runs,
            }
            for kind, facts in found.items()
            for fact in facts
        ]
        return {"items": items, "looked_at": looked_at}

    def chart(self, caller: Caller, spec: ChartSpec) -> dict[str, Any]:
        """Curves of many runs at a width.

        Raises:
            NotFound: a run does not exist.
            TooLarge: too many curves: narrow runs or keys.
        """
        keys = Keys(tuple(spec.keys) if spec.keys is not None else None)
        with self.db.read() as session:
            snapshot(session)
            runs = {row.id: row for row in self.find(session, caller, spec.runs)}
            series = _chosen(find_series(session, list(runs), keys.names), keys)
            if len(series) > MAX_CHART_SERIES or len(series) * spec.width > MAX_CHART_POINTS:
                raise TooLarge(
                    f"these are {len(series)} curves of {spec.width} points: ask for fewer runs or keys, "
                    f"up to {MAX_CHART_SERIES} curves and {MAX_CHART_POINTS} points together"
                )
            places = {number: at for at, number in enumerate(runs)}
            series.sort(key=lambda one: (places[one.run_id], one.key))
            curves = [self._curve(session, one, runs[one.run_id], spec) for one in series]
        return {"axis": spec.axis, "series": curves}

    def _curve(self, session: Session, series: Series, run: RunRow, spec: ChartSpec) -> dict[str, Any]:
        start_ms = epoch_ms(run.started_at)
        mark = series_cursor(series)[1]  # points are only ever added, so this names what there is
        shape = (run.uuid, series.key, mark, spec.axis, spec.low, spec.high, spec.width, start_ms)
        found = self._curves.get(shape)
        if found is None:
            drawn = stored.chart(
                session,
                series,
                axis=spec.axis,
                low=spec.low,
                high=spec.high,
                width=spec.width,
                start_ms=start_ms,
            )
            found = shortened(drawn)
            self._curves.keep(shape, found)
        arrays = {name: getattr(found, name) for name in ("x", "mean", "min", "max", "last", "n")}
        return {
            "run": run.uuid,
            "key": series.key,
            **{name: np.ascontiguousarray(array) for name, array in arrays.items()},
            "exact": found.exact,
            "count": series.n,
            "cursor": mark,
        }

    @staticmethod
    def find(session: Session, caller: Caller, references: Sequence[str]) -> list[RunRow]:
        """The runs, in the order asked for, each once.

        Raises:
            NotFound: one does not exist.
        """
        found = resolve_runs(session, caller.project_id, references)
        for reference, row in zip(references, found, strict=True):
            if row is None:
                raise NotFound(
                    f"there is no run {reference!r} in this project: see 'nacre runs ls'", run=reference
                )
        return list({row.id: row for row in found if row is not None}.values())

    def compare(self, caller: Caller, spec: CompareSpec) -> dict[str, Any]:
        """Runs side by side.

        Raises:
            NotFound: one does not exist.
        """
        metrics = Keys(tuple(spec.metrics) if spec.metrics is not None else None)
        with self.db.read() as session:
            rows = self.find(session, caller, spec.runs)
            facts = table_rows(session, rows, Columns(metrics=metrics))
            jobs = job_facts(session, [row.job_id for row in rows if row.job_id])
        made = [_made_with(*jobs[row.job_id]) if row.job_id in jobs else {} for row in rows]
        return {
            "runs": [_column(run) for run in facts],
            "params": _side_by_side([run["params"] for run in facts]),
            "tags": _side_by_side([run["tags"] for run in facts]),
            "metrics": _metrics_side_by_side([_asked(run["metrics"], metrics) for run in facts]),
            "made_with": _side_by_side(made),
        }


class _Curves:
    """The curves that were drawn last, for all who look at the same; about ``_KEPT_BYTES`` of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[Any, ...], Curve] = OrderedDict()
        self._bytes = 0

    def get(self, shape: tuple[Any, ...]) -> Curve | None:
        with self._lock:
            if shape in self._known:
                self._known.move_to_end(shape)
            return self._known.get(shape)

    def keep(self, shape: tuple[Any, ...], curve: Curve) -> None:
        with self._lock:
            if shape not in self._known:
                self._bytes += _size(curve)
            self._known[shape] = curve
            while self._bytes > _KEPT_BYTES:
                _, dropped = self._known.popitem(last=False)
                self._bytes -= _size(dropped)


def _size(curve: Curve) -> int:
    return 1000 + 6 * curve.x.nbytes


def _chosen(series: Sequence[Series], keys: Keys) -> list[Series]:
    wanted = set(keys.pick({one.key for one in series}))
    return [one for one in series if one.key in wanted]


def _asked(found: dict[str, Any], keys: Keys) -> dict[str, Any]:
    """Without what the machine did, unless it was named."""
    if keys.wanted is not None:
        return found
    return {key: value for key, value in found.items() if not key.startswith(SYSTEM)}


def _worded(row: dict[str, Any]) -> dict[str, Any]:
    """The row with NaN and infinities of its metrics as words."""
    for metric in row["metrics"].values():
        for name in ("last", "min", "max"):
            metric[name] = word(metric[name])
    return row


def word(value: float | None) -> float | str | None:
    """A number as JSON carries it: NaN and infinities as words."""
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _column(run: Mapping[str, Any]) -> dict[str, Any]:
    ended = run["ended_at"]
    names = ("id", "name", "experiment", "user", "job", "state", "created_at")
    return {name: run[name] for name in names} | {
        "duration_s": (ended - run["started_at"]).total_seconds() if ended is not None else None
    }


def _side_by_side(facts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each key's values; those that differ come first."""
    keys = sorted({key for one in facts for key in one})
    found = []
    for key in keys:
        values = [one.get(key) for one in facts]
        found.append({"key": key, "values": values, "differs": differs(values)})
    return sorted(found, key=lambda row: not row["differs"])


def _metrics_side_by_side(facts: Sequence[Mapping[str, Mapping[str, float]]]) -> list[dict[str, Any]]:
    found = []
    for key in sorted({key for one in facts for key in one}):
        columns = {
            name: [one[key][name] if key in one else None for one in facts]
            for name in ("last", "min", "max")
        }
        wanted = goal(key)
        found.append(
            {
                "key": key,
                **{name: [word(value) for value in values] for name, values in columns.items()},
                "goal": wanted,
                "best": best(columns["last"], wanted),
                "best_ever": best(columns[wanted], wanted) if wanted else None,
                "differs": differs(columns["last"]),
            }
        )
    return found


def _made_with(spec: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """What a job's record says of how its run was made, as flat facts."""
    found: dict[str, Any] = {
        name: record.get(name)
        for name in ("code", "environment", "environment_digest", "lock_digest", "nacre")
        if record.get(name) is not None
    }
    found["commands"] = " && ".join(record.get("commands") or spec.get("commands") or [])
    for name, value in (record.get("inputs") or {}).items():
        found[f"data.{name}"] = value
    for name, value in (record.get("env") or {}).items():
        found[f"env.{name}"] = value
    for name, value in (record.get("hardware") or {}).items():
        found[f"hardware.{name}"] = value
    for name, value in (spec.get("resources") or {}).items():
        if value is not None:
            found[f"resources.{name}"] = value
    return found
