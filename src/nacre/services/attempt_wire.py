"""Attempts as clients see them."""

from __future__ import annotations

from typing import Any

from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.schema.jobs import Attempt, Replica
from nacre.services.replicas import CLOSED, ENDED


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
        replicas=[_replica(one) for one in row.replicas],
        **fields,
    )


def _replica(row: ReplicaRow) -> Replica:
    names = {*Replica.model_fields} - {"gpus"}
    fields: dict[str, Any] = {name: getattr(row, name) for name in names}
    return Replica(gpus={int(index): part for index, part in row.gpus.items()}, **fields)
