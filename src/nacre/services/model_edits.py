"""What may change of models and versions: names, descriptions, tags, stages."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.models import find_model, find_version
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.models import ModelRow, ModelTagRow
from nacre.domain.identity import Caller
from nacre.domain.models import check_model
from nacre.errors import Conflict
from nacre.ids import new_id
from nacre.schema.models import Model, ModelCreate, ModelUpdate, ModelVersion, VersionUpdate
from nacre.services.events import Events
from nacre.services.model_wire import model_wire, version_wire
from nacre.services.signals import Signals

MODEL = 0
"""Where a version's number stands, for the tags of the model itself."""


class ModelEdits:
    """Part of ``Models``. Topic after commits: ``models``."""

    def __init__(self, db: Database, clock: Clock, signals: Signals, events: Events) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._events = events

    def create(self, caller: Caller, request: ModelCreate) -> Model:
        """A model without versions.

        Raises:
            InvalidSpec: a name that is none.
            Conflict: there is one of that name.
        """
        check_model(request.name)
        with self._db.write() as session:
            now = self._clock.now()
            row = {
                "id": new_id("mdl"),
                "project_id": caller.project_id,
                "name": request.name,
                "description": request.description,
                "last_number": 0,
                "created_at": now,
                "updated_at": now,
            }
            session.execute(insert_into(self._db, ModelRow).on_conflict_do_nothing(), [row])
            found = find_model(session, caller.project_id, request.name)
            if found.id != row["id"]:
                raise Conflict(
                    f"there is a model {request.name!r} already: see 'nacre model show'", model=request.name
                )
            self.tag(session, found.id, MODEL, request.tags)
            self._events.add(session, caller.project_id, caller.user_id, "models.create", found.id)
            answer = model_wire(session, found)
        self._signals.notify("models")
        return answer

    def update(self, caller: Caller, model: str, change: ModelUpdate) -> Model:
        """Rename, describe or tag a model.

        Raises:
            Conflict: there is one of the new name.
        """
        with self._db.write() as session:
            row = find_model(session, caller.project_id, model)
            if change.name is not None and change.name != row.name:
                check_model(change.name)
                taken = select(ModelRow.id).where(
                    ModelRow.project_id == caller.project_id, ModelRow.name == change.name
                )
                if session.scalar(taken) is not None:
                    raise Conflict(f"there is a model {change.name!r} already", model=change.name)
                row.name = change.name
            if change.description is not None:
                row.description = change.description
            self.tag(session, row.id, MODEL, change.tags)
            row.updated_at = self._clock.now()
            self._events.add(session, caller.project_id, caller.user_id, "models.update", row.id)
            session.flush()
            answer = model_wire(session, row)
        self._signals.notify("models")
        return answer

    def update_version(
        self,
        caller: Caller,
        model: str,
        version: str,
        change: VersionUpdate,
    ) -> ModelVersion:
        """Describe or tag a version, or give it a stage."""
        with self._db.write() as session:
            row, found = find_version(session, caller.project_id, model, version, lock=True)
            if change.description is not None:
                found.description = change.description
            if change.stage is not None:
                found.stage = change.stage
            self.tag(session, row.id, found.number, change.tags)
            found.updated_at = row.updated_at = self._clock.now()
            session.flush()
            answer = version_wire(session, row, found)
        self._signals.notify("models")
        return answer

    def tag(self, session: Session, model_id: str, number: int, tags: Mapping[str, str | None]) -> None:
        """Set tags of a version (0: of the model); one that is null goes."""
        gone = [key for key, value in tags.items() if value is None]
        if gone:
            mine = (ModelTagRow.model_id == model_id, ModelTagRow.number == number)
            session.execute(delete(ModelTagRow).where(*mine, ModelTagRow.key.in_(gone)))
        rows = [
            {"model_id": model_id, "number": number, "key": key, "value": value.replace("\0", "�")}
            for key, value in tags.items()
            if value is not None
        ]
        if rows:
            statement = insert_into(self._db, ModelTagRow)
            statement = statement.on_conflict_do_update(
                index_elements=["model_id", "number", "key"], set_={"value": statement.excluded.value}
            )
            session.execute(statement, rows)
