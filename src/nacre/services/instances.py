"""Instances: interactive machines with JupyterLab, and TensorBoards, and what one may do with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.instances import free_name, instance_named, temporary_with
from nacre.db.queries.pages import newest_first
from nacre.db.queries.runs import find_run
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.instances import InstanceRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.domain.instances import ALIVE, STOPPED_BY_USER
from nacre.domain.scheduling import Lane, Shape, never_fits
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.instances import Instance, InstanceApp, InstanceCreate, InstanceState, InstanceUrl
from nacre.schema.resources import InstanceType
from nacre.services.apps import APPS, app_of
from nacre.services.attempts import Attempts
from nacre.services.datasets import Datasets
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.instance_door import InstanceDoor
from nacre.services.instance_launch import InstanceLaunches
from nacre.services.prices import Prices
from nacre.services.scheduling import machines
from nacre.services.secrets import Secrets
from nacre.services.signals import Signals
from nacre.services.tokens import Tokens
from nacre.services.usage import UsageLedger

KERNEL = ["ipykernel"]
TOPIC = "instances"
FAILED_TEMPORARY = timedelta(days=1)
"""How long a temporary instance that failed stays, for somebody to read why."""

_Data = dict[str, dict[str, Any]]
_KIND = "instance"
_AT_REST = (InstanceState.STOPPED, InstanceState.FAILED)


class Instances:
    """Operations on instances. Topics after commits: ``instances`` (something for the loop to do),
    ``instance:ID`` (its state changed), ``attempts`` (one shall stop)."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        events: Events,
        attempts: Attempts,
        launches: InstanceLaunches,
        environments: EnvironmentCatalogue,
        datasets: Datasets,
        secrets: Secrets,
        prices: Prices,
        usage: UsageLedger,
        tokens: Tokens,
        content_url: str,
    ) -> None:
        """``content_url``: origin of the user-content listener, ``http://host:7374``."""
        self._db = db
        self._clock = clock
        self._signals = signals
        self._events = events
        self._attempts = attempts
        self._launches = launches
        self._environments = environments
        self._datasets = datasets
        self._secrets = secrets
        self._prices = prices
        self._usage = usage
        self.door = InstanceDoor(db, clock, events, tokens, content_url)
        environments.guard(self._uses)

    # Operations

    def create(self, caller: Caller, body: InstanceCreate) -> Instance:
        """A new instance with an empty home; it starts as soon as it can, unless ``start`` is false.

        Asked again for a temporary app of the same runs, the caller's own that lives is the answer.

        Raises:
            Conflict: the project has an instance of that name.
            InvalidSpec: no machine could ever hold the type.
            NotFound: the type, the environment, a dataset, a run or a secret is not there.
        """
        shape = self._prices.type(body.type)
        lane = Lane(Shape(shape.cpu, shape.memory, shape.gpu, shape.gpu_name))
        if impossible := never_fits(lane, machines(self._attempts.engine.nodes())):
            raise InvalidSpec(impossible, fields=[{"field": "type", "message": impossible}])
        self._secrets.reveal(caller.project_id, body.secrets)
        try:
            with self._db.write() as session:
                known, row = self._insert(session, caller, body, shape)
                if row is not None and body.start:
                    self._queue(session, row)
                elif row is not None:
                    self._environments.ensure(session, caller.project_id, row.environment)
        except IntegrityError as error:
            raise Conflict("the name was taken just now: choose another one, or try again") from error
        if row is not None:
            self._changed(row)
        return self.get(caller, known)

    def _insert(
        self, session: Session, caller: Caller, body: InstanceCreate, shape: InstanceType
    ) -> tuple[str, InstanceRow | None]:
        """Its id, and its new row; no row when one that is there already will do."""
        app, project_id = APPS[body.app], caller.project_id
        runs = self._runs(session, project_id, body.runs)
        if body.temporary and runs and (same := temporary_with(session, project_id, caller.user_id, runs)):
            return same, None
        name = body.name or free_name(session, project_id, app.stem(body))
        if body.name and instance_named(session, project_id, name) is not None:
            raise Conflict(f"there is an instance {name} already: choose another name")
        row = InstanceRow(
            id=new_id("ins"),
            project_id=project_id,
            user_id=caller.user_id,
            name=name,
            app=app.name,
            type=body.type,
            environment=body.environment if app.has_kernel else app.environment,
            data={},
            runs=runs,
            secrets=body.secrets,
            idle_timeout=app.idle_timeout_s if body.idle_timeout is None else body.idle_timeout,
            temporary=body.temporary,
            state=InstanceState.STOPPED,
            cpu=shape.cpu,
            memory=shape.memory,
            gpu=shape.gpu,
            gpu_name=shape.gpu_name,
            price_per_hour=shape.price_per_hour,
            created_at=self._clock.now(),
        )
        session.add(row)
        session.flush()
        row.data = self._resolve(session, row, body)
        self._log(session, caller, "create", row, type=row.type, environment=row.environment)
        return row.id, row

    def _resolve(
        self, session: Session, row: InstanceRow, body: InstanceCreate
    ) -> dict[str, dict[str, Any]]:
        data = {}
        for name, item in body.data.items():
            version = self._datasets.resolve(session, row.project_id, item.path)
            self._datasets.hold(session, row.project_id, _KIND, row.id, version)
            data[name] = {
                "dataset": f"{version.dataset}@{version.number}",
                "manifest": version.manifest,
                "mode": item.mode,
            }
        return data

    def _runs(self, session: Session, project_id: str, references: Sequence[str]) -> Sequence[str]:
        """Ids of the project's runs, each once."""
        found = []
        for reference in references:
            run = find_run(session, project_id, reference)
            if run is None or run.deleted_at is not None:
                raise NotFound(f"there is no run {reference} in this project: see 'nacre runs ls'")
            found.append(run.uuid)
        return [*dict.fromkeys(found)]

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Instance]:
        """The project's instances, newest first."""
        statement = self._select().where(InstanceRow.project_id == caller.project_id)
        with self._db.read() as session:
            page = newest_first(session, statement, InstanceRow.id, lambda r: r, cursor=cursor, limit=limit)
            costs = self._usage.cost_of(session, [found[0].id for found in page.items])
        return Page(items=[self._wire(found, costs) for found in page.items], next=page.next)

    def get(self, caller: Caller, name: str) -> Instance:
        """An instance by name or id.

        Raises:
            NotFound: the project has none of that name.
        """
        with self._db.read() as session:
            row = self._find(session, caller, name)
            found = session.execute(self._select().where(InstanceRow.id == row.id)).one()
            return self._wire(found, self._usage.cost_of(session, [row.id]))

    def start(self, caller: Caller, name: str) -> Instance:
        """Start it, at today's price; nothing when it is starting or running.

        Raises:
            Conflict: it is stopping.
            NotFound: its type, environment or a secret is gone.
        """
        with self._db.write() as session:
            row = self._find(session, caller, name, lock=True)
            if row.state == InstanceState.STOPPING:
                raise Conflict(f"instance {row.name} is stopping: start it when it has stopped")
            if row.state in _AT_REST:
                self._queue(session, row)
                self._log(session, caller, "start", row)
        self._changed(row)
        return self.get(caller, row.id)

    def _queue(self, session: Session, row: InstanceRow) -> None:
        shape = self._prices.type(row.type)
        row.cpu, row.memory, row.gpu, row.gpu_name = shape.cpu, shape.memory, shape.gpu, shape.gpu_name
        row.price_per_hour = shape.price_per_hour
        app, ensure = app_of(row), self._environments.ensure
        row.environment_id = ensure(session, row.project_id, row.environment)
        row.lab_environment_id = ensure(session, row.project_id, app.environment)
        if app.has_kernel:
            row.kernel_environment_id = self._environments.derive(
                session, row.project_id, row.environment_id, KERNEL
            )
        row.state, row.queued_at = InstanceState.QUEUED, self._clock.now()
        row.reason = row.message = row.stop_reason = row.attempt_id = None
        row.started_at = row.active_at = None

    def stop(self, caller: Caller, name: str) -> Instance:
        """Stop it; its home stays. Nothing when it has stopped."""
        with self._db.write() as session:
            row = self._find(session, caller, name, lock=True)
            if row.state == InstanceState.QUEUED:
                row.state, row.reason, row.message = InstanceState.STOPPED, STOPPED_BY_USER, None
                row.queued_at = None
                self._log(session, caller, "stop", row)
            elif row.state in ALIVE and row.stop_reason is None:
                self.request_stop(session, row, STOPPED_BY_USER, None)
                self._log(session, caller, "stop", row)
        self._changed(row)
        return self.get(caller, row.id)

    def request_stop(self, session: Session, row: InstanceRow, reason: str, message: str | None) -> None:
        """Ask for the end of its attempt. After the commit notify ``attempts``."""
        assert row.attempt_id is not None
        row.state, row.stop_reason = InstanceState.STOPPING, reason
        row.reason, row.message = reason, message
        self._attempts.stop(session, row.attempt_id, reason)

    def open(self, caller: Caller, name: str) -> InstanceUrl:
        """A URL that signs a browser in to this instance; see :meth:`InstanceDoor.open`.

        Raises:
            Conflict: it is not running and not on its way.
            PermissionDenied: it belongs to somebody else, whose token is inside.
        """
        with self._db.read() as session:
            row = self._find(session, caller, name)
        return self.door.open(caller, row.id)

    def delete(self, caller: Caller, name: str) -> None:
        """Delete it and its home, for good.

        Raises:
            Conflict: it is not stopped.
        """
        with self._db.write() as session:
            row = self._find(session, caller, name, lock=True)
            if row.state not in _AT_REST:
                raise Conflict(
                    f"instance {row.name} is {row.state}: "
                    f"stop it first with 'nacre instance stop {row.name}'"
                )
            attempts = self._remove(session, row, caller.user_id)
        self._remove_files(row, attempts)

    def discard(self) -> int:
        """Delete the temporary instances that have stopped, and those that failed a day ago; how many."""
        over = (InstanceRow.state == InstanceState.STOPPED) | (
            (InstanceRow.state == InstanceState.FAILED)
            & (InstanceRow.created_at < self._clock.now() - FAILED_TEMPORARY)
        )
        with self._db.read() as session:
            done = session.scalars(select(InstanceRow.id).where(InstanceRow.temporary, over)).all()
        count = 0
        for instance_id in done:
            with self._db.write() as session:
                row = session.get(InstanceRow, instance_id, with_for_update=True)
                if row is None or row.state not in _AT_REST:
                    continue
                attempts = self._remove(session, row, None)
            self._remove_files(row, attempts)
            count += 1
        return count

    def _remove(self, session: Session, row: InstanceRow, user_id: str | None) -> Sequence[AttemptRow]:
        self._datasets.release(session, _KIND, row.id)
        self._events.add(session, row.project_id, user_id, "instances.delete", row.id, name=row.name)
        attempts = self._attempts.of(session, [row.id])[row.id]
        self._attempts.remove(session, row.id)
        session.delete(row)
        return attempts

    def _remove_files(self, row: InstanceRow, attempts: Sequence[AttemptRow]) -> None:
        for attempt in attempts:
            self._attempts.remove_files(attempt)
        self._launches.remove(row.id)
        self._changed(row)

    def read_log(self, instance_id: str, offset: int, limit: int = 1 << 18) -> tuple[bytes, bool]:
        """Bytes of the latest attempt's log from ``offset``, and whether no more will come of it."""
        with self._db.read() as session:
            attempts = self._attempts.of(session, [instance_id])[instance_id]
        if not attempts:
            return b"", True
        try:
            with self._attempts.log_path(attempts[-1].id).open("rb") as stream:
                stream.seek(offset)
                data = stream.read(limit)
        except FileNotFoundError:
            data = b""
        return data, attempts[-1].ended_at is not None

    def log_name(self, instance_id: str) -> str:
        """A name for the present log: another one with each start."""
        with self._db.read() as session:
            attempts = self._attempts.of(session, [instance_id])[instance_id]
        return attempts[-1].id if attempts else "none"

    def upstream(self, instance_id: str) -> tuple[str, str] | None:
        """Path of the app's unix socket, and its token; null when it does not run."""
        found = self._launches.upstream(instance_id)
        return (found.socket, found.token) if found is not None else None

    # Within

    def _select(self) -> Select[*tuple[Any, ...]]:
        return (
            select(InstanceRow, ProjectRow.name, UserRow.name)
            .join(ProjectRow, ProjectRow.id == InstanceRow.project_id)
            .outerjoin(UserRow, UserRow.id == InstanceRow.user_id)
        )

    def _find(self, session: Session, caller: Caller, name: str, *, lock: bool = False) -> InstanceRow:
        statement = select(InstanceRow).where(
            InstanceRow.project_id == caller.project_id,
            (InstanceRow.name == name) | (InstanceRow.id == name),
        )
        rows = session.scalars(statement.with_for_update() if lock else statement).all()
        for row in rows:
            if name in (row.id, row.name):
                return row
        raise NotFound(f"there is no instance {name} in this project: see 'nacre instance ls'")

    def _uses(self, session: Session, environment_id: str) -> str | None:
        name = session.scalar(
            select(InstanceRow.name).where(
                InstanceRow.environment_id == environment_id, InstanceRow.state.not_in(_AT_REST)
            )
        )
        return f"instance {name}" if name is not None else None

    def _log(self, session: Session, caller: Caller, verb: str, row: InstanceRow, **detail: Any) -> None:
        self._events.add(
            session, row.project_id, caller.user_id, f"instances.{verb}", row.id, name=row.name, **detail
        )

    def _changed(self, row: InstanceRow) -> None:
        self._signals.notify(TOPIC, "attempts", f"instance:{row.id}")

    def _wire(self, found: Row[*tuple[Any, ...]], costs: dict[str, int]) -> Instance:
        row: InstanceRow = found[0]
        idle_s = None
        if row.state == InstanceState.RUNNING and row.started_at is not None:
            since = max(row.started_at, row.active_at or row.started_at)
            idle_s = max(0.0, (self._clock.now() - since).total_seconds())
        return Instance(
            id=row.id,
            created_at=row.created_at,
            project=found[1],
            name=row.name,
            app=InstanceApp(row.app),
            user=found[2] or row.user_id,
            type=row.type,
            environment=row.environment,
            data={name: item["dataset"] for name, item in row.data.items()},
            runs=row.runs,
            temporary=row.temporary,
            state=InstanceState(row.state),
            reason=row.reason,
            message=row.message,
            idle_timeout=row.idle_timeout,
            idle_s=idle_s,
            started_at=row.started_at,
            price_per_hour=row.price_per_hour,
            cost=costs.get(row.id, 0),
            currency=self._prices.currency,
        )
