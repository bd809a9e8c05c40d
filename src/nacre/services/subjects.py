"""What attempts are made for: jobs and instances, seen from their attempts."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.orm import Session

from nacre.db.tables.attempts import AttemptRow
from nacre.schema.launch import LaunchSpec


class Subject(Protocol):
    """A kind of work. Its service registers itself with ``Attempts.register``."""

    def launch_spec(self, attempt: AttemptRow) -> LaunchSpec:
        """What to launch, without a token; called outside transactions, also after a restart."""
        ...

    def attempt_moved(self, session: Session, attempt: AttemptRow) -> None:
        """The attempt's state or message changed; in the same transaction."""
        ...

    def attempt_ended(self, session: Session, attempt: AttemptRow) -> None:
        """The attempt ended, with its reason; once, in the same transaction."""
        ...

    def manifests(self, session: Session, subject_id: str) -> list[str]:
        """Digests of the manifests that a launcher may read for it."""
        ...
