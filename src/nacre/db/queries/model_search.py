"""Searching models and versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, String, exists, func, select, type_coerce
from sqlalchemy.orm import Session

from nacre.db.queries.run_conditions import number_matches, text_matches
from nacre.db.tables.models import ModelRow, ModelTagRow, ModelVersionRow
from nacre.domain.run_filter import Comparison, Grammar, Kind, Order

MODELS = Grammar(
    kinds=frozenset({Kind.TAG, Kind.ATTRIBUTE}),
    texts=frozenset({"name"}),
    numbers=frozenset({"creation_timestamp", "last_updated_timestamp"}),
    listed=frozenset({"name"}),
)
VERSIONS = Grammar(
    kinds=frozenset({Kind.TAG, Kind.ATTRIBUTE}),
    texts=frozenset({"name", "run_id", "source_path"}),
    numbers=frozenset({"version_number", "creation_timestamp", "last_updated_timestamp"}),
    listed=frozenset({"name", "run_id"}),
)

_MODEL_COLUMNS: dict[str, Any] = {
    "name": ModelRow.name,
    "creation_timestamp": type_coerce(ModelRow.created_at, BigInteger),
    "last_updated_timestamp": type_coerce(
        func.coalesce(ModelRow.updated_at, ModelRow.created_at), BigInteger
    ),
}
_VERSION_COLUMNS: dict[str, Any] = {
    "name": ModelRow.name,
    "run_id": type_coerce(ModelVersionRow.lineage["run"].as_string(), String),
    "source_path": ModelVersionRow.source,
    "version_number": ModelVersionRow.number,
    "creation_timestamp": type_coerce(ModelVersionRow.created_at, BigInteger),
    "last_updated_timestamp": type_coerce(
        func.coalesce(ModelVersionRow.updated_at, ModelVersionRow.created_at), BigInteger
    ),
}


def search_models(
    session: Session,
    project_id: str,
    *,
    filter_: Sequence[Comparison],
    order: Sequence[Order],
    limit: int,
    offset: int,
) -> list[ModelRow]:
    """The project's models, by name unless ordered otherwise."""
    statement = select(ModelRow).where(ModelRow.project_id == project_id)
    for comparison in filter_:
        statement = statement.where(_condition(comparison, _MODEL_COLUMNS, 0, session))
    for term in order:
        column = _MODEL_COLUMNS[term.key]
        statement = statement.order_by(column.asc() if term.ascending else column.desc())
    return list(session.scalars(statement.order_by(ModelRow.name).limit(limit).offset(offset)))


def search_versions(
    session: Session,
    project_id: str,
    *,
    filter_: Sequence[Comparison],
    order: Sequence[Order],
    limit: int,
    offset: int,
) -> list[tuple[ModelRow, ModelVersionRow]]:
    """The project's versions; those that changed last come first unless ordered otherwise."""
    statement = (
        select(ModelRow, ModelVersionRow)
        .join(ModelVersionRow, ModelVersionRow.model_id == ModelRow.id)
        .where(ModelRow.project_id == project_id)
    )
    for comparison in filter_:
        statement = statement.where(
            _condition(comparison, _VERSION_COLUMNS, ModelVersionRow.number, session)
        )
    for term in order:
        column = _VERSION_COLUMNS[term.key]
        statement = statement.order_by(column.asc() if term.ascending else column.desc())
    if not order:
        statement = statement.order_by(_VERSION_COLUMNS["last_updated_timestamp"].desc())
    statement = statement.order_by(ModelRow.name, ModelVersionRow.number.desc())
    return [(model, version) for model, version in session.execute(statement.limit(limit).offset(offset))]


def _condition(
    comparison: Comparison, columns: dict[str, Any], number: Any, session: Session
) -> ColumnElement[bool]:
    how, value = comparison.operator, comparison.value
    if comparison.kind is Kind.TAG:
        there = exists().where(
            ModelTagRow.model_id == ModelRow.id,
            ModelTagRow.number == number,
            ModelTagRow.key == comparison.key,
        )
        if how == "IS NULL":
            return ~there
        if how == "IS NOT NULL":
            return there
        if how == "!=":  # what has no such tag differs too, as in MLflow
            return ~there.where(ModelTagRow.value == value)
        return there.where(text_matches(type_coerce(ModelTagRow.value, String), how, value, session))
    column = columns[comparison.key]
    if isinstance(value, int | float):
        return number_matches(column, how, value)
    return text_matches(column, how, value, session)
