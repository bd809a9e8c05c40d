"""Attempts as clients see them."""

from __future__ import annotations

from typing import Any

from nacre.db.tables.attempts import AttemptRow
from nacre.schema.jobs import Attempt
from nacre.services.attempts import CLOSED, ENDED


def to_wire(row: AttemptRow) -> Attempt:
    """The attempt as clients see it."""
    fields: dict[str, Any] = {
        name: getattr(row, name)
        for name in ("id", "number", "reason", "message", "exit_code", "started_at", "ended_at")
    }
    return Attempt(
        created_at=row.allocated_at,
        state=ENDED if row.state == CLOSED else row.state,
        peak_memory=row.peak_memory,
        isolation=row.isolation,
        **fields,
    )
