"""Submitting jobs: everything that a job needs is resolved and frozen into its record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.jobs import find_job
from nacre.db.tables.jobs import JobRow
from nacre.domain.identity import Caller
from nacre.domain.jobs import ENVIRONMENT_BUILDING, next_name, stem
from nacre.domain.scheduling import (
    Demand,
    Lane,
    Shape,
    Waiting,
    never_fits,
)
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.ids import new_id
from nacre.ports.engines import Engine
from nacre.ports.environments import Lock
from nacre.schema.data import DatasetVersion
from nacre.schema.environments import EnvironmentState
from nacre.schema.jobs import FINAL_STATES, PRIORITIES, JobPlan, JobRecord, JobSpec, JobState
from nacre.schema.resources import Resources
from nacre.services.attempts import Attempts
from nacre.services.blobs import BlobLedger
from nacre.services.datasets import Datasets
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.job_launch import HOLDER
from nacre.services.job_locks import JobLocks
from nacre.services.prices import Prices
from nacre.services.queued import queued
from nacre.services.quotas import Quotas
from nacre.services.runs import Runs
from nacre.services.scheduling import Scheduling
from nacre.services.secrets import Secrets
from nacre.services.signals import Signals
from nacre.services.tokens import after_commit

_LAST_NAMES = 50
_NUMBER = re.compile(r"-[1-9]\d{0,8}")


class JobSubmissions:
    """Makes jobs."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        attempts: Attempts,
        runs: Runs,
        environments: EnvironmentCatalogue,
        datasets: Datasets,
        secrets: Secrets,
        prices: Prices,
        ledger: BlobLedger,
        locks: JobLocks,
        events: Events,
        engine: Engine,
        scheduling: Scheduling,
        quotas: Quotas,
        version: str,
    ) -> None:
        """``version``: of Nacre, for the record."""
        self._db = db
        self._clock = clock
        self._signals = signals
        self._attempts = attempts
        self._runs = runs
        self._environments = environments
        self._datasets = datasets
        self._secrets = secrets
        self._prices = prices
        self._ledger = ledger
        self._locks = locks
        self._events = events
        self._engine = engine
        self._scheduling = scheduling
        self._quotas = quotas
        self._version = version

    def plan(self, caller: Caller, spec: JobSpec) -> JobPlan:
        """What a submission would do; nothing is stored.

        Raises:
            NotFound: an input, environment, type or secret does not exist.
        """
        self._quotas.check_priority(caller, spec.priority)
        resources, price = self._shape(spec)
        self._secrets.reveal(caller.project_id, spec.secrets)
        if spec.code is not None:
            self._take_code(caller.project_id, spec.code)
        self._resumed(caller.project_id, spec)
        inputs = self._inputs(caller.project_id, spec)
        self._single_files(spec, inputs)
        state, digest, problem = self._environment(caller, spec)
        lane = _lane(spec, resources)
        starts: Literal["now", "waits", "never"] = "now"
        reason = message = None
        if impossible := never_fits(lane, self._scheduling.machines()):
            starts, reason, message = "never", "no_capacity", impossible
        elif state is EnvironmentState.FAILED:
            starts, reason, message = "never", "environment_failed", problem
        elif waiting := self._would_wait(caller, spec, lane):
            starts, reason, message = "waits", waiting.reason, waiting.message
        elif state is not EnvironmentState.READY:
            starts, reason = "waits", ENVIRONMENT_BUILDING
            message = f"the environment {spec.environment} must be built first"
        attempts = spec.max_restarts + 1
        return JobPlan(
            spec=spec,
            inputs={name: _reference(version) for name, version in inputs.items()},
            environment_state=state,
            environment_digest=digest,
            price_per_hour=price * spec.least,
            max_cost=None
            if spec.max_duration is None
            else round(price * spec.most * spec.max_duration / 3600) * attempts,
            currency=self._prices.currency,
            starts=starts,
            reason=reason,
            message=message,
        )

    def _would_wait(self, caller: Caller, spec: JobSpec, lane: Lane) -> Waiting | None:
        """What it would wait for if it were submitted now; None when it would start."""
        now = self._clock.now()
        assert caller.project is not None
        name = spec.name or stem(spec.commands)
        priority = PRIORITIES.index(spec.priority)
        at = now.timestamp()
        demand = Demand("plan", name, lane, caller.project.name, caller.user_id, priority, at)
        with self._db.read() as session:
            queue = [item.demand for item in queued(session) if not item.backing_off(at)]
        return self._scheduling.plan([*queue, demand]).waiting.get(demand.id)

    def submit(self, caller: Caller, spec: JobSpec) -> str:
        """Freeze everything that the job needs and queue it; the job's id.

        Raises:
            InvalidSpec: no machine could ever hold it, or its code was not sent.
            NotFound: an input, environment, type or secret does not exist.
            Conflict: the name is taken.
        """
        self._quotas.check_priority(caller, spec.priority)
        resources, price = self._shape(spec)
        if impossible := never_fits(_lane(spec, resources), self._scheduling.machines()):
            raise InvalidSpec(impossible, fields=[{"field": "resources", "message": impossible}])
        self._secrets.reveal(caller.project_id, spec.secrets)
        resumed = self._resumed(caller.project_id, spec)
        if spec.code is not None:
            self._take_code(caller.project_id, spec.code)
        inputs = self._inputs(caller.project_id, spec)
        files = self._single_files(spec, inputs)
        lock = self._lock(caller.project_id, spec)
        ready = lock is not None and self._environments.built(lock.digest) is not None
        if lock is None:
            self._environments.get(caller, spec.environment)
        for last in (False, False, True):
            try:
                with self._db.write() as session:
                    name = self._free_name(session, caller.project_id, spec)
                    job_id = self._insert(
                        session,
                        project_id=caller.project_id,
                        user_id=caller.user_id,
                        kind="task",
                        name=name,
                        spec=spec.model_copy(update={"name": name}),
                        resources=resources,
                        price=price,
                        environment_id=self._environments.ensure(
                            session, caller.project_id, spec.environment
                        )
                        if lock is None
                        else self._environments.from_lock(
                            session, caller.project_id, spec.environment, lock, ready=ready
                        ),
                        inputs={n: _reference(v) for n, v in inputs.items()},
                        manifests={n: v.manifest for n, v in inputs.items()},
                        files=files,
                        resumed=resumed,
                    )
                    for version in inputs.values():
                        self._datasets.hold(session, caller.project_id, HOLDER, job_id, version)
                return job_id
            except IntegrityError as error:  # somebody took the name at the same moment
                if spec.name is not None or last:
                    raise _taken(spec.name or stem(spec.commands)) from error
        raise AssertionError("unreachable")

    def submit_internal(
        self,
        session: Session,
        *,
        project_id: str,
        user_id: str,
        kind: Literal["convert", "evaluate", "predict", "drift"],
        name: str,
        spec: JobSpec,
        environment_id: str,
        manifests: Mapping[str, str] | None = None,
    ) -> str:
        """Queue work of the server's own in the caller's transaction; the job's id.

        ``manifests`` become the job's inputs, by name. A number is put after a name that is taken.
        """
        resources, price = self._shape(spec)
        if self._named(session, project_id, name) is not None:
            name = next_name(name, self._like(session, project_id, name))
        return self._insert(
            session,
            project_id=project_id,
            user_id=user_id,
            kind=kind,
            name=name,
            spec=spec,
            resources=resources,
            price=price,
            environment_id=self._environments.ensure(session, project_id, environment_id),
            inputs={},
            manifests=dict(manifests or {}),
            files={},
        )

    def _shape(self, spec: JobSpec) -> tuple[Resources, int]:
        """What the job gets and what an hour of it costs."""
        resources, price = self._usual_shape(spec)
        return resources, self._prices.spot(price) if spec.spot else price

    def _usual_shape(self, spec: JobSpec) -> tuple[Resources, int]:
        if spec.instance_type is None:
            return spec.resources, self._prices.per_hour(spec.resources)
        found = self._prices.type(spec.instance_type)
        shape = {"cpu": found.cpu, "memory": found.memory, "gpu": found.gpu, "gpu_name": found.gpu_name}
        return spec.resources.model_copy(update=shape), found.price_per_hour

    def _inputs(self, project_id: str, spec: JobSpec) -> dict[str, DatasetVersion]:
        return {
            name: self._datasets.resolve(None, project_id, item.path) for name, item in spec.inputs.items()
        }

    def _single_files(self, spec: JobSpec, inputs: dict[str, DatasetVersion]) -> dict[str, str]:
        """The file of each input of type ``uri_file``.

        Raises:
            InvalidSpec: the version has another number of files.
        """
        found = {}
        for name, version in inputs.items():
            if spec.inputs[name].type != "uri_file":
                continue
            if version.files != 1:
                message = (
                    f"the input {name} is a uri_file, but {_reference(version)} has {version.files} files: "
                    "leave the type out to get the folder"
                )
                field = {"field": f"inputs.{name}.type", "message": message}
                raise InvalidSpec(message, fields=[field])
            found[name] = self._ledger.read_manifest(version.manifest).files[0].path
        return found

    def _resumed(self, project_id: str, spec: JobSpec) -> str | None:
        """Id of the job whose checkpoints it begins with.

        Raises:
            NotFound: the project has no such job.
            InvalidSpec: that job has not ended: both would write their own.
        """
        name = spec.resume_from
        if name is None:
            return None
        with self._db.read() as session:
            row = find_job(session, project_id, name)
        if row.state not in FINAL_STATES:
            command = f"nacre stop --checkpoint {row.name}"
            message = f"job {row.name} is {row.state}: stop it first with '{command}'"
            raise InvalidSpec(message, fields=[{"field": "resume_from", "message": message}])
        return row.id

    def _take_code(self, project_id: str, code: str) -> None:
        try:
            self._ledger.take_manifest(project_id, code)
        except NotFound as error:
            raise NotFound(
                f"the code {code} is not in this project: it was never sent, or it is gone; "
                "give the folder with --workdir",
                digest=code,
            ) from error

    def _lock(self, project_id: str, spec: JobSpec) -> Lock | None:
        return (
            None if spec.environment_lock is None else self._locks.read(project_id, spec.environment_lock)
        )

    def _environment(
        self, caller: Caller, spec: JobSpec
    ) -> tuple[EnvironmentState, str | None, str | None]:
        """State, digest and message of what it would run in."""
        lock = self._lock(caller.project_id, spec)
        if lock is None:
            found = self._environments.get(caller, spec.environment)
            return found.state, found.digest, found.message
        built = self._environments.built(lock.digest) is not None
        return EnvironmentState.READY if built else EnvironmentState.PENDING, lock.digest, None

    def _named(self, session: Session, project_id: str, name: str) -> JobRow | None:
        return session.scalars(
            select(JobRow).where(JobRow.project_id == project_id, JobRow.name == name)
        ).one_or_none()

    def _like(self, session: Session, project_id: str, base: str) -> Sequence[str]:
        """Names that begin like it: of many, those among which the highest number is."""
        names = select(JobRow.name).where(
            JobRow.project_id == project_id, JobRow.name.startswith(f"{base}-", autoescape=True)
        )
        last = names.order_by(func.length(JobRow.name).desc(), JobRow.name.desc()).limit(_LAST_NAMES)
        found = session.scalars(last).all()
        if len(found) < _LAST_NAMES or any(_NUMBER.fullmatch(name[len(base) :]) for name in found):
            return found
        return session.scalars(names).all()

    def _free_name(self, session: Session, project_id: str, spec: JobSpec) -> str:
        if spec.name is None:
            base = stem(spec.commands)
            return next_name(base, self._like(session, project_id, base))
        if self._named(session, project_id, spec.name) is not None:
            raise _taken(spec.name)
        return spec.name

    def _insert(
        self,
        session: Session,
        *,
        project_id: str,
        user_id: str,
        kind: str,
        name: str,
        spec: JobSpec,
        resources: Resources,
        price: int,
        environment_id: str,
        inputs: dict[str, str],
        manifests: dict[str, str],
        files: dict[str, str],
        resumed: str | None = None,
    ) -> str:
        job_id = new_id("job")
        now = self._clock.now()
        environment = self._environments.status(session, environment_id)
        record = JobRecord(
            code=spec.code,
            environment=environment.name if spec.environment_lock is None else spec.environment,
            environment_digest=environment.digest,
            inputs=inputs,
            manifests=manifests,
            files=files,
            commands=spec.commands,
            env=spec.env,
            secrets=spec.secrets,
            capture=spec.capture if kind == "task" else "off",
            resume_from=resumed,
            hardware={"instance_type": spec.instance_type, **resources.model_dump()},
            nacre=self._version,
        )
        row = JobRow(
            id=job_id,
            project_id=project_id,
            name=name,
            kind=kind,
            description=spec.description,
            user_id=user_id,
            state=JobState.QUEUED,
            run_id=self._runs.create_for_job(
                session,
                project_id=project_id,
                user_id=user_id,
                job_id=job_id,
                job_name=name,
                experiment=spec.experiment_name,
            ),
            environment_id=environment_id,
            spec=spec.model_dump(mode="json"),
            record=record.model_dump(mode="json"),
            cpu=resources.cpu,
            memory=resources.memory,
            gpu=resources.gpu,
            gpu_name=resources.gpu_name,
            price_per_hour=price,
            created_at=now,
            queued_at=now,
        )
        session.add(row)
        session.flush()
        for manifest in {*manifests.values(), *([spec.code] if spec.code else [])}:
            self._ledger.add_reference(session, project_id, HOLDER, job_id, manifest)
        self._events.add(session, project_id, user_id, "jobs.submit", job_id, name=name, kind=kind)
        after_commit(session, lambda: self._signals.notify("jobs"))
        return job_id


def _taken(name: str) -> Conflict:
    return Conflict(f"there is a job {name} already: choose another name, or leave the name out")


def _reference(version: DatasetVersion) -> str:
    return f"{version.dataset}@{version.number}"


def _lane(spec: JobSpec, resources: Resources) -> Lane:
    shape = Shape(resources.cpu, resources.memory, resources.gpu, resources.gpu_name)
    limit = spec.max_duration and spec.max_duration + spec.stop_duration
    return Lane(shape, spec.least, spec.most, time_limit=limit, spot=spec.spot)
