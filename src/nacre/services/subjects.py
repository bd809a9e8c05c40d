"""What attempts are made for: jobs, instances and replicas of endpoints, seen from their attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy.orm import Session

from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.schema.launch import LaunchSpec


class Subject(Protocol):
    """A kind of work. Its service registers itself with ``Attempts.register``."""

    def launch_specs(self, attempt: AttemptRow, replicas: Sequence[ReplicaRow]) -> list[LaunchSpec]:
        """What to launch for each replica, without tokens; outside transactions, also after a restart."""
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
