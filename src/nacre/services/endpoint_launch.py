"""From a replica of an endpoint to what a launcher is told, and from what launchers report back to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.endpoints import EndpointReplicaRow, EndpointRow, RevisionRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.models import ModelVersionRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.models import find_script
from nacre.errors import NotFound, PluginError, Unavailable
from nacre.ports.engines import Engine, NodeFacts
from nacre.ports.environments import Built
from nacre.schema.endpoints import EndpointSettings, ReplicaState
from nacre.schema.launch import ExitReason, LaunchInput, LaunchLimits, LaunchSpec
from nacre.services.attempts import Attempts
from nacre.services.blobs import BlobLedger
from nacre.services.endpoint_steps import HUNG
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.launches import LaunchPlace

SOCKET = "replica.sock"
"""The unix socket in the folder of ``$NACRE_TRACK_FILE`` on which a replica listens."""
TIMEOUT_S = 60.0
"""How long a request may take where its endpoint says nothing else (``modelserver.limits``)."""
EXITED = "exited"
"""Why a replica has failed whose program ended by itself, as if all were well."""

_MODEL = "model"
_SCRIPT = f"""\
exec python -m nacre.modelserver.replica --socket "${{NACRE_TRACK_FILE%/*}}/{SOCKET}" "$@"
"""
_TAIL_BYTES, _TAIL_LINES = 2048, 12


def grace_s(timeout_s: float) -> float:
    """How long a replica that was told to end has for what is under way; it ends as soon as nothing is."""
    return timeout_s + 5.0


@dataclass(frozen=True)
class Told:
    """What a launch takes from the database. ``job``: the one behind the version; a pickled model may need
    the classes of its script. ``code``: that script's snapshot, if it is still there."""

    replica: EndpointReplicaRow
    endpoint: EndpointRow
    project: ProjectRow
    version: ModelVersionRow
    job: JobRow | None
    code: str | None


