"""Looking for instances."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.tables.instances import InstanceRow
from nacre.schema.instances import InstanceState


def instance_named(session: Session, project_id: str, name: str) -> InstanceRow | None:
    """The project's instance of that name."""
    return session.scalars(
        select(InstanceRow).where(InstanceRow.project_id == project_id, InstanceRow.name == name)
    ).one_or_none()


def free_name(session: Session, project_id: str, stem: str) -> str:
    """``tensorboard-1``, or the first such name that is not taken."""
    prefix = f"{stem}-"
    mine = select(InstanceRow.name).where(InstanceRow.project_id == project_id)
    taken = set(session.scalars(mine.where(InstanceRow.name.startswith(prefix, autoescape=True))))
    return next(name for n in itertools.count(1) if (name := f"{prefix}{n}") not in taken)


def temporary_with(session: Session, project_id: str, user_id: str, runs: Sequence[str]) -> str | None:
    """The id of the user's temporary instance that shows just these runs, if one runs or is on its way."""
    mine = select(InstanceRow).where(
        InstanceRow.project_id == project_id,
        InstanceRow.user_id == user_id,
        InstanceRow.temporary,
        InstanceRow.state.in_((InstanceState.QUEUED, InstanceState.STARTING, InstanceState.RUNNING)),
    )
    return next((row.id for row in session.scalars(mine) if set(row.runs) == set(runs)), None)
