"""Finding models and versions: by filters, by the ids of versions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.connect import Database
from nacre.db.queries.model_search import search_models, search_versions
from nacre.db.queries.models import find_model
from nacre.db.queries.pages import newest_first
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.domain.identity import Caller
from nacre.domain.run_filter import Comparison, Order
from nacre.errors import NotFound
from nacre.schema.base import Page
from nacre.schema.launch import FileEntry
from nacre.schema.models import Model, ModelVersion
from nacre.services.blobs import BlobLedger
from nacre.services.model_wire import model_wire, version_wire


class ModelCatalogue:
    """Part of ``Models``; only reads."""

    def __init__(self, db: Database, ledger: BlobLedger) -> None:
        self._db = db
        self._ledger = ledger

    def get_by_id(self, caller: Caller, version_id: str) -> ModelVersion:
        """A version by its id.

        Raises:
            NotFound: the project has no such version.
        """
        with self._db.read() as session:
            return version_wire(session, *_by_id(session, caller, version_id))

    def versions(
        self, caller: Caller, model: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[ModelVersion]:
        """A model's versions with their evaluations, newest first.

        Raises:
            NotFound: there is no such model.
        """
        with self._db.read() as session:
            row = find_model(session, caller.project_id, model)
            statement = select(ModelVersionRow).where(ModelVersionRow.model_id == row.id)
            return newest_first(
                session,
                statement,
                ModelVersionRow.id,
                lambda found: version_wire(session, row, found[0]),
                cursor=cursor,
                limit=limit,
            )

    def has_stages(self, caller: Caller, model: str) -> bool:
        """Whether a version has a stage, as MLflow's older clients set them."""
        with self._db.read() as session:
            row = find_model(session, caller.project_id, model)
            staged = ModelVersionRow.model_id == row.id, ModelVersionRow.stage != "None"
            return session.scalar(select(ModelVersionRow.id).where(*staged).limit(1)) is not None

    def files_of(self, caller: Caller, version_id: str) -> list[FileEntry]:
        """The files of a version by its id.

        Raises:
            NotFound: the project has no such version.
        """
        with self._db.read() as session:
            _, found = _by_id(session, caller, version_id)
        return self._ledger.read_manifest(found.manifest).files

    def search(
        self,
        caller: Caller,
        *,
        filter_: Sequence[Comparison] = (),
        order: Sequence[Order] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[list[Model], int | None]:
        """A page of models that fulfil every comparison, and the offset of the next one."""
        with self._db.read() as session:
            rows = search_models(
                session, caller.project_id, filter_=filter_, order=order, limit=limit + 1, offset=offset
            )
            found = [model_wire(session, row) for row in rows[:limit]]
        return found, offset + limit if len(rows) > limit else None

    def search_versions(
        self,
        caller: Caller,
        *,
        filter_: Sequence[Comparison] = (),
        order: Sequence[Order] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[list[ModelVersion], int | None]:
        """A page of versions that fulfil every comparison, and the offset of the next one."""
        with self._db.read() as session:
            rows = search_versions(
                session, caller.project_id, filter_=filter_, order=order, limit=limit + 1, offset=offset
            )
            found = [version_wire(session, *row) for row in rows[:limit]]
        return found, offset + limit if len(rows) > limit else None


def _by_id(session: Session, caller: Caller, version_id: str) -> tuple[ModelRow, ModelVersionRow]:
    found = session.get(ModelVersionRow, version_id)
    model = session.get_one(ModelRow, found.model_id) if found else None
    if found is None or model is None or model.project_id != caller.project_id:
        raise NotFound(f"there is no model version {version_id!r} in this project")
    return model, found
