"""Searching runs: filter, order and pages, in a time that does not grow with the number of runs.

Of each comparison that an index answers, a probe takes at most some hundred runs. When one of them is that
selective, its runs are all that is looked at. Otherwise the runs are walked in the order that is asked for,
by an index on the start or on a metric's last value, until the page is full.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    and_,
    case,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from nacre.db.queries.run_conditions import condition, probe
from nacre.db.tables.runs import MetricSeriesRow, RunParamRow, RunRow, RunTagRow
from nacre.db.tables.users import UserRow
from nacre.domain.run_filter import Comparison, Kind, Order
from nacre.errors import InvalidSpec

View: TypeAlias = Literal["active", "deleted", "all"]

_FEW = 512
_SORTED = 2000
_BRANCHES = 40
_STARTED = type_coerce(RunRow.started_at, BigInteger)


@dataclass
class _Term:
    """A column to sort by. Values are never null: ``rank`` says first which runs have one."""

    column: Any
    ascending: bool
    constant: bool = False


def search_runs(
    session: Session,
    project_id: str,
    *,
    experiment_ids: Sequence[int] | None = None,
    filter: Sequence[Comparison] = (),  # noqa: A002
    order: Sequence[Order] = (),
    view: View = "active",
    limit: int = 100,
    cursor: str | None = None,
) -> tuple[list[RunRow], str | None]:
    """A page of the project's runs, and the cursor of the next one.

    ``experiment_ids``: only runs of these (null: of all). Without ``order``, and where it leaves runs
    equal, the latest start comes first, then the id. Runs without the value that is sorted by come last,
    those whose metric is NaN before them, whatever the direction.

    Raises:
        InvalidSpec: the cursor is not one of this order.
    """
    if experiment_ids is not None and not experiment_ids:
        return [], None
    where: list[ColumnElement[bool]] = [*_in_view(view)]
    where += [condition(comparison, session) for comparison in filter]
    few = _few(session, filter)
    if few is not None:
        if not few:
            return [], None
        where.append(RunRow.id.in_(few))
    walk = _Walk(session, project_id, experiment_ids, where, order, few is not None)
    rows = walk.page(limit + 1, _decode(cursor, walk.shape))
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = _encode(walk.shape, rows[-1][1:])
    wanted = {row.id: row for row in _load(session, [row[0] for row in rows])}
    return [wanted[row[0]] for row in rows if row[0] in wanted], following


def count_runs(
    session: Session,
    project_id: str,
    *,
    experiment_ids: Sequence[int] | None = None,
    filter: Sequence[Comparison] = (),  # noqa: A002
    view: View = "active",
) -> int:
    """How many runs a search finds in all; it looks at each of them."""
    if experiment_ids is not None and not experiment_ids:
        return 0
    where = [RunRow.project_id == project_id, *_in_view(view)]
    where += [condition(comparison, session) for comparison in filter]
    if (few := _few(session, filter)) is not None:
        where.append(RunRow.id.in_(few))
    if experiment_ids is not None:
        where.append(RunRow.experiment_id.in_(experiment_ids))
    return session.scalars(select(func.count()).select_from(RunRow).where(*where)).one()


def _in_view(view: View) -> list[ColumnElement[bool]]:
    if view == "all":
        return []
    return [RunRow.deleted_at.is_(None) if view == "active" else RunRow.deleted_at.is_not(None)]


def _few(session: Session, comparisons: Sequence[Comparison]) -> list[int] | None:
    best: list[int] | None = None
    for comparison in comparisons:
        statement = probe(comparison)
        if statement is None:
            continue
        found: list[int] = list(session.scalars(statement.limit(_FEW + 1)))
        if len(found) <= _FEW and (best is None or len(found) < len(best)):
            best = found
    return best


def _load(session: Session, ids: Sequence[int]) -> list[RunRow]:
    found: list[RunRow] = []
    for at in range(0, len(ids), 5000):
        found += session.scalars(select(RunRow).where(RunRow.id.in_(ids[at : at + 5000])))
    return found


class _Walk:
    """Pages of one search. A row is the run's number, then the values of the terms, by which it goes on."""

    def __init__(
        self,
        session: Session,
        project_id: str,
        experiment_ids: Sequence[int] | None,
        where: list[ColumnElement[bool]],
        order: Sequence[Order],
        small: bool,
    ) -> None:
        self._session = session
        self._project = project_id
        self._sqlite = session.get_bind().dialect.name == "sqlite"
        self._experiments = None if experiment_ids is None else list(dict.fromkeys(experiment_ids))
        self._where = where
        self._order = order
        self._small = small
        self.shape = ",".join(f"{o.kind[0]}{'+' if o.ascending else '-'}{o.key}" for o in order)

    def page(self, count: int, after: list[Any] | None) -> list[tuple[Any, ...]]:
        """``count`` rows that follow the one whose terms were ``after``."""
        first = self._order[0] if self._order else None
        if first is None or (first.kind is Kind.ATTRIBUTE and first.key == "start_time"):
            return self._by_start(count, after)
        if first.kind is Kind.METRIC and not self._small and self._many():
            return self._by_metric(first, count, after)
        statement, terms = self._joined(self._order)
        return self._rows(statement.where(*self._where, self._mine()), terms, count, after)

    # by the start: an index gives the order

    def _by_start(self, count: int, after: list[Any] | None) -> list[tuple[Any, ...]]:
        statement, terms = self._joined(self._order)
        statement = statement.where(*self._where)
        experiments = self._experiments
        if self._small or experiments is None or len(experiments) > _BRANCHES:
            return self._rows(statement.where(self._mine()), terms, count, after)
        mine = RunRow.project_id == self._project
        branches = [
            self._sorted(statement.where(mine, RunRow.experiment_id == number), terms, count, after)
            for number in experiments
        ]
        if len(branches) == 1:
            return [tuple(row) for row in self._session.execute(branches[0])]
        whole = union_all(*(select(branch.subquery()) for branch in branches)).subquery()
        columns = list(whole.c)
        sorting = [c if t.ascending else c.desc() for c, t in zip(columns[1:], terms, strict=True)]
        merged = select(*columns).order_by(*sorting).limit(count)
        return [tuple(row) for row in self._session.execute(merged)]

    # by a metric first: its values in the order of their index, then NaN, then runs without it

    def _by_metric(self, first: Order, count: int, after: list[Any] | None) -> list[tuple[Any, ...]]:
        rest = self._order[1:]
        rank = 0 if after is None else int(after[0])
        rows: list[tuple[Any, ...]] = []
        while rank <= 2 and len(rows) < count:
            value: Any = literal_column("0")
            statement, others = self._joined(rest)
            statement = statement.where(*self._where)
            if rank == 2:
                there = exists().where(
                    MetricSeriesRow.run_id == RunRow.id, MetricSeriesRow.key == first.key
                )
                statement = statement.where(~there, self._mine())
            else:
                series = aliased(MetricSeriesRow)
                statement = statement.join(
                    series, and_(series.run_id == RunRow.id, series.key == first.key)
                )
                statement = statement.where(self._mine(walked=True))
                known = series.last_value.is_not(None) if rank == 0 else series.last_value.is_(None)
                statement = statement.where(known)
                value = series.last_value if rank == 0 else value
            lead = [
                _Term(literal_column(str(rank)), True, constant=True),
                _Term(value, first.ascending, constant=rank > 0),
            ]
            rows += self._rows(statement, [*lead, *others], count - len(rows), after)
            after, rank = None, rank + 1
        return rows

    # parts

    def _mine(self, *, walked: bool = False) -> ColumnElement[bool]:
        """Runs of the project and the experiments."""
        project: Any = RunRow.project_id
        experiment: Any = RunRow.experiment_id
        if walked and self._sqlite:  # unary plus: no index of the runs is better than the metric's
            project, experiment = literal_column("+runs.project_id"), literal_column("+runs.experiment_id")
        mine: ColumnElement[bool] = project == self._project
        return mine if self._experiments is None else and_(mine, experiment.in_(self._experiments))

    def _many(self) -> bool:
        """Whether sorting every run would take longer than walking along a metric's index."""
        within = self._mine() if self._experiments is None else RunRow.experiment_id.in_(self._experiments)
        some = select(RunRow.id).where(within).limit(_SORTED)
        return self._session.scalars(select(func.count()).select_from(some.subquery())).one() == _SORTED

    def _joined(self, order: Sequence[Order]) -> tuple[Select[Any], list[_Term]]:
        """Runs with what they are sorted by beside them, and the terms, down to the run's own id."""
        statement = select(RunRow.id)
        terms: list[_Term] = []
        started = any(o.kind is Kind.ATTRIBUTE and o.key == "start_time" for o in self._order)
        for wanted in order:
            column: Any
            rank: Any
            if wanted.kind is Kind.ATTRIBUTE and wanted.key == "start_time":
                terms.append(_Term(_STARTED, wanted.ascending))
                continue
            if wanted.kind is Kind.METRIC:
                series = aliased(MetricSeriesRow)
                on = and_(series.run_id == RunRow.id, series.key == wanted.key)
                statement = statement.outerjoin(series, on)
                rank = case((series.last_value.is_not(None), 0), (series.run_id.is_not(None), 1), else_=2)
                column = func.coalesce(series.last_value, 0.0)
            elif wanted.kind is Kind.ATTRIBUTE:
                rank, column = _attribute(wanted.key)
            else:
                texts: Any = aliased(RunParamRow if wanted.kind is Kind.PARAM else RunTagRow)
                statement = statement.outerjoin(
                    texts, and_(texts.run_id == RunRow.id, texts.key == wanted.key)
                )
                rank = case((texts.value.is_(None), 1), else_=0)
                column = func.coalesce(texts.value, "")
            if isinstance(column.type, String) and not self._sqlite:
                column = column.collate("C")
            terms += [_Term(rank, True), _Term(column, wanted.ascending)]
        if not started:
            terms.append(_Term(_STARTED, False))
        return statement, [*terms, _Term(RunRow.uuid, True)]

    def _rows(
        self, statement: Select[Any], terms: list[_Term], count: int, after: list[Any] | None
    ) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._session.execute(self._sorted(statement, terms, count, after))]

    def _sorted(
        self, statement: Select[Any], terms: list[_Term], count: int, after: list[Any] | None
    ) -> Select[Any]:
        if after is not None:
            if len(after) != len(terms):
                raise InvalidSpec(
                    "the page token belongs to another search: start without one", field="cursor"
                )
            statement = statement.where(_beyond(terms, after))
        labelled = [term.column.label(f"t{at}") for at, term in enumerate(terms)]
        sorting = [t.column if t.ascending else t.column.desc() for t in terms if not t.constant]
        return statement.add_columns(*labelled).order_by(*sorting).limit(count)


