"""Reading experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from sqlalchemy import BigInteger, ColumnElement, String, case, cast, exists, func, select, type_coerce
from sqlalchemy.orm import Session

from nacre.db.queries.run_conditions import number_matches, text_matches
from nacre.db.tables.runs import ExperimentRow, ExperimentTagRow, RunRow
from nacre.domain.run_filter import Comparison, Kind, Order
from nacre.errors import InvalidSpec
from nacre.schema.experiments import DEFAULT_EXPERIMENT

View: TypeAlias = Literal["active", "deleted", "all"]

_COLUMNS: dict[str, Any] = {
    "creation_time": type_coerce(ExperimentRow.created_at, BigInteger),
    "last_update_time": type_coerce(
        func.coalesce(ExperimentRow.updated_at, ExperimentRow.created_at), BigInteger
    ),
    "experiment_id": ExperimentRow.id,
}


def find_experiment(session: Session, project_id: str, reference: str) -> ExperimentRow | None:
    """An experiment by name, else by id, also one in the trash."""
    mine = select(ExperimentRow).where(ExperimentRow.project_id == project_id)
    if found := session.scalars(mine.where(ExperimentRow.name == reference)).first():
        return found
    return experiment_by_id(session, project_id, int(reference)) if _number(reference) else None


def experiment_by_id(session: Session, project_id: str, number: int) -> ExperimentRow | None:
    """An experiment of the project by its id, also one in the trash."""
    row = session.get(ExperimentRow, number) if number < 2**63 else None
    return row if row is not None and row.project_id == project_id else None


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


def search_experiments(
    session: Session,
    project_id: str,
    *,
    filter: Sequence[Comparison] = (),  # noqa: A002
    order: Sequence[Order] = (),
    view: View = "active",
    limit: int = 100,
    cursor: str | None = None,
    default_as: str | None = None,
) -> tuple[list[ExperimentRow], str | None]:
    """A page of experiments, the newest first unless ``order`` says otherwise, and the next one's cursor.

    ``default_as``: what the experiment ``default`` is called where names are compared and sorted.

    Raises:
        InvalidSpec: the cursor is not one of these, or the order names a tag.
    """
    skip = 0
    if cursor:
        if not _number(cursor):
            raise InvalidSpec("the page token is not one that this server made", field="cursor")
        skip = int(cursor)
    where: list[ColumnElement[bool]] = [ExperimentRow.project_id == project_id]
    if view != "all":
        gone = ExperimentRow.deleted_at
        where.append(gone.is_(None) if view == "active" else gone.is_not(None))
    names = _names(session, default_as)
    where += [_condition(comparison, session, names) for comparison in filter]
    sorting: list[Any] = []
    for wanted in order or (Order(Kind.ATTRIBUTE, "creation_time", False),):
        if wanted.kind is not Kind.ATTRIBUTE:
            raise InvalidSpec("experiments are sorted by attributes only, not by tags", field="order_by")
        column = names if wanted.key == "name" else _COLUMNS[wanted.key]
        sorting.append(column if wanted.ascending else column.desc())
    statement = select(ExperimentRow).where(*where).order_by(*sorting, ExperimentRow.id.desc())
    rows = list(session.scalars(statement.offset(skip).limit(limit + 1)))
    return rows[:limit], str(skip + limit) if len(rows) > limit else None


def _names(session: Session, default_as: str | None) -> Any:
    shown: Any = type_coerce(ExperimentRow.name, String)
    if default_as is not None:
        shown = case((ExperimentRow.name == DEFAULT_EXPERIMENT, default_as), else_=ExperimentRow.name)
    return shown if session.get_bind().dialect.name == "sqlite" else shown.collate("C")


def _condition(comparison: Comparison, session: Session, names: Any) -> ColumnElement[bool]:
    how, value = comparison.operator, comparison.value
    if comparison.kind is Kind.TAG:
        there = exists().where(
            ExperimentTagRow.experiment_id == ExperimentRow.id, ExperimentTagRow.key == comparison.key
        )
        if how in ("IS NULL", "IS NOT NULL"):
            return ~there if how == "IS NULL" else there
        return there.where(text_matches(ExperimentTagRow.value, how, value, session))
    if comparison.key == "experiment_id":
        return text_matches(cast(ExperimentRow.id, String), how, value, session)
    if comparison.key == "name":
        return text_matches(names, how, value, session)
    return number_matches(_COLUMNS[comparison.key], how, value)


def tags_of(session: Session, ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """Tags by experiment."""
    found: dict[int, dict[str, str]] = {number: {} for number in ids}
    rows = session.execute(
        select(ExperimentTagRow.experiment_id, ExperimentTagRow.key, ExperimentTagRow.value)
        .where(ExperimentTagRow.experiment_id.in_(ids))
        .order_by(ExperimentTagRow.key)
    )
    for number, key, value in rows:
        found[number][key] = value
    return found


def run_counts(session: Session, ids: Sequence[int]) -> dict[int, int]:
    """How many runs each experiment has, without those in the trash."""
    rows = session.execute(
        select(RunRow.experiment_id, func.count())
        .where(RunRow.experiment_id.in_(ids), RunRow.deleted_at.is_(None))
        .group_by(RunRow.experiment_id)
    )
    return {number: count for number, count in rows}  # noqa: C416 - rows are not pairs to dict()
