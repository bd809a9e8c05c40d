"""What the replicas of endpoints print: each has a log of its own, which is read like that of a job."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.connect import Database
from nacre.db.queries.endpoints import find_endpoint
from nacre.db.queries.pages import newest_first
from nacre.db.tables.attempts import ReplicaRow
from nacre.db.tables.endpoints import EndpointReplicaRow, EndpointRow, RevisionRow
from nacre.domain.identity import Caller
from nacre.errors import NotFound
from nacre.schema.base import Page
from nacre.schema.endpoints import EndpointReplica
from nacre.services.attempt_logs import AttemptLogs
from nacre.services.attempts import Attempts
from nacre.services.endpoint_replicas import replica_wire


class EndpointLogs:
    """``logs`` reads by the id of a replica, which :meth:`find` and :meth:`known` give to those who may.

    What a replica has printed is there for as long as its row: ``EndpointLeftovers`` sweeps both away.
    """

    def __init__(self, db: Database, attempts: Attempts) -> None:
        self._db = db
        self.logs = AttemptLogs(db, attempts, _over)

    def replicas(
        self, caller: Caller, name: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[EndpointReplica]:
        """All replicas of an endpoint that are known, newest first.

        Raises:
            NotFound: there is no such endpoint.
        """
        with self._db.read() as session:
            row = find_endpoint(session, caller.project_id, name)
            statement = (
                select(EndpointReplicaRow, ReplicaRow.node)
                .outerjoin(ReplicaRow, ReplicaRow.attempt_id == EndpointReplicaRow.attempt_id)
                .where(EndpointReplicaRow.endpoint_id == row.id)
            )
            return newest_first(
                session,
                statement,
                EndpointReplicaRow.id,
                lambda found: replica_wire(found[0], found[1]),
                cursor=cursor,
                limit=limit,
            )

    def find(
        self, caller: Caller, name: str, *, replica: str | None = None, revision: int | None = None
    ) -> str:
        """The id of a replica whose log can be read: of those that fit the newest, one that was launched
        before one that waits.

        Raises:
            NotFound: there is no such endpoint, revision or replica; or the endpoint has no replicas.
        """
        with self._db.read() as session:
            row = find_endpoint(session, caller.project_id, name)
            if revision is not None and session.get(RevisionRow, (row.id, revision)) is None:
                raise NotFound(
                    f"endpoint {name} has no revision {revision}: see 'nacre endpoint show {name}'"
                )
            statement = select(EndpointReplicaRow.id).where(EndpointReplicaRow.endpoint_id == row.id)
            if revision is not None:
                statement = statement.where(EndpointReplicaRow.revision == revision)
            if replica is not None:
                statement = statement.where(EndpointReplicaRow.id == replica)
            launched = EndpointReplicaRow.attempt_id.is_not(None)
            newest = statement.order_by(launched.desc(), EndpointReplicaRow.id.desc()).limit(1)
            found = session.scalars(newest).first()
            if found is None:
                raise NotFound(_none(session, row, replica, revision))
            return found

    def known(self, caller: Caller, replica: str) -> str:
        """The id again, if it is one of the project's replicas.

        Raises:
            NotFound: it is not.
        """
        with self._db.read() as session:
            row = session.get(EndpointReplicaRow, replica)
        if row is None or row.project_id != caller.project_id:
            raise NotFound(f"there is no replica {replica!r} in this project")
        return row.id


def _over(session: Session, replica_id: str) -> bool:
    row = session.get(EndpointReplicaRow, replica_id)
    return row is None or row.ended_at is not None


def _none(session: Session, row: EndpointRow, replica: str | None, revision: int | None) -> str:
    """Why there is no log."""
    mine = select(RevisionRow.number).where(
        RevisionRow.endpoint_id == row.id, RevisionRow.runtime == "replicas"
    )
    if revision is not None:
        mine = mine.where(RevisionRow.number == revision)
    which = f"endpoint {row.name}" if revision is None else f"revision {revision} of endpoint {row.name}"
    if session.scalars(mine.limit(1)).first() is None:
        return (
            f"{which} has no replicas, and so no log: it runs in the shared model server. Why a model does "
            f"not load is told by 'nacre endpoint show {row.name}', what went wrong with requests by "
            f"'nacre endpoint stats {row.name}' and in each answer"
        )
    if replica is not None:
        return f"{which} has no replica {replica}: see 'nacre endpoint replicas {row.name}'"
    return f"{which} has no replica now, and none ended within the last hour"