def _attribute(key: str) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    always = literal(0)
    if key == "run_id":
        return always, type_coerce(RunRow.uuid, String)
    if key == "run_name":
        return always, type_coerce(RunRow.name, String)
    if key == "status":
        return always, type_coerce(RunRow.state, String)
    if key == "artifact_uri":  # a folder of the experiment, then of the run
        return type_coerce(RunRow.experiment_id, BigInteger), type_coerce(RunRow.uuid, String)
    if key == "user_id":
        name = select(UserRow.name).where(UserRow.id == RunRow.user_id).scalar_subquery()
        return always, func.coalesce(name, RunRow.user_id)
    ended = type_coerce(RunRow.ended_at, BigInteger)
    return case((ended.is_(None), 1), else_=0), func.coalesce(ended, 0)


def _beyond(terms: list[_Term], after: list[Any]) -> ColumnElement[bool]:
    """What comes later: greater in the first term, or equal in it and greater in the next, and so on.

    The first term alone is a condition too, so that an index on it starts at the right place.
    """
    varying = [(t, value) for t, value in zip(terms, after, strict=True) if not t.constant]
    ways: list[ColumnElement[bool]] = []
    for at, (term, value) in enumerate(varying):
        same = [t.column == v for t, v in varying[:at]]
        ways.append(and_(*same, term.column > value if term.ascending else term.column < value))
    lead, value = varying[0]
    return and_(lead.column >= value if lead.ascending else lead.column <= value, or_(*ways))


def _encode(shape: str, values: Sequence[Any]) -> str:
    kept = [["f", repr(v)] if isinstance(v, float) else v for v in values]
    return base64.urlsafe_b64encode(orjson.dumps([shape, kept])).decode()


def _decode(cursor: str | None, shape: str) -> list[Any] | None:
    if not cursor:
        return None
    try:
        made_for, kept = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        values = [float(v[1]) if isinstance(v, list) else v for v in kept]
    except (ValueError, TypeError, IndexError, binascii.Error) as error:
        raise InvalidSpec("the page token is not one that this server made", field="cursor") from error
    if made_for != shape or not all(isinstance(v, str | int | float) for v in values):
        raise InvalidSpec("the page token belongs to another order: start without one", field="cursor")
    return values
