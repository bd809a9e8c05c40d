"""Slices of long lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from nacre.schema.base import Page

T = TypeVar("T")


def newest_first(
    session: Session,
    statement: Select[*tuple[Any, ...]],
    key: InstrumentedAttribute[str] | ColumnElement[str],
    build: Callable[[Row[*tuple[Any, ...]]], T],
    *,
    cursor: str | None,
    limit: int,
) -> Page[T]:
    """A page of what ``statement`` selects, in falling order of ``key`` (an identifier: newest first).

    ``cursor``: the key of the last item of the page before; null starts at the newest.
    """
    if cursor is not None:
        statement = statement.where(key < cursor)
    wanted = statement.add_columns(key.label("page_key")).order_by(key.desc()).limit(limit + 1)
    rows = session.execute(wanted).all()
    shown = rows[:limit]
    following = str(shown[-1].page_key) if len(rows) > limit else None
    return Page(items=[build(row) for row in shown], next=following)
