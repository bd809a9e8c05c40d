"""Endpoints by name."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.tables.endpoints import EndpointRow
from nacre.errors import NotFound


def find_endpoint(session: Session, project_id: str, name: str, *, lock: bool = False) -> EndpointRow:
    """The project's endpoint of that name. Raises ``NotFound``."""
    statement = select(EndpointRow).where(EndpointRow.project_id == project_id, EndpointRow.name == name)
    row = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise NotFound(f"there is no endpoint {name!r} in this project: see 'nacre endpoint ls'")
    return row
