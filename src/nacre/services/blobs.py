"""Which project has which blobs, and what keeps them alive.

A blob is stored once, whoever sent it, but a project *has* it only after one of its members has sent every
byte of it: nobody gains a file by knowing its digest.

References keep blobs alive: each names a manifest, and keeps it and every blob that it lists. What no
reference keeps is freed by :meth:`BlobLedger.collect` after a time of grace, which ``missing``,
``take_manifest`` and every upload begin anew.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TypeVar

from blake3 import blake3
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.data import BlobReferenceRow, DoomedBlobRow, ProjectBlobRow
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NotFound, TooLarge, Unavailable
from nacre.ports.blobs import BatchBlobs, Blobs, LocalBlobs, PartialBlobs, StagingBlobs
from nacre.schema.data import BlobParts, BlobsMissing, BlobsStored, PartStored
from nacre.schema.launch import FileEntry, Manifest
from nacre.schema.manifests import canonical, check_paths, parse
from nacre.services.blob_collection import Collected, Collection

_CHUNK = 1000
MAX_BATCH_BYTES = 16 * 2**20
MAX_MANIFEST_BYTES = 512 * 2**20
T = TypeVar("T")


class BlobLedger:
    """Operations of ``blobs``, and what other services need to know of blobs.

    ``fresh_s``: how long an unreferenced blob stays with its project. ``orphan_s``: how long a blob that no
    project has stays on disk.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        blobs: Blobs,
        *,
        fresh_s: float = 24 * 3600,
        orphan_s: float = 3600,
    ) -> None:
        self._db = db
        self._clock = clock
        self.store = blobs
        self._fresh = timedelta(seconds=fresh_s)
        self._collection = Collection(db, clock, blobs, self._fresh, timedelta(seconds=orphan_s))

    @property
    def root(self) -> Path:
        """The folder of a store whose blobs are files on this host.

        Raises:
            InvalidSpec: the store is elsewhere.
        """
        if not isinstance(self.store, LocalBlobs):
            raise InvalidSpec("this server's blobs are not files on its host")
        return self.store.root

    # --- operations

    def missing(self, caller: Caller, digests: list[str]) -> BlobsMissing:
        """Those that the project must send; the others are kept from being freed for a while."""
        with self._db.read() as session:
            held = self._held(session, caller.project_id, digests)
        lost = set(self.store.missing(list(held)))
        self._touch(caller.project_id, held)
        return BlobsMissing(missing=[d for d in dict.fromkeys(digests) if d not in held or d in lost])

    def put(self, caller: Caller, digest: str, stream: BinaryIO) -> int:
        """Store one blob for the caller's project and return its length."""
        self._rescue([digest])
        size = self.store.put(digest, stream)
        self._possess_now(caller.project_id, {digest: size})
        return size

    def put_many(self, caller: Caller, items: list[tuple[str, bytes]]) -> BlobsStored:
        """Store small blobs, in one transaction; on a mismatch none of them."""
        self._rescue([digest for digest, _ in items])
        if isinstance(self.store, BatchBlobs):
            self.store.put_many(items)
        else:
            for digest, data in items:
                self.store.put(digest, io.BytesIO(data))
        self._possess_now(caller.project_id, {digest: len(data) for digest, data in items})
        return BlobsStored(stored=len(items))

    def parts(self, caller: Caller, digest: str, size: int) -> BlobParts:
        """What is still to be sent of a large blob; nothing when the project has it."""
        if self._complete(caller.project_id, digest):
            return BlobParts(missing=[])
        return BlobParts(missing=self._partial().parts(digest, size, caller.project_id))

    def put_part(self, caller: Caller, digest: str, size: int, offset: int, data: bytes) -> PartStored:
        """Keep one part; with the last one the blob is verified and the project has it."""
        self._rescue([digest])
        if self._partial().put_part(digest, size, offset, data, caller.project_id):
            self._possess_now(caller.project_id, {digest: size})
            return PartStored(complete=True)
        return PartStored(complete=self._complete(caller.project_id, digest))

    def open(self, caller: Caller, digest: str) -> BinaryIO:
        """A seekable stream of a blob that the project has. Close it.

        Raises:
            NotFound: the project has no such blob.
            Unavailable: it is damaged on disk; it was moved aside and must be sent again.
        """
        with self._db.read() as session:
            expected = self._held(session, caller.project_id, [digest]).get(digest)
        if expected is None:
            raise NotFound(f"project {_name(caller)} has no blob {digest}", digest=digest)
        try:
            found = self.store.size(digest)
            if found == expected or self.store.verify(digest):
                return self.store.open(digest)
        except NotFound as error:
            raise _damaged(digest, "is not in the blob store any more") from error
        raise _damaged(digest, f"had {found} bytes where {expected} belong, and was moved aside")

    def open_many(self, caller: Caller, digests: list[str]) -> Iterator[tuple[str, bytes]]:
        """The bytes of small blobs, one after another, each once; ``MAX_BATCH_BYTES`` at most together.

        Raises:
            NotFound: the project lacks one of them; before the first is given.
            TooLarge: they are too large together.
        """
        wanted = list(dict.fromkeys(digests))
        with self._db.read() as session:
            held = self._held(session, caller.project_id, wanted)
        absent = next((digest for digest in wanted if digest not in held), None)
        if absent is not None:
            raise NotFound(f"project {_name(caller)} has no blob {absent}", digest=absent)
        if sum(held.values()) > MAX_BATCH_BYTES:
            raise TooLarge(f"these blobs are over {MAX_BATCH_BYTES} bytes together: ask for fewer at once")
        return ((digest, self.read(digest)) for digest in wanted)

    # --- for other services

    def keep(self, project_id: str, data: bytes) -> str:
        """Store bytes that the server itself made, for a project, and return their digest."""
        digest = str(blake3(data).hexdigest())
        self._rescue([digest])
        self.store.put(digest, io.BytesIO(data))
        self._possess_now(project_id, {digest: len(data)})
        return digest

    def put_stream(self, project_id: str, stream: BinaryIO) -> tuple[str, int]:
        """Store bytes whose digest is not known before, for a project; their digest and length.

        When the stream breaks nothing is stored.
        """
        if not isinstance(self.store, StagingBlobs):
            raise InvalidSpec("this server's blob store takes no bytes without their digest: send blobs")
        with self.store.stage(stream) as staged:
            self._rescue([staged.digest])
            staged.publish()
        self._possess_now(project_id, {staged.digest: staged.size})
        return staged.digest, staged.size

    def take(self, project_id: str, entries: Iterable[FileEntry]) -> None:
        """Keep the blobs of these files for the time of grace, so that rows can refer to them in peace.

        Raises:
            InvalidSpec: the project has not sent one, or it has another length.
        """
        files = list(entries)
        with self._db.read() as session:
            held = self._held(session, project_id, {entry.digest for entry in files})
        _check_held(files, held)
        self._touch(project_id, held)

    def write_manifest(self, project_id: str, manifest: Manifest) -> str:
        """Store a manifest that the server made, for a project, and return its digest."""
        check_paths([entry.path for entry in manifest.files])
        return self.keep(project_id, canonical(manifest.files))

    def possess(self, session: Session, project_id: str, digests: dict[str, int]) -> None:
        """The project has these blobs (digest → length), which the caller knows to be in the store."""
        rows = [
            {"project_id": project_id, "digest": digest, "size": size, "used_at": self._clock.now()}
            for digest, size in sorted(digests.items())
        ]
        for chunk in _chunks(rows):
            statement = insert_into(self._db, ProjectBlobRow)
            statement = statement.on_conflict_do_update(
                index_elements=["project_id", "digest"], set_={"used_at": statement.excluded.used_at}
            )
            session.execute(statement, chunk)

    def has(self, session: Session, project_id: str, digests: Iterable[str]) -> set[str]:
        """Which of these the project has."""
        return set(self._held(session, project_id, digests))

    def sizes(self, session: Session, project_id: str, digests: Iterable[str]) -> dict[str, int]:
        """Length in bytes of those that the project has."""
        return self._held(session, project_id, digests)

    def read(self, digest: str, limit: int = MAX_MANIFEST_BYTES) -> bytes:
        """A blob's bytes, whole and verified. Asks for no permission.

        Raises:
            NotFound: there is no such blob.
            TooLarge: it is over ``limit`` bytes.
        """
        if self.store.size(digest) > limit:
            raise TooLarge(f"blob {digest} is over {limit} bytes: that is too long to be read at once")
        with self.store.open(digest) as stream:
            data = stream.read()
        if blake3(data).hexdigest() != digest:
            self.store.verify(digest)
            raise _damaged(digest, "was found damaged, and moved aside")
        return data

    def read_manifest(self, digest: str) -> Manifest:
        """The manifest in a blob, its paths checked. Asks for no permission.

        Raises:
            NotFound: there is no such blob.
            InvalidSpec: it is not a manifest.
        """
        return parse(self.read(digest))

    def take_manifest(self, project_id: str, digest: str) -> Manifest:
        """The manifest, all of whose blobs the project has, with the lengths that it says.

        Its blobs are kept for the time of grace, so that a reference to it can be added in peace.

        Raises:
            NotFound: the project does not have the manifest.
            InvalidSpec: it is not a manifest, or names what the project has not sent.
        """
        with self._db.read() as session:
            if digest not in self._held(session, project_id, [digest]):
                raise NotFound(f"the project has no blob {digest}: send the manifest first", digest=digest)
        manifest = self.read_manifest(digest)
        wanted = {entry.digest: entry for entry in manifest.files}
        with self._db.read() as session:
            held = self._held(session, project_id, wanted)
        _check_held(manifest.files, held)
        self._touch(project_id, held)
        self._touch(project_id, [digest])
        return manifest

    def add_reference(
        self, session: Session, project_id: str, kind: str, owner_id: str, manifest: str
    ) -> None:
        """Keep a manifest and its blobs until the owner drops it. An owner may keep several.

        Raises:
            NotFound: the project does not have the manifest.
        """
        if not self.has(session, project_id, [manifest]):
            raise NotFound(f"the project has no blob {manifest}: send the manifest first", digest=manifest)
        if session.get(BlobReferenceRow, (kind, owner_id, manifest)) is None:
            now = self._clock.now()
            session.add(
                BlobReferenceRow(
                    kind=kind, owner_id=owner_id, manifest=manifest, project_id=project_id, created_at=now
                )
            )
            session.flush()

    def drop_reference(self, session: Session, kind: str, owner_id: str) -> None:
        """Let go of everything that the owner kept."""
        session.execute(
            delete(BlobReferenceRow).where(
                BlobReferenceRow.kind == kind, BlobReferenceRow.owner_id == owner_id
            )
        )

    def collect(self) -> Collected:
        """Free what nothing refers to and whose time of grace is over."""
        return self._collection.run(self.read_manifest)

    # --- within

    def _held(self, session: Session, project_id: str, digests: Iterable[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for chunk in _chunks(digests):
            query = select(ProjectBlobRow.digest, ProjectBlobRow.size)
            rows = session.execute(
                query.where(ProjectBlobRow.project_id == project_id, ProjectBlobRow.digest.in_(chunk))
            )
            found.update((digest, size) for digest, size in rows)
        return found

    def _complete(self, project_id: str, digest: str) -> bool:
        with self._db.read() as session:
            held = self._held(session, project_id, [digest])
        return bool(held) and not self.store.missing([digest])

    def _possess_now(self, project_id: str, digests: dict[str, int]) -> None:
        with self._db.write() as session:
            self.possess(session, project_id, digests)

    def _touch(self, project_id: str, digests: Iterable[str]) -> None:
        """Begin the grace anew for those in the second half of it; mostly there are none."""
        now = self._clock.now()
        for chunk in _chunks(digests):
            mine = (ProjectBlobRow.project_id == project_id, ProjectBlobRow.digest.in_(chunk))
            with self._db.read() as session:
                old = session.scalars(
                    select(ProjectBlobRow.digest).where(
                        *mine, ProjectBlobRow.used_at < self._half_grace(now)
                    )
                ).all()
            if old:
                with self._db.write() as session:
                    session.execute(update(ProjectBlobRow).where(*mine).values(used_at=now))

    def _half_grace(self, now: datetime) -> datetime:
        return now - self._fresh / 2

    def _rescue(self, digests: Sequence[str]) -> None:
        """Take blobs off the list of those to be freed, or wait until they are gone for good."""
        deadline = time.monotonic() + 10
        for chunk in _chunks(digests):
            while True:
                with self._db.read() as session:
                    query = select(DoomedBlobRow.digest).where(DoomedBlobRow.digest.in_(chunk))
                    doomed = session.scalars(query).all()
                if not doomed:
                    break
                with self._db.write() as session:
                    session.execute(
                        delete(DoomedBlobRow).where(
                            DoomedBlobRow.digest.in_(doomed), DoomedBlobRow.deleting.is_(False)
                        )
                    )
                    stuck = session.scalars(query).all()
                if not stuck:
                    break
                if time.monotonic() > deadline:
                    raise Unavailable("old copies of these bytes are just being freed: send them again")
                time.sleep(0.05)

    def _partial(self) -> PartialBlobs:
        if not isinstance(self.store, PartialBlobs):
            raise InvalidSpec("this server's blob store takes no parts: send the blob whole")
        return self.store


def _check_held(files: Iterable[FileEntry], held: dict[str, int]) -> None:
    for entry in files:
        if entry.digest not in held:
            raise InvalidSpec(
                f"the bytes of {entry.path!r} have not been sent: send blob {entry.digest} first",
                path=entry.path,
            )
        if held[entry.digest] != entry.size:
            raise InvalidSpec(
                f"{entry.path!r} has {held[entry.digest]} bytes, but the manifest says {entry.size}",
                path=entry.path,
            )


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _name(caller: Caller) -> str:
    return caller.project.name if caller.project else ""


def _damaged(digest: str, what: str) -> Unavailable:
    return Unavailable(
        f"the blob {digest} {what}: push the data again to replace it", digest=digest, corrupt=True
    )
