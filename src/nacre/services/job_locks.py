"""The locks that jobs ran with, kept so that a job can be done again with the very same packages.

A lock is kept as a folder of two files: ``environment.lock`` (the text, every package with version and
hashes) and ``environment.json`` (``digest`` of the environment and minor version of its ``python``). Its
manifest's digest is ``JobRecord.lock_digest``. Each job that ran with it holds a reference of a kind that
only this module writes: what a member of the project sends can therefore never be taken for a lock, and be
built with the server's rights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from blake3 import blake3
from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.connect import Database
from nacre.db.tables.data import BlobReferenceRow
from nacre.errors import NotFound
from nacre.ports.environments import Lock
from nacre.schema.environments import Environment
from nacre.schema.launch import FileEntry
from nacre.schema.manifests import canonical
from nacre.services.blobs import BlobLedger

LOCK_HOLDER = "job_lock"
LOCK_FILE = "environment.lock"
ABOUT_FILE = "environment.json"


@dataclass(frozen=True)
class KeptLock:
    """A lock whose bytes are in the store. ``sizes``: of its blobs, by digest."""

    digest: str
    sizes: dict[str, int]


class JobLocks:
    """Keeps locks, and finds them again."""

    def __init__(self, db: Database, ledger: BlobLedger) -> None:
        self._db = db
        self._ledger = ledger

    def keep(self, project_id: str, environment: Environment) -> KeptLock | None:
        """See to it that the lock is in the store; null for an environment that has none.

        Hold it in the transaction that follows.
        """
        if environment.lock is None or environment.digest is None:
            return None
        about = json.dumps({"digest": environment.digest, "python": environment.python}, sort_keys=True)
        files = {LOCK_FILE: environment.lock.encode(), ABOUT_FILE: about.encode()}
        entries = [
            FileEntry(path=path, size=len(data), digest=_digest(data)) for path, data in files.items()
        ]
        manifest = canonical(entries)
        blobs = {_digest(data): data for data in (*files.values(), manifest)}
        with self._db.read() as session:
            held = self._ledger.has(session, project_id, blobs)
        for digest, data in blobs.items():
            if digest not in held:
                self._ledger.keep(project_id, data)
        return KeptLock(_digest(manifest), {digest: len(data) for digest, data in blobs.items()})

    def hold(self, session: Session, project_id: str, job_id: str, kept: KeptLock) -> None:
        """The job ran with it: it stays until the job is deleted."""
        self._ledger.possess(session, project_id, kept.sizes)
        self._ledger.add_reference(session, project_id, LOCK_HOLDER, job_id, kept.digest)

    def drop(self, session: Session, job_id: str) -> None:
        """The job is deleted."""
        self._ledger.drop_reference(session, LOCK_HOLDER, job_id)

    def read(self, project_id: str, digest: str) -> Lock:
        """The lock that a job of this project ran with.

        Raises:
            NotFound: no job of the project did.
        """
        held = select(BlobReferenceRow.owner_id).where(
            BlobReferenceRow.kind == LOCK_HOLDER,
            BlobReferenceRow.project_id == project_id,
            BlobReferenceRow.manifest == digest,
        )
        with self._db.read() as session:
            known = session.scalars(held.limit(1)).first()
        if known is None:
            raise NotFound(
                f"the lock {digest} is gone, or no job of this project ran with it: name an environment, "
                "to run in it as it is now",
                digest=digest,
            )
        entries = {entry.path: entry.digest for entry in self._ledger.read_manifest(digest).files}
        about = json.loads(self._ledger.read(entries[ABOUT_FILE]))
        text = self._ledger.read(entries[LOCK_FILE]).decode()
        return Lock(text, about["python"], about["digest"])


def _digest(data: bytes) -> str:
    return str(blake3(data).hexdigest())
