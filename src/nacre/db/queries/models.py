"""Reads of models and versions that several services share."""

from __future__ import annotations

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import AliasRow, ModelRow, ModelVersionRow
from nacre.db.tables.runs import RunRow
from nacre.errors import NotFound
from nacre.schema.jobs import FINAL_STATES

_DIGITS = 9
"""The most digits of a version's number that a column holds."""


def find_model(session: Session, project_id: str, name: str) -> ModelRow:
    """The model of that name.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(
        select(ModelRow).where(ModelRow.project_id == project_id, ModelRow.name == name)
    ).scalar_one_or_none()
    if row is None:
        raise NotFound(f"there is no model {name!r} in this project: see 'nacre model ls'")
    return row


def find_version(
    session: Session, project_id: str, name: str, version: str, *, lock: bool = False
) -> tuple[ModelRow, ModelVersionRow]:
    """The version that a number, an alias or ``latest`` names. ``lock``: nobody else changes it meanwhile.

    Raises:
        NotFound: there is none; the sentence names those that exist.
    """
    model = find_model(session, project_id, name)
    statement = select(ModelVersionRow).where(ModelVersionRow.model_id == model.id)
    if version == "latest":
        statement = statement.order_by(ModelVersionRow.number.desc()).limit(1)
    elif version.isascii() and version.isdecimal():
        number = int(version) if len(version) <= _DIGITS else -1
        statement = statement.where(ModelVersionRow.number == number)
    else:
        alias = session.get(AliasRow, (model.id, version))
        statement = statement.where(ModelVersionRow.number == (alias.number if alias else -1))
    row = session.execute(statement.with_for_update() if lock else statement).scalar_one_or_none()
    if row is None:
        numbers = session.execute(
            select(ModelVersionRow.number)
            .where(ModelVersionRow.model_id == model.id)
            .order_by(ModelVersionRow.number)
        ).scalars()
        have = ", ".join(map(str, numbers)) or "none"
        raise NotFound(f"model {name} has no version or alias {version!r}: it has {have}")
    return model, row


def left_by(session: Session, job: JobRow) -> str | None:
    """The manifest of what a job wrote into its output folder; null when it wrote nothing."""
    return session.scalars(select(RunRow.artifacts).where(RunRow.uuid == job.run_id)).one_or_none()


def job_over() -> ColumnElement[bool]:
    """The outer-joined job has ended, well or badly, or was deleted: nothing more will come of it."""
    return or_(JobRow.id.is_(None), JobRow.state.in_([str(s) for s in FINAL_STATES]))
