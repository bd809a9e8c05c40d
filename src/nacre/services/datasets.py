"""Datasets and their immutable versions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.data import BlobReferenceRow, DatasetRow, DatasetVersionRow
from nacre.domain.identity import Caller
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.data import Dataset, DatasetFiles, DatasetVersion, VersionCreate, VersionCreated
from nacre.schema.launch import Manifest
from nacre.services.blobs import BlobLedger
from nacre.services.events import Events

_REFERENCE = "dataset_version"
_HOLD = "data:"
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
MAX_NOTE = 4096


class Datasets:
    """Operations of ``data``."""

    def __init__(self, db: Database, clock: Clock, ledger: BlobLedger, events: Events) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._events = events

    def create(self, caller: Caller, name: str, request: VersionCreate) -> VersionCreated:
        """Make the next version, unless the manifest is that of the latest one: then that one is meant.

        Raises:
            InvalidSpec: the name or the manifest is not valid, is empty, or its bytes are not there.
        """
        if not _NAME.fullmatch(name):
            raise InvalidSpec(
                f"{name!r} is not a name: use 1 to 64 lower-case letters, digits, '-', '_' and '.', "
                "starting and ending with a letter or digit"
            )
        _check_note(request.note)
        manifest = self._ledger.take_manifest(caller.project_id, request.manifest)
        if not manifest.files:
            raise InvalidSpec("the dataset has no files: push a folder that has some")
        with self._db.write() as session:
            row = self._row_for_update(session, caller.project_id, name)
            latest = self._latest(session, row.id)
            if latest is not None and latest.manifest == request.manifest:
                return VersionCreated(**_version(name, latest).model_dump(), created=False)
            version = self._add_version(session, caller, row, request, manifest)
            return VersionCreated(**_version(name, version).model_dump(), created=True)

    def _row_for_update(self, session: Session, project_id: str, name: str) -> DatasetRow:
        now = self._clock.now()
        row = {
            "id": new_id("dst"),
            "project_id": project_id,
            "name": name,
            "next_number": 1,
            "deleted": False,
            "created_at": now,
            "updated_at": now,
        }
        session.execute(insert_into(self._db, DatasetRow).on_conflict_do_nothing(), [row])
        query = select(DatasetRow).where(DatasetRow.project_id == project_id, DatasetRow.name == name)
        return session.scalars(query.with_for_update()).one()

    def _add_version(
        self, session: Session, caller: Caller, row: DatasetRow, request: VersionCreate, manifest: Manifest
    ) -> DatasetVersionRow:
        now = self._clock.now()
        version = DatasetVersionRow(
            id=new_id("dsv"),
            dataset_id=row.id,
            number=row.next_number,
            manifest=request.manifest,
            files=len(manifest.files),
            size=sum(entry.size for entry in manifest.files),
            note=request.note,
            user_name=caller.user_name,
            created_at=now,
        )
        session.add(version)
        row.next_number += 1
        row.deleted = False
        row.updated_at = now
        session.flush()
        self._ledger.add_reference(session, row.project_id, _REFERENCE, version.id, request.manifest)
        subject = f"{row.name}@{version.number}"
        self._events.add(session, row.project_id, caller.user_id, "data.create", subject, size=version.size)
        return version

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Dataset]:
        """The project's datasets, newest first."""
        limit = max(1, min(limit, 1000))
        query = select(DatasetRow).where(
            DatasetRow.project_id == caller.project_id, DatasetRow.deleted.is_(False)
        )
        if cursor:
            query = query.where(DatasetRow.id < cursor)
        with self._db.read() as session:
            rows = list(session.scalars(query.order_by(DatasetRow.id.desc()).limit(limit + 1)))
            items = _datasets(session, rows[:limit])
        return Page[Dataset](items=items, next=rows[limit - 1].id if len(rows) > limit else None)

    def get(self, caller: Caller, name: str) -> Dataset:
        """One dataset with the numbers of its versions."""
        with self._db.read() as session:
            return _datasets(session, [self._find(session, caller.project_id, name)])[0]

    def get_version(self, caller: Caller, name: str, version: str) -> DatasetVersion:
        """A version by number, or ``latest``."""
        with self._db.read() as session:
            row = self._find(session, caller.project_id, name)
            return _version(name, self._find_version(session, row, version))

    def update(self, caller: Caller, name: str, version: str, note: str) -> DatasetVersion:
        """Change the note of a version.

        Raises:
            InvalidSpec: it is too long.
        """
        _check_note(note)
        with self._db.write() as session:
            dataset = self._find(session, caller.project_id, name)
            row = self._find_version(session, dataset, version)
            row.note = note
            dataset.updated_at = self._clock.now()
            subject = f"{name}@{row.number}"
            self._events.add(session, dataset.project_id, caller.user_id, "data.update", subject)
            return _version(name, row)

    def files(self, caller: Caller, name: str, version: str) -> DatasetFiles:
        """A version with all of its files."""
        found = self.get_version(caller, name, version)
        return DatasetFiles(version=found, files=self._ledger.read_manifest(found.manifest).files)

    def delete(self, caller: Caller, name: str) -> None:
        """Delete every version.

        Raises:
            Conflict: running work uses one of them; nothing is deleted.
        """
        with self._db.write() as session:
            row = self._find(session, caller.project_id, name)
            for version in _versions(session, [row.id]):
                self._delete_version(session, caller, row, version)
            row.deleted = True

    def delete_version(self, caller: Caller, name: str, version: str) -> None:
        """Delete one version; the dataset goes with its last one. Numbers are never used again.

        Raises:
            Conflict: running work uses it.
        """
        with self._db.write() as session:
            row = self._find(session, caller.project_id, name)
            self._delete_version(session, caller, row, self._find_version(session, row, version))
            row.deleted = self._latest(session, row.id) is None

    def _delete_version(
        self, session: Session, caller: Caller, row: DatasetRow, version: DatasetVersionRow
    ) -> None:
        subject = f"{row.name}@{version.number}"
        query = select(BlobReferenceRow.kind, BlobReferenceRow.owner_id).where(
            BlobReferenceRow.project_id == row.project_id,
            BlobReferenceRow.manifest == version.manifest,
            BlobReferenceRow.kind.startswith(_HOLD, autoescape=True),
        )
        users = [f"{kind.removeprefix(_HOLD)} {owner}" for kind, owner in session.execute(query.limit(4))]
        if users:
            raise Conflict(
                f"{subject} is in use by {', '.join(users)}: stop that first",
                used_by=users,
                version=subject,
            )
        self._ledger.drop_reference(session, _REFERENCE, version.id)
        session.delete(version)
        session.flush()
        row.updated_at = self._clock.now()
        self._events.add(session, row.project_id, caller.user_id, "data.delete_version", subject)

    # --- for other services

    def resolve(self, session: Session | None, project_id: str, ref: str) -> DatasetVersion:
        """The version that ``name``, ``name@3`` or ``name@latest`` means.

        Raises:
            NotFound: there is none; the sentence names those that exist.
        """
        if session is None:
            with self._db.read() as own:
                return self.resolve(own, project_id, ref)
        name, _, version = ref.partition("@")
        row = self._find(session, project_id, name)
        return _version(name, self._find_version(session, row, version or "latest"))

    def hold(
        self, session: Session, project_id: str, kind: str, owner_id: str, version: DatasetVersion
    ) -> None:
        """Work (``kind``: job, instance …) uses the version: its blobs stay, and it can't be deleted."""
        self._ledger.add_reference(session, project_id, _HOLD + kind, owner_id, version.manifest)

    def release(self, session: Session, kind: str, owner_id: str) -> None:
        """The work is over; all that it held is let go."""
        self._ledger.drop_reference(session, _HOLD + kind, owner_id)

    # --- within

    def _find(self, session: Session, project_id: str, name: str) -> DatasetRow:
        mine = (DatasetRow.project_id == project_id, DatasetRow.deleted.is_(False))
        row = session.scalars(select(DatasetRow).where(*mine, DatasetRow.name == name)).one_or_none()
        if row is not None:
            return row
        names = list(
            session.scalars(select(DatasetRow.name).where(*mine).order_by(DatasetRow.name).limit(10))
        )
        there = (
            f"there are {', '.join(names)}" if names else "push one with 'nacre data push PATH --name NAME'"
        )
        raise NotFound(f"there is no dataset {name!r} in this project: {there}", dataset=name)

    def _find_version(self, session: Session, row: DatasetRow, version: str) -> DatasetVersionRow:
        found = None
        if version == "latest":
            found = self._latest(session, row.id)
        elif version.isdecimal() and version.isascii() and len(version) < 10:
            query = select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == row.id)
            found = session.scalars(query.where(DatasetVersionRow.number == int(version))).one_or_none()
        if found is not None:
            return found
        numbers = [f"{row.name}@{v.number}" for v in _versions(session, [row.id])][-10:]
        raise NotFound(
            f"there is no {row.name}@{version}: there are {', '.join(numbers)}", dataset=row.name
        )

    def _latest(self, session: Session, dataset_id: str) -> DatasetVersionRow | None:
        query = select(DatasetVersionRow).where(DatasetVersionRow.dataset_id == dataset_id)
        return session.scalars(query.order_by(DatasetVersionRow.number.desc()).limit(1)).one_or_none()


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE:
        raise InvalidSpec(f"the note is over {MAX_NOTE} characters: put it into a file of the dataset")


def _datasets(session: Session, rows: list[DatasetRow]) -> list[Dataset]:
    versions: dict[str, list[DatasetVersionRow]] = {row.id: [] for row in rows}
    for version in _versions(session, versions):
        versions[version.dataset_id].append(version)
    return [_dataset(row, versions[row.id]) for row in rows]


def _versions(session: Session, dataset_ids: Iterable[str]) -> Sequence[DatasetVersionRow]:
    query = select(DatasetVersionRow).where(DatasetVersionRow.dataset_id.in_(list(dataset_ids)))
    return session.scalars(query.order_by(DatasetVersionRow.number)).all()


def _dataset(row: DatasetRow, versions: list[DatasetVersionRow]) -> Dataset:
    return Dataset(
        id=row.id,
        created_at=row.created_at,
        name=row.name,
        versions=[version.number for version in versions],
        latest=_version(row.name, versions[-1]) if versions else None,
        updated_at=row.updated_at,
    )


def _version(name: str, row: DatasetVersionRow) -> DatasetVersion:
    return DatasetVersion(
        id=row.id,
        created_at=row.created_at,
        dataset=name,
        number=row.number,
        manifest=row.manifest,
        files=row.files,
        size=row.size,
        note=row.note,
        user=row.user_name,
    )
