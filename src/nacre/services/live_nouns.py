"""Topics of the nouns that live in services of their own: their lists, single things and logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.schema.live import LiveSubscribe
from nacre.services.datasets import Datasets
from nacre.services.endpoint_logs import EndpointLogs
from nacre.services.endpoints import Endpoints
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.instances import Instances
from nacre.services.jobs import Jobs
from nacre.services.live_logs import LogTopic
from nacre.services.live_topics import ListTopic, ThingTopic, Topic, plain
from nacre.services.models import Models

AGAIN_S = 3.0
"""Changes without a signal (a build in another process, a dataset's new version) are seen so soon."""
IDLE_STEP_S = 10
"""How long an instance has been idle is told in such steps, so that idling alone says little."""


class NounTopics:
    """Makes topics. What they read depends on the project, not on who watches: all can share them."""

    def __init__(
        self,
        *,
        db: Database,
        jobs: Jobs,
        instances: Instances,
        environments: EnvironmentCatalogue,
        datasets: Datasets,
        models: Models,
        endpoints: Endpoints,
        endpoint_logs: EndpointLogs,
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._instances = instances
        self._environments = environments
        self._endpoint_logs = endpoint_logs
        self._lists: Mapping[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
            "instances": (("instances", "instance:*"), instances.list),
            "environments": (("environments", "environment:*"), environments.list),
            "models": (("models", "jobs"), models.list),
            "data": ((), datasets.list),
            "endpoints": (("endpoints", "serving"), endpoints.list),
        }
        self._things: Mapping[str, tuple[tuple[str, ...], Callable[[Caller, str], Any]]] = {
            "model": (("models", "jobs", "evaluation:*"), models.get),
            "dataset": ((), datasets.get),
            "endpoint": (("endpoints", "serving"), endpoints.get),
        }

    def topic(self, caller: Caller, wanted: LiveSubscribe) -> Topic:
        """The topic of a subscription.

        Raises:
            NotFound: there is no thing of that name.
        """
        kind, name = wanted.topic, wanted.name or ""
        if kind in self._lists:
            signals, rows = self._lists[kind]
            read = partial(rows, caller, limit=wanted.limit)
            key = f"{kind}:{caller.project_id}:{wanted.limit}"
            return ListTopic(key, signals, self._db, lambda: _steady(plain(read().items)), AGAIN_S)
        if kind in ("jobs", "job", "log"):
            return self._job(caller, wanted)
        if kind in ("instance", "instance_log"):
            return self._instance(caller, wanted, self._instances.get(caller, name).id)
        if kind in ("environment", "environment_log"):
            return self._environment(caller, wanted, self._environments.get(caller, name).id)
        if kind == "replica_log":
            return self._replica_log(wanted, self._endpoint_logs.known(caller, name))
        signals, get = self._things[kind]
        found: str = get(caller, name).id  # it is there; it may get another name, but is asked for by this
        return ThingTopic(
            f"{kind}:{found}:{name}",
            signals,
            self._db,
            kind,
            lambda: plain([get(caller, name)])[0],
            AGAIN_S,
        )

    def _job(self, caller: Caller, wanted: LiveSubscribe) -> Topic:
        if wanted.topic == "jobs":
            key = f"jobs:{caller.project_id}:{wanted.active}:{wanted.limit}"
            read = partial(self._jobs.list, caller, limit=wanted.limit, active=wanted.active)
            return ListTopic(key, ("jobs", "job:*"), self._db, lambda: plain(read().items))
        job = self._jobs.get(caller, wanted.name or "").id
        if wanted.topic == "job":
            get = partial(self._jobs.get, caller, job)
            return ThingTopic(
                f"job:{job}", (f"job:{job}", "jobs"), self._db, "job", lambda: plain([get()])[0]
            )
        return LogTopic(
            f"{job}:{wanted.replica}" if wanted.replica else job,
            (f"log:{job}", f"job:{job}"),
            partial(self._jobs.logs.read, job, replica=wanted.replica),
            tail=partial(self._jobs.logs.tail, job, replica=wanted.replica),
            lines=wanted.tail,
            encoding=wanted.encoding,
        )

    def _replica_log(self, wanted: LiveSubscribe, replica_id: str) -> Topic:
        return LogTopic(
            replica_id,
            (f"log:{replica_id}", "endpoints"),
            partial(self._endpoint_logs.logs.read, replica_id),
            tail=partial(self._endpoint_logs.logs.tail, replica_id),
            lines=wanted.tail,
            encoding=wanted.encoding,
        )

    def _instance(self, caller: Caller, wanted: LiveSubscribe, instance_id: str) -> Topic:
        signals = (f"instance:{instance_id}", "instances")
        if wanted.topic == "instance":
            get = partial(self._instances.get, caller, instance_id)
            return ThingTopic(
                f"instance:{instance_id}",
                signals,
                self._db,
                "instance",
                lambda: _steady(plain([get()]))[0],
                AGAIN_S,
            )
        return LogTopic(
            instance_id,
            (f"log:{instance_id}", f"instance:{instance_id}"),
            partial(self._instances.read_log, instance_id),
            encoding=wanted.encoding,
            which=partial(self._instances.log_name, instance_id),
        )

    def _environment(self, caller: Caller, wanted: LiveSubscribe, environment_id: str) -> Topic:
        signals = (f"environment:{environment_id}",)
        if wanted.topic == "environment":
            get = partial(self._environments.get, caller, environment_id)
            return ThingTopic(
                f"environment:{environment_id}:{caller.project_id}",
                signals,
                self._db,
                "environment",
                lambda: plain([get()])[0],
                AGAIN_S,
            )
        return LogTopic(
            environment_id,
            signals,
            partial(self._environments.read_log, environment_id),
            encoding=wanted.encoding,
            which=partial(self._environments.log_name, environment_id),
        )


def _steady(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        if isinstance(idle := row.get("idle_s"), int | float):
            row["idle_s"] = idle // IDLE_STEP_S * IDLE_STEP_S
    return rows
