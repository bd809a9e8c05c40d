"""Brings records of a run in, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from nacre.db.raw import Raw
from nacre.errors import InvalidSpec, Unavailable
from nacre.schema.runs import TrackRecord
from nacre.services.track_core import Group, TrackBatch, storable

__all__ = ["RecordWriter", "batch_of", "storable"]


class RecordWriter:
    """Logs to one run (its uuid), in a session's transaction."""

    def __init__(self, session: Session, run: str) -> None:
        self._session = session
        self._run = run

    def write(self, records: Iterable[TrackRecord], batch: str | None = None) -> None:
        """Apply the records in their order: the last value of a param or tag stays.

        Raises:
            NotFound: the run is not there, or in the trash.
            InvalidSpec: one of the records cannot be stored; then none was.
        """
        self._session.flush()
        dbapi: Any = self._session.get_bind().dialect.loaded_dbapi
        try:
            self._apply(batch_of(self._run, None, records, batch))
        except (OverflowError, dbapi.DataError, dbapi.IntegrityError) as error:
            raise InvalidSpec(f"the database cannot store this: {error}") from error
        except dbapi.Error as error:
            raise Unavailable(f"the database cannot answer: {error}") from error

    def _apply(self, batch: TrackBatch) -> None:
        group = Group(Raw.of(self._session), [batch])
        group.read()
        outcome = group.decide()
        for error in outcome.errors:
            if error is not None:
                raise error
        group.write(outcome)


def batch_of(
    run: str, project_id: str | None, records: Iterable[TrackRecord], batch: str | None = None
) -> TrackBatch:
    """Records as the writer takes them."""
    metrics: list[tuple[str, int, int, float]] = []
    params: list[tuple[str, str]] = []
    tags: list[tuple[str, str]] = []
    for record in records:
        if record.type == "m":
            value = float("nan") if record.value is None else record.value
            metrics.append((record.key, record.step, record.time_ms, value))
        else:
            (params if record.type == "p" else tags).append((record.key, record.text or ""))
    return TrackBatch(run, project_id, metrics, params, tags, batch)
