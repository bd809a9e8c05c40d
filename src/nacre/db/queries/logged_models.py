"""Reading and searching logged models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    String,
    and_,
    cast,
    exists,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.orm import Session

from nacre.db.queries.run_conditions import number_matches, text_matches
from nacre.db.tables.logged_models import LoggedModelMetricRow, LoggedModelRow, LoggedModelTextRow
from nacre.db.tables.runs import ExperimentRow
from nacre.domain.run_filter import Comparison, Grammar, Kind, Order
from nacre.schema.logged_models import LoggedModel, LoggedModelState, ModelMetric

GRAMMAR = Grammar(
    kinds=frozenset({Kind.METRIC, Kind.PARAM, Kind.TAG, Kind.ATTRIBUTE}),
    texts=frozenset({"name", "model_id", "model_type", "status", "source_run_id", "experiment_id"}),
    numbers=frozenset({"creation_timestamp_ms", "last_updated_timestamp_ms"}),
    listed=frozenset({"name", "model_id", "model_type", "status", "source_run_id", "experiment_id"}),
    aliases={
        "creation_time": "creation_timestamp_ms",
        "creation_timestamp": "creation_timestamp_ms",
        "last_updated_timestamp": "last_updated_timestamp_ms",
    },
)

Dataset = tuple[str, str | None]
"""Name and digest of a data set; a null digest is any."""

_TEXTS: dict[str, Any] = {
    "name": LoggedModelRow.name,
    "model_id": LoggedModelRow.id,
    "model_type": LoggedModelRow.kind,
    "status": func.upper(LoggedModelRow.state),
    "source_run_id": LoggedModelRow.run_uuid,
    "experiment_id": cast(LoggedModelRow.experiment_id, String),
}
_TIMES: dict[str, Any] = {
    "creation_timestamp_ms": type_coerce(LoggedModelRow.created_at, BigInteger),
    "last_updated_timestamp_ms": type_coerce(LoggedModelRow.updated_at, BigInteger),
}
_NAN = float("nan")


def search_logged_models(
    session: Session,
    project_id: str,
    *,
    experiments: Sequence[int],
    filter_: Sequence[Comparison],
    order: Sequence[tuple[Order, Dataset | None]],
    datasets: Sequence[Dataset],
    limit: int,
    offset: int,
) -> list[LoggedModelRow]:
    """Those of the experiments that fulfil every comparison, the newest first unless ordered otherwise.

    Comparisons of metrics look at values measured on one of ``datasets``, where there are some.
    """
    statement = select(LoggedModelRow).where(
        LoggedModelRow.project_id == project_id,
        LoggedModelRow.deleted_at.is_(None),
        LoggedModelRow.experiment_id.in_(experiments),
    )
    if datasets and not any(comparison.kind is Kind.METRIC for comparison in filter_):
        measured = exists().where(LoggedModelMetricRow.model_id == LoggedModelRow.id, _on(datasets))
        statement = statement.where(measured)
    for comparison in filter_:
        statement = statement.where(_condition(comparison, datasets, session))
    for term, dataset in order:
        column = _column(term, dataset)
        statement = statement.order_by((column.asc() if term.ascending else column.desc()).nulls_last())
    statement = statement.order_by(LoggedModelRow.created_at.desc(), LoggedModelRow.id)
    return list(session.scalars(statement.limit(limit).offset(offset)))


def describe_logged_models(session: Session, rows: Sequence[LoggedModelRow]) -> list[LoggedModel]:
    """The rows with params, tags and metrics, in four queries."""
    ids = [row.id for row in rows]
    texts: dict[tuple[str, str], dict[str, str]] = {}
    wanted = select(LoggedModelTextRow).where(LoggedModelTextRow.model_id.in_(ids))
    for text in session.scalars(wanted.order_by(LoggedModelTextRow.key)):
        texts.setdefault((text.model_id, text.kind), {})[text.key] = text.value
    metrics: dict[str, list[ModelMetric]] = {}
    measured = select(LoggedModelMetricRow).where(LoggedModelMetricRow.model_id.in_(ids))
    for row in session.scalars(measured.order_by(LoggedModelMetricRow.key, LoggedModelMetricRow.ts)):
        metrics.setdefault(row.model_id, []).append(
            ModelMetric(
                model=row.model_id,
                run=row.run_uuid,
                key=row.key,
                value=_NAN if row.value is None else row.value,
                step=row.step,
                time_ms=row.ts,
                dataset_name=row.dataset_name,
                dataset_digest=row.dataset_digest,
            )
        )
    names: dict[int, str] = {}
    numbers = {row.experiment_id for row in rows}
    for number, name in session.execute(
        select(ExperimentRow.id, ExperimentRow.name).where(ExperimentRow.id.in_(numbers))
    ):
        names[number] = name
    return [
        LoggedModel(
            id=row.id,
            created_at=row.created_at,
            updated_at=row.updated_at,
            experiment_id=row.experiment_id,
            experiment=names.get(row.experiment_id, ""),
            name=row.name,
            kind=row.kind,
            state=LoggedModelState(row.state),
            message=row.message,
            run=row.run_uuid,
            params=texts.get((row.id, "p"), {}),
            tags=texts.get((row.id, "t"), {}),
            metrics=metrics.get(row.id, []),
        )
        for row in rows
    ]


def _condition(
    comparison: Comparison, datasets: Sequence[Dataset], session: Session
) -> ColumnElement[bool]:
    kind, key, how, value = comparison.kind, comparison.key, comparison.operator, comparison.value
    if kind is Kind.METRIC:
        return exists().where(
            LoggedModelMetricRow.model_id == LoggedModelRow.id,
            LoggedModelMetricRow.key == key,
            number_matches(type_coerce(LoggedModelMetricRow.value, Double), how, value),
            *([_on(datasets)] if datasets else []),
        )
    if kind is Kind.ATTRIBUTE:
        if key in _TIMES:
            return number_matches(_TIMES[key], how, value)
        return text_matches(_TEXTS[key], how, value, session)
    there = exists().where(
        LoggedModelTextRow.model_id == LoggedModelRow.id,
        LoggedModelTextRow.kind == ("p" if kind is Kind.PARAM else "t"),
        LoggedModelTextRow.key == key,
    )
    if how in ("IS NULL", "IS NOT NULL"):
        return ~there if how == "IS NULL" else there
    return there.where(text_matches(LoggedModelTextRow.value, how, value, session))


def _on(datasets: Sequence[Dataset]) -> ColumnElement[bool]:
    """The value was measured on one of these data sets."""
    name, digest = LoggedModelMetricRow.dataset_name, LoggedModelMetricRow.dataset_digest
    return or_(*(and_(name == wanted, *([digest == exact] if exact else [])) for wanted, exact in datasets))


def _column(term: Order, dataset: Dataset | None) -> ColumnElement[Any]:
    """What an order compares: of a metric the latest value."""
    if term.kind is Kind.METRIC:
        statement = select(LoggedModelMetricRow.value).where(
            LoggedModelMetricRow.model_id == LoggedModelRow.id, LoggedModelMetricRow.key == term.key
        )
        if dataset is not None:
            statement = statement.where(_on([dataset]))
        latest = statement.order_by(LoggedModelMetricRow.ts.desc(), LoggedModelMetricRow.step.desc())
        return latest.limit(1).scalar_subquery()
    if term.kind is Kind.ATTRIBUTE:
        column: ColumnElement[Any] = _TIMES[term.key] if term.key in _TIMES else _TEXTS[term.key]
        return column
    text = select(LoggedModelTextRow.value).where(
        LoggedModelTextRow.model_id == LoggedModelRow.id,
        LoggedModelTextRow.kind == ("p" if term.kind is Kind.PARAM else "t"),
        LoggedModelTextRow.key == term.key,
    )
    return text.scalar_subquery()
