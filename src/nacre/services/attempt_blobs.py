"""The blobs that a launcher may read and write: its own code and inputs, its project's artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import BinaryIO

from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.errors import NotFound, PermissionDenied
from nacre.schema.access import Role
from nacre.schema.data import BlobsMissing
from nacre.services.blobs import BlobLedger
from nacre.services.subjects import Subject


class AttemptBlobs:
    """The ledger, narrowed to one attempt."""

    def __init__(self, db: Database, ledger: BlobLedger, subjects: Mapping[str, Subject]) -> None:
        self._db = db
        self._ledger = ledger
        self._subjects = subjects
        self._readable: dict[str, frozenset[str]] = {}

    def missing(self, caller: Caller, attempt_id: str, digests: list[str]) -> BlobsMissing:
        """Which of these the attempt's project must send."""
        inside, _ = self._inside(caller, attempt_id)
        return self._ledger.missing(inside, digests)

    def put(self, caller: Caller, attempt_id: str, digest: str, stream: BinaryIO) -> None:
        """Take a blob into the attempt's project."""
        inside, _ = self._inside(caller, attempt_id)
        self._ledger.put(inside, digest, stream)

    def open(self, caller: Caller, attempt_id: str, digest: str) -> BinaryIO:
        """A blob of the attempt's code or inputs, or one of their manifests.

        Raises:
            PermissionDenied: it is none of them.
        """
        inside, row = self._inside(caller, attempt_id)
        if digest not in self._readable_by(row):
            raise PermissionDenied("this attempt may only read its own code and inputs")
        return self._ledger.open(inside, digest)

    def forget(self, attempt_id: str) -> None:
        """The attempt is over."""
        self._readable.pop(attempt_id, None)

    def _inside(self, caller: Caller, attempt_id: str) -> tuple[Caller, AttemptRow]:
        with self._db.read() as session:
            row = session.get(AttemptRow, attempt_id)
            project = session.get(ProjectRow, row.project_id) if row else None
        if row is None or project is None:
            raise NotFound("there is no such attempt: it was deleted")
        return replace(caller, project=ProjectRef(project.id, project.name, Role.EDITOR)), row

    def _readable_by(self, row: AttemptRow) -> frozenset[str]:
        if (found := self._readable.get(row.id)) is None:
            with self._db.read() as session:
                manifests = self._subjects[row.kind].manifests(session, row.subject_id)
            files = [e.digest for m in manifests for e in self._ledger.read_manifest(m).files]
            found = self._readable[row.id] = frozenset([*manifests, *files])
        return found