class EndpointLaunches:
    """Replicas of endpoints, seen from their attempts: registered with ``Attempts`` under ``endpoint``.

    A replica has the files of its model version, its environment, and a socket; neither a network, nor the
    API, nor a token.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        attempts: Attempts,
        environments: EnvironmentCatalogue,
        ledger: BlobLedger,
        engine: Engine,
        place: LaunchPlace,
    ) -> None:
        self._db = db
        self._ledger = ledger
        self._clock = clock
        self._attempts = attempts
        self._environments = environments
        self._engine = engine
        self._place = place
        attempts.register("endpoint", self)

    # What to launch

    def told(self, session: Session, replica_id: str) -> Told | None:
        """Null when it is gone, or its endpoint."""
        found = session.execute(
            select(EndpointReplicaRow, EndpointRow, ProjectRow, ModelVersionRow)
            .join(EndpointRow, EndpointRow.id == EndpointReplicaRow.endpoint_id)
            .join(ProjectRow, ProjectRow.id == EndpointReplicaRow.project_id)
            .join(
                RevisionRow,
                (RevisionRow.endpoint_id == EndpointReplicaRow.endpoint_id)
                & (RevisionRow.number == EndpointReplicaRow.revision),
            )
            .join(ModelVersionRow, ModelVersionRow.id == RevisionRow.version_id)
            .where(EndpointReplicaRow.id == replica_id)
        ).one_or_none()
        if found is None:
            return None
        row, endpoint, project, version = found
        run, code = version.lineage.get("run"), version.lineage.get("code")
        job = session.scalars(select(JobRow).where(JobRow.run_id == run)).one_or_none() if run else None
        if code is not None and not self._ledger.has(session, project.id, [code]):
            code = None
        return Told(row, endpoint, project, version, job, code)

    def spec(self, told: Told, attempt_id: str, facts: NodeFacts, gpus: Iterable[int]) -> LaunchSpec:
        """What to launch, without a token.

        Raises:
            PluginError: its environment is not built.
        """
        row, version = told.replica, told.version
        built = self._built(row)
        settings = EndpointSettings.model_validate(told.endpoint.settings)
        alone = {"network": "none", "api_socket_folder": None, "api_url": None}
        alone |= {"packages": None, "package_socket_folder": None}
        entry = "" if version.entry == "." else f"/{version.entry}"
        timeout_s = settings.timeout_s or TIMEOUT_S
        words = ["--model", f"${{{{inputs.{_MODEL}}}}}{entry}", "--grace", f"{timeout_s:g}"]
        script = find_script(told.job.record["commands"]) if told.job and told.code else None
        if script:
            words += ["--module" if script.module else "--script", script.name]
        variables = {"NACRE_MODEL_FRAMEWORK": version.framework}
        given = version.signature or (version.inputs and {"inputs": version.inputs, "outputs": []})
        if given:
            variables["NACRE_MODEL_SIGNATURE"] = json.dumps(given)
        return LaunchSpec(
            **(self._place.common(told.project, attempt_id, facts) | alone),
            kind="endpoint",
            subject_id=row.id,
            subject_name=told.endpoint.name,
            code=told.code,
            workdir=told.job.spec.get("workdir", ".") if told.job else ".",
            inputs=[LaunchInput(name=_MODEL, manifest=version.manifest)],
            environment=built.folder,
            interpreter=built.interpreter,
            command=["/bin/sh", "-c", _SCRIPT, "replica", *words],
            variables=variables,
            limits=LaunchLimits(
                cpu=row.cpu,
                memory_bytes=min(row.memory, settings.memory_bytes or row.memory),
                grace_s=grace_s(timeout_s),
                gpus=[*gpus],
            ),
        )

    def _built(self, row: EndpointReplicaRow) -> Built:
        found = None
        if row.environment_id is not None:
            with self._db.read() as session:
                digest = self._environments.status(session, row.environment_id).digest
            found = self._environments.built(digest) if digest else None
        if found is None:
            raise PluginError("the model's environment is not there any more: it is built again")
        return found

    def socket(self, handle: dict[str, object]) -> str:
        """Where a replica listens, as any process of this host finds it.

        The engine's own path may lead through a descriptor of this process: it is resolved. What is behind
        a link that the work made itself is never told.
        """
        found = self._engine.socket(handle, SOCKET)
        folder, name = os.path.split(found)
        return os.path.join(os.path.realpath(folder), name) if folder.startswith("/proc/") else found

    def log_tail(self, attempt_id: str) -> str:
        """The last lines of an attempt's log; empty when there are none."""
        try:
            with self._attempts.log_path(attempt_id).open("rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])

    # The subject of attempts

    def launch_specs(self, attempt: AttemptRow, replicas: Sequence[ReplicaRow]) -> list[LaunchSpec]:
        """The spec of an attempt that was stored by a server that has died since."""
        with self._db.read() as session:
            told = self.told(session, attempt.subject_id)
        if told is None:
            raise NotFound("the replica of this attempt is gone")
        [only] = replicas
        facts = {node.name: node for node in self._engine.nodes()}.get(only.node)
        if facts is None:
            raise Unavailable(f"the node {only.node} is not there")
        return [self.spec(told, attempt.id, facts, map(int, only.gpus))]

    def manifests(self, session: Session, subject_id: str) -> list[str]:
        """The model's files, and the code that made it."""
        told = self.told(session, subject_id)
        return [] if told is None else [told.version.manifest, *([told.code] if told.code else [])]

    def attempt_moved(self, session: Session, attempt: AttemptRow) -> None:
        """What the launcher tells while the replica does not answer yet."""
        row = session.get(EndpointReplicaRow, attempt.subject_id, with_for_update=True)
        if row is None or row.attempt_id != attempt.id or row.state != ReplicaState.STARTING:
            return
        row.message = attempt.message or f"the replica is {attempt.state}"

    def attempt_ended(self, session: Session, attempt: AttemptRow) -> None:
        """It has stopped, if it was told to, and not for hanging; else it has failed, with the last lines
        of its log."""
        row = session.get(EndpointReplicaRow, attempt.subject_id, with_for_update=True)
        if row is None or row.attempt_id != attempt.id:
            return
        row.ended_at = attempt.ended_at or self._clock.now()
        if row.state == ReplicaState.DRAINING and row.stop_reason != HUNG:
            row.state, row.reason, row.message = ReplicaState.STOPPED, row.stop_reason, None
            return
        reason = attempt.reason or ExitReason.LAUNCH_FAILED.value
        asked = row.stop_reason is not None  # for not getting ready, or for hanging
        tail = self.log_tail(attempt.id)
        said = row.message if asked else attempt.message
        row.state = ReplicaState.FAILED
        row.reason = row.stop_reason or (EXITED if reason == ExitReason.SUCCEEDED else reason)
        row.message = "\n".join(filter(None, (said, tail))) or None
