"""Datasets that are a model's answers for another dataset."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.db.tables.predictions import BatchRow

Made = tuple[BatchRow, str, ModelVersionRow]
"""Predictions, and the name and version of the model."""


def that_made(session: Session, project_id: str, data: Sequence[str]) -> Iterator[Made]:
    """The predictions that are these dataset versions (``name@3``)."""
    wanted = [ref.partition("@") for ref in data]
    pairs = [(name, int(number)) for name, _, number in wanted if number.isdecimal()]
    yield from _rows(session, project_id, tuple_(BatchRow.out, BatchRow.out_number).in_(pairs), len(pairs))


def made_of(session: Session, project_id: str, data: Collection[str], limit: int) -> Iterator[Made]:
    """The predictions for these dataset versions, newest first."""
    yield from _rows(session, project_id, BatchRow.data.in_(data), limit)


def made_by(session: Session, project_id: str, versions: Collection[str], limit: int) -> Iterator[Made]:
    """The predictions of these model versions (ids), newest first."""
    yield from _rows(session, project_id, BatchRow.version_id.in_(versions), limit)


def _rows(session: Session, project_id: str, where: ColumnElement[bool], limit: int) -> Iterator[Made]:
    statement = (
        select(BatchRow, ModelRow.name, ModelVersionRow)
        .join(ModelVersionRow, ModelVersionRow.id == BatchRow.version_id)
        .join(ModelRow, ModelRow.id == ModelVersionRow.model_id)
        .where(BatchRow.project_id == project_id, BatchRow.out_number.is_not(None), where)
        .order_by(BatchRow.id.desc())
        .limit(limit)
    )
    yield from ((row, model, version) for row, model, version in session.execute(statement))
