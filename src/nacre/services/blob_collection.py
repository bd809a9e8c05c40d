"""Freeing blobs that nothing refers to, while anybody may be sending the same bytes again.

Two steps, each after a time of grace. First a project loses what neither its references nor its rows of
``artifacts`` keep and what it has not used for ``fresh``. Then a stored blob that no project has is
*doomed*, and after ``orphan`` its bytes are removed. An upload takes its blob off the list of the doomed
before it looks whether the store has the bytes; once ``deleting`` is set, it waits until they are gone. So
no upload relies on bytes that go away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, select, update

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.artifacts import ArtifactRow
from nacre.db.tables.data import BlobReferenceRow, DoomedBlobRow, ProjectBlobRow
from nacre.errors import NacreError
from nacre.ports.blobs import Blobs
from nacre.schema.launch import Manifest

log = logging.getLogger("nacre.blobs")
_CHUNK = 1000


@dataclass(frozen=True)
class Collected:
    """What one collection did: blobs that projects lost, blobs removed from disk, their bytes."""

    released: int = 0
    removed: int = 0
    bytes: int = 0


class Collection:
    """One pass may be stopped between any two lines, and run again."""

    def __init__(
        self, db: Database, clock: Clock, blobs: Blobs, fresh: timedelta, orphan: timedelta
    ) -> None:
        self._db = db
        self._clock = clock
        self._blobs = blobs
        self._fresh = fresh
        self._orphan = orphan

    def run(self, read_manifest: Callable[[str], Manifest]) -> Collected:
        """Release, doom and remove what is due."""
        cutoff = self._clock.now() - self._fresh
        released = sum(self._release(project, cutoff, read_manifest) for project in self._stale(cutoff))
        self._doom()
        return replace(self._remove(), released=released)

    def _stale(self, cutoff: datetime) -> list[str]:
        with self._db.read() as session:
            query = select(ProjectBlobRow.project_id).where(ProjectBlobRow.used_at < cutoff).distinct()
            return list(session.scalars(query))

    def _release(self, project_id: str, cutoff: datetime, read_manifest: Callable[[str], Manifest]) -> int:
        """Take from one project what none of its references keep.

        A reference that is added meanwhile is safe: its blobs were used (``used_at``) just before.
        """
        with self._db.read() as session:
            query = select(BlobReferenceRow.manifest).where(BlobReferenceRow.project_id == project_id)
            manifests = set(session.scalars(query.distinct()))
        kept: set[bytes] = set()
        for digest in manifests:
            kept.add(bytes.fromhex(digest))
            try:
                kept.update(bytes.fromhex(entry.digest) for entry in read_manifest(digest).files)
            except NacreError as error:
                log.error(
                    "freeing nothing of project %s: manifest %s: %s", project_id, digest, error.detail
                )
                return 0
        released = 0
        for chunk in self._pages(project_id, cutoff):
            dead = {digest for digest in chunk if bytes.fromhex(digest) not in kept}
            with self._db.write() as session:
                dead.difference_update(
                    session.scalars(
                        select(ArtifactRow.digest).where(
                            ArtifactRow.project_id == project_id, ArtifactRow.digest.in_(dead)
                        )
                    )
                )
                found = session.execute(
                    delete(ProjectBlobRow).where(
                        ProjectBlobRow.project_id == project_id,
                        ProjectBlobRow.digest.in_(dead),
                        ProjectBlobRow.used_at < cutoff,
                    )
                )
                released += int(getattr(found, "rowcount", 0))
        return released

    def _pages(self, project_id: str, cutoff: datetime) -> Iterator[list[str]]:
        last = ""
        while True:
            with self._db.read() as session:
                query = select(ProjectBlobRow.digest).where(
                    ProjectBlobRow.project_id == project_id,
                    ProjectBlobRow.used_at < cutoff,
                    ProjectBlobRow.digest > last,
                )
                found = list(session.scalars(query.order_by(ProjectBlobRow.digest).limit(_CHUNK)))
            if not found:
                return
            yield found
            last = found[-1]

    def _doom(self) -> None:
        """List stored blobs that no project has; strike those that one has again."""
        with self._db.write() as session:
            has = exists().where(ProjectBlobRow.digest == DoomedBlobRow.digest)
            session.execute(delete(DoomedBlobRow).where(has, DoomedBlobRow.deleting.is_(False)))
        chunk: list[str] = []
        for digest in self._blobs.digests():
            chunk.append(digest)
            if len(chunk) == _CHUNK:
                self._doom_some(chunk)
                chunk = []
        self._doom_some(chunk)

    def _doom_some(self, digests: list[str]) -> None:
        with self._db.read() as session:
            known = set(
                session.scalars(select(ProjectBlobRow.digest).where(ProjectBlobRow.digest.in_(digests)))
            )
            known.update(
                session.scalars(select(DoomedBlobRow.digest).where(DoomedBlobRow.digest.in_(digests)))
            )
        fresh = [digest for digest in digests if digest not in known]
        if fresh:
            with self._db.write() as session:
                now = self._clock.now()
                rows = [{"digest": digest, "since": now, "deleting": False} for digest in fresh]
                session.execute(insert_into(self._db, DoomedBlobRow).on_conflict_do_nothing(), rows)

    def _remove(self) -> Collected:
        due = DoomedBlobRow.since <= self._clock.now() - self._orphan
        removed, freed = 0, 0
        while True:
            with self._db.write() as session:
                query = select(DoomedBlobRow.digest).where(due).limit(_CHUNK).with_for_update()
                doomed = list(session.scalars(query))
                held = set(
                    session.scalars(select(ProjectBlobRow.digest).where(ProjectBlobRow.digest.in_(doomed)))
                )
                session.execute(delete(DoomedBlobRow).where(DoomedBlobRow.digest.in_(held)))
                going = [digest for digest in doomed if digest not in held]
                session.execute(
                    update(DoomedBlobRow).where(DoomedBlobRow.digest.in_(going)).values(deleting=True)
                )
            if not doomed:
                return Collected(removed=removed, bytes=freed)
            for digest in going:
                freed += self._length(digest)
                self._blobs.delete(digest)
                removed += 1
            with self._db.write() as session:
                session.execute(delete(DoomedBlobRow).where(DoomedBlobRow.digest.in_(going)))

    def _length(self, digest: str) -> int:
        try:
            return self._blobs.size(digest)
        except NacreError:
            return 0
