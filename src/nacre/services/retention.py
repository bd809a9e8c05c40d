"""What lies in the trash of tracking for long is removed for good, and its space given back to the disk.

Everything goes in small transactions, so that nobody who logs waits for it. A run that is being removed
loses its id first, so that none is restored without its points; what a killed server left half done, the
next pass finds again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from nacre.clock import Clock, from_epoch_ms
from nacre.db.connect import Database
from nacre.db.raw import Raw
from nacre.db.tables.logged_models import LoggedModelRow, RunModelRow
from nacre.db.tables.runs import ExperimentRow, MetricSeriesRow, RunRow
from nacre.ids import new_run_id
from nacre.services.artifacts import Artifacts
from nacre.services.settings import ServerSettings
from nacre.services.signals import Signals

_CHUNK = 500
_STEP_PAGES = 256
_SPARE_PAGES = 1024
_HALF_GONE = from_epoch_ms(0)
"""``deleted_at`` of a run whose removal has begun."""

_BLOCKS = (
    "DELETE FROM metric_blocks WHERE series_id = ? AND level = ? AND number < "
    "(SELECT min(number) FROM metric_blocks WHERE series_id = ? AND level = ?) + ?"
)
_LEVELS = "SELECT DISTINCT level FROM metric_blocks WHERE series_id = ?"
_POINTS = (
    "DELETE FROM metric_points WHERE series_id = ? AND (step, ts, seq) <= "
    "(SELECT step, ts, seq FROM metric_points WHERE series_id = ? ORDER BY step, ts, seq LIMIT 1 OFFSET ?)"
)
_REST = "DELETE FROM metric_points WHERE series_id = ?"


class Retention:
    """Empties the trash. The only one that removes runs and experiments in bulk."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        artifacts: Artifacts,
        settings: ServerSettings,
        signals: Signals,
    ) -> None:
        self._db = db
        self._clock = clock
        self._artifacts = artifacts
        self._settings = settings
        self._signals = signals

    def empty(self) -> int:
        """Remove what has lain in the trash longer than the setting ``trash_days``; how many things."""
        cutoff = self._clock.now() - timedelta(days=self._settings.get().trash_days)
        removed = 0
        while True:
            with self._db.read() as session:
                due = select(RunRow.uuid).where(RunRow.deleted_at.isnot(None), RunRow.deleted_at <= cutoff)
                runs = list(session.scalars(due.limit(_CHUNK)))
            if not runs:
                break
            removed += sum(self._remove_run(uuid) for uuid in runs)
        with self._db.read() as session:
            gone = LoggedModelRow.deleted_at
            models = list(
                session.scalars(select(LoggedModelRow.id).where(gone.isnot(None), gone <= cutoff))
            )
            due_experiments = select(ExperimentRow.id).where(
                ExperimentRow.deleted_at.isnot(None), ExperimentRow.deleted_at <= cutoff
            )
            experiments = list(session.scalars(due_experiments))
        self._remove_models(models)
        removed += len(models) + sum(self._remove_experiment(number) for number in experiments)
        return removed

    def purge(self, project_id: str, runs: Sequence[str]) -> int:
        """Remove those of these runs (ids) that are in the project's trash, now; how many they were."""
        removed = 0
        for at in range(0, len(runs), _CHUNK):
            with self._db.read() as session:
                mine = list(
                    session.scalars(
                        select(RunRow.uuid).where(
                            RunRow.project_id == project_id,
                            RunRow.uuid.in_(runs[at : at + _CHUNK]),
                            RunRow.deleted_at.isnot(None),
                        )
                    )
                )
            removed += sum(self._remove_run(uuid) for uuid in mine)
        if removed:
            self.give_back(spare=0)
        return removed

    def give_back(self, spare: int = _SPARE_PAGES) -> int:
        """SQLite: return free pages beyond ``spare`` to the disk, a megabyte at a time; how many they were.

        A database that an older Nacre made keeps its size, and uses its free pages for new rows.
        PostgreSQL does this by itself (autovacuum).
        """
        if not self._db.sqlite:
            return 0
        connection = self._db.own_connection()
        try:
            if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
                return 0
            returned = 0
            while (free := _free(connection)) > spare:
                with self._db.exclusive():
                    step = min(_STEP_PAGES, free - spare)
                    connection.execute(f"PRAGMA incremental_vacuum({step})").fetchall()
                now = _free(connection)
                if now >= free:
                    break
                returned += free - now
            if returned:
                with self._db.exclusive():
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            return returned
        finally:
            connection.close()

    # Inside

    def _remove_run(self, uuid: str) -> int:
        with self._db.read() as session:
            saved = select(LoggedModelRow.id).where(LoggedModelRow.run_uuid == uuid)
            models = list(session.scalars(saved))
        self._remove_models(models)
        with self._db.write() as session:
            row = session.scalars(
                select(RunRow).where(RunRow.uuid == uuid, RunRow.deleted_at.isnot(None)).with_for_update()
            ).first()
            if row is None:
                return 0  # restored meanwhile, or removed by another server
            self._artifacts.remove(session, uuid)
            row.uuid, row.deleted_at = new_run_id(), _HALF_GONE
            row.job_id = row.job_name = None
            number = row.id
        self._signals.notify(f"run:{uuid}")
        self._remove_points(number)
        with self._db.write() as session:
            session.execute(delete(RunRow).where(RunRow.id == number))
        return 1

    def _remove_points(self, run_id: int) -> None:
        with self._db.read() as session:
            query = select(MetricSeriesRow.id, MetricSeriesRow.n).where(MetricSeriesRow.run_id == run_id)
            series = [(number, count) for number, count in session.execute(query)]
        for number, count in series:
            if count < _CHUNK:
                continue  # few rows: they go with the run
            with self._db.read() as session:
                levels = [row[0] for row in Raw.of(session).rows(_LEVELS, (number,))]
            for level in levels:
                while self._deleted(_BLOCKS, (number, level, number, level, _CHUNK)):
                    pass
            while self._deleted(_POINTS, (number, number, _CHUNK)):
                pass
            self._deleted(_REST, (number,))

    def _deleted(self, statement: str, parameters: Sequence[Any]) -> int:
        with self._db.write() as session:
            return int(Raw.of(session).ask(statement, parameters).rowcount)

    def _remove_models(self, models: Sequence[str]) -> None:
        for model in models:
            with self._db.write() as session:
                self._artifacts.remove(session, model)
                session.execute(delete(RunModelRow).where(RunModelRow.model_id == model))
                session.execute(delete(LoggedModelRow).where(LoggedModelRow.id == model))

    def _remove_experiment(self, number: int) -> int:
        """Its runs have gone before; those that came since keep it."""
        with self._db.read() as session:
            saved = select(LoggedModelRow.id).where(LoggedModelRow.experiment_id == number)
            models = list(session.scalars(saved))
            runs = select(RunRow.id).where(RunRow.experiment_id == number).limit(1)
            if session.scalars(runs).first() is not None:
                return 0
        self._remove_models(models)
        with self._db.write() as session:
            row = session.scalars(
                select(ExperimentRow)
                .where(ExperimentRow.id == number, ExperimentRow.deleted_at.isnot(None))
                .with_for_update()
            ).first()
            if row is None or session.scalars(runs).first() is not None:
                return 0
            session.delete(row)
        return 1


def _free(connection: Any) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])
