"""Comparisons of a run filter as conditions of SQL, on both databases."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from nacre.db.tables.runs import (
    ExperimentRow,
    MetricSeriesRow,
    RunInputRow,
    RunParamRow,
    RunRow,
    RunTagRow,
)
from nacre.db.tables.users import UserRow
from nacre.domain.run_filter import Comparison, Kind, Value

RUN_NAME_TAG = "mlflow.runName"
"""MLflow's tag for what is a run's name here."""
CONTEXT_TAG = "mlflow.data.context"

_SQL: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def condition(comparison: Comparison, session: Session) -> ColumnElement[bool]:
    """What the rows of ``runs`` have to fulfil. What a run lacks fulfils nothing but ``IS NULL``."""
    kind, key = comparison.kind, comparison.key
    if kind is Kind.TAG and key == RUN_NAME_TAG:
        kind, key = Kind.ATTRIBUTE, "run_name"
    if kind is Kind.METRIC:
        return exists().where(MetricSeriesRow.run_id == RunRow.id, _metric(comparison))
    if kind is Kind.ATTRIBUTE:
        return _attribute(key, comparison, session)
    if kind is Kind.DATASET:
        return exists().where(RunInputRow.run_id == RunRow.id, _dataset(comparison, session))
    table: Any = RunParamRow if kind is Kind.PARAM else RunTagRow
    there = exists().where(table.run_id == RunRow.id, table.key == key)
    if comparison.operator == "IS NULL":
        return ~there
    if comparison.operator == "IS NOT NULL":
        return there
    return there.where(text_matches(table.value, comparison.operator, comparison.value, session))


def probe(comparison: Comparison) -> Select[Any] | None:
    """The numbers of the runs that fulfil a comparison, where an index finds them; else null."""
    if comparison.kind is Kind.METRIC and comparison.operator != "!=":
        return select(MetricSeriesRow.run_id).where(_metric(comparison))
    if comparison.operator != "=" or not isinstance(comparison.value, str):
        return None
    if comparison.kind in (Kind.PARAM, Kind.TAG) and comparison.key != RUN_NAME_TAG:
        table: Any = RunParamRow if comparison.kind is Kind.PARAM else RunTagRow
        start = func.substr(table.value, literal_number(1), literal_number(64))
        rest = func.substr(table.value, 65)  # with "value = ?" SQLite would not take the index on substr()
        return select(table.run_id).where(
            table.key == comparison.key, start == comparison.value[:64], rest == comparison.value[64:]
        )
    if comparison.kind is Kind.ATTRIBUTE and comparison.key == "run_id":
        return select(RunRow.id).where(RunRow.uuid == comparison.value)
    return None


def literal_number(number: int) -> ColumnElement[int]:
    """The number as it is written in an index on an expression; a parameter would not match it."""
    return literal(number, literal_execute=True)


def text_matches(
    column: ColumnElement[Any] | InstrumentedAttribute[str], how: str, value: Value, session: Session
) -> ColumnElement[bool]:
    """A text against a value: ``LIKE`` tells cases apart on SQLite too, ``ILIKE`` does not."""
    if how in ("IN", "NOT IN"):
        assert isinstance(value, tuple)
        return column.in_(value) if how == "IN" else column.not_in(value)
    if how == "ILIKE":
        return column.ilike(str(value))
    if how == "LIKE":
        if session.get_bind().dialect.name == "sqlite":
            return column.op("GLOB", is_comparison=True)(_glob(str(value)))
        return column.like(str(value))
    found: ColumnElement[bool] = _SQL[how](column, value)
    return found


def number_matches(column: ColumnElement[Any], how: str, value: Value) -> ColumnElement[bool]:
    """A number against a value."""
    found: ColumnElement[bool] = _SQL[how](column, value)
    return found


def _glob(pattern: str) -> str:
    odd = {"*": "[*]", "?": "[?]", "[": "[[]", "%": "*", "_": "?"}
    return "".join(odd.get(sign, sign) for sign in pattern)


def _metric(comparison: Comparison) -> ColumnElement[bool]:
    value = float(str(comparison.value))
    compared = _SQL[comparison.operator](MetricSeriesRow.last_value, value)
    if comparison.operator == "!=":  # NaN differs from every number
        compared = or_(compared, MetricSeriesRow.last_value.is_(None))
    return and_(MetricSeriesRow.key == comparison.key, compared)


def _attribute(key: str, comparison: Comparison, session: Session) -> ColumnElement[bool]:
    how, value = comparison.operator, comparison.value
    if key in ("start_time", "end_time"):
        column = type_coerce(RunRow.started_at if key == "start_time" else RunRow.ended_at, BigInteger)
        return number_matches(column, how, value)
    if key == "status":
        value = tuple(v.lower() for v in value) if isinstance(value, tuple) else str(value).lower()
        return text_matches(type_coerce(RunRow.state, String), how, value, session)
    if key == "user_id":
        name = select(UserRow.name).where(UserRow.id == RunRow.user_id).scalar_subquery()
        return text_matches(func.coalesce(name, RunRow.user_id), how, value, session)
    if key == "artifact_uri":
        return text_matches(_artifact_uri(), how, value, session)
    column_of = {"run_id": RunRow.uuid, "run_name": RunRow.name}
    return text_matches(type_coerce(column_of[key], String), how, value, session)


def _artifact_uri() -> ColumnElement[str]:
    own = select(ExperimentRow.name).where(ExperimentRow.id == RunRow.experiment_id).scalar_subquery()
    number = case((own == "default", "0"), else_=cast(RunRow.experiment_id, String))
    return literal("mlflow-artifacts:/") + number + "/" + RunRow.uuid + "/artifacts"


def _dataset(comparison: Comparison, session: Session) -> ColumnElement[bool]:
    column: ColumnElement[Any]
    if comparison.key == "context":
        column = RunInputRow.tags[CONTEXT_TAG].as_string()
    else:
        column = type_coerce(getattr(RunInputRow, comparison.key), String)
    return text_matches(column, comparison.operator, comparison.value, session)
