"""From an instance to what a launcher is told, and from what launchers report back to the instance."""

from __future__ import annotations

import os
import secrets as random
from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.instances import InstanceRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.instances import STOPPED_BY_USER, ending
from nacre.errors import NotFound, PluginError, Unavailable
from nacre.ports.engines import Engine, NodeFacts
from nacre.ports.environments import Built
from nacre.schema.instances import InstanceState
from nacre.schema.launch import LaunchInput, LaunchLimits, LaunchSpec, SandboxMode
from nacre.services.apps import SOCKET, TOKEN, app_of, remove
from nacre.services.attempts import Attempts
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.launches import LaunchPlace
from nacre.services.secrets import Secrets
from nacre.services.upstreams import Upstream

_DOOMED = ".deleted"
_TAIL_BYTES = 2048
_TAIL_LINES = 12


class InstanceLaunches:
    """Instances, seen from their attempts: registered with ``Attempts`` under the kind ``instance``.

    Each instance has a folder: ``home`` (kept until it is deleted), ``token`` (the app's, mode 0600), and
    what its app writes at each launch.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        attempts: Attempts,
        environments: EnvironmentCatalogue,
        secrets: Secrets,
        events: Events,
        engine: Engine,
        place: LaunchPlace,
        folder: Path,
    ) -> None:
        """``folder``: holds one folder per instance."""
        self._db = db
        self._clock = clock
        self._attempts = attempts
        self._environments = environments
        self._secrets = secrets
        self._events = events
        self._engine = engine
        self._place = place
        self._folder = folder
        attempts.register("instance", self)

    def folder(self, instance_id: str) -> Path:
        """The instance's own folder on this host."""
        return self._folder / instance_id

    # What to launch

    def spec(
        self,
        row: InstanceRow,
        project: ProjectRow,
        attempt_id: str,
        facts: NodeFacts,
        gpus: Iterable[int],
    ) -> LaunchSpec:
        """What to launch, without a token; writes what the app needs, and its token.

        Raises:
            NotFound: a secret that the instance names is gone.
            PluginError: one of its environments is not built.
        """
        app = app_of(row)
        kernel = self._built(row.kernel_environment_id, row.environment) if app.has_kernel else None
        program = self._built(row.lab_environment_id, app.environment)
        variables, files = self._secrets.reveal(row.project_id, row.secrets)
        boxed = facts.sandbox is not SandboxMode.NONE
        self.folder(row.id).mkdir(parents=True, exist_ok=True)
        given = app.launch(row, program, kernel, self.folder(row.id), boxed=boxed)
        common = self._place.common(project, attempt_id, facts)
        return LaunchSpec(
            **(common if given.network else {**common, "network": "none"}),
            kind="instance",
            subject_id=row.id,
            subject_name=row.name,
            inputs=[
                LaunchInput(name=name, manifest=item["manifest"], mode=item["mode"])
                for name, item in row.data.items()
            ],
            environment=given.main.folder,
            interpreter=given.main.interpreter,
            command=given.command,
            variables={**given.variables, "NACRE_INSTANCE": row.name},
            work_scopes=list(given.scopes),
            secrets=variables,
            secret_files=files | {TOKEN: self._token(row.id, attempt_id)},
            home=str(self.folder(row.id) / "home"),
            mounts=given.mounts,
            limits=LaunchLimits(cpu=row.cpu, memory_bytes=row.memory, gpus=[*gpus]),
        )

    def _built(self, environment_id: str | None, name: str) -> Built:
        found = None
        if environment_id is not None:
            with self._db.read() as session:
                digest = self._environments.status(session, environment_id).digest
            found = self._environments.built(digest) if digest else None
        if found is None:
            raise PluginError(f"the environment {name} is not there any more: start the instance again")
        return found

    def _token(self, instance_id: str, attempt_id: str) -> str:
        """The app's token for this attempt: made once, then read, so that a launch can be repeated."""
        known = self._read_token(instance_id)
        if known is not None and known[0] == attempt_id:
            return known[1]
        token = random.token_urlsafe(32)
        path = self.folder(instance_id) / "token"
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(f"{attempt_id} {token}")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(path)
        return token

    def _read_token(self, instance_id: str) -> tuple[str, str] | None:
        try:
            attempt_id, _, token = (self.folder(instance_id) / "token").read_text().partition(" ")
        except FileNotFoundError:
            return None
        return attempt_id, token

    def upstream(self, instance_id: str) -> Upstream | None:
        """Where the app of a live attempt listens, and its token; null when there is none."""
        with self._db.read() as session:
            attempt = self._attempts.active(session, instance_id)
        known = self._read_token(instance_id)
        if attempt is None or known is None or known[0] != attempt.id:
            return None
        return Upstream(self._engine.socket(attempt.replicas[0].handle, SOCKET), known[1])

    def remove(self, instance_id: str) -> None:
        """Remove the instance's folder with the home in it; no error when it is gone."""
        folder = self.folder(instance_id)
        if folder.exists():
            doomed = folder.with_name(f"{instance_id}{_DOOMED}")
            folder.rename(doomed)
            remove(doomed)

    def sweep(self) -> int:
        """Finish removals that a crash of the server cut short; how many.

        Only folders that were meant to go: one that merely is unknown to this database holds somebody's
        home.
        """
        doomed = list(self._folder.glob(f"*{_DOOMED}"))
        for folder in doomed:
            remove(folder)
        return len(doomed)

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
            row = session.get(InstanceRow, attempt.subject_id)
            project = session.get(ProjectRow, attempt.project_id)
        if row is None or project is None:
            raise NotFound("the instance of this attempt is gone")
        [only] = replicas
        facts = {node.name: node for node in self._engine.nodes()}.get(only.node)
        if facts is None:
            raise Unavailable(f"the node {only.node} is not there")
        return [self.spec(row, project, attempt.id, facts, map(int, only.gpus))]

    def manifests(self, session: Session, subject_id: str) -> list[str]:
        """Its datasets."""
        row = session.get(InstanceRow, subject_id)
        return [] if row is None else [item["manifest"] for item in row.data.values()]

    def attempt_moved(self, session: Session, attempt: AttemptRow) -> None:
        """What the launcher tells while the app is not ready yet."""
        row = session.get(InstanceRow, attempt.subject_id, with_for_update=True)
        if row is None or row.attempt_id != attempt.id or row.state != InstanceState.STARTING:
            return
        row.message = attempt.message or f"{app_of(row).title} is {attempt.state}"

    def attempt_ended(self, session: Session, attempt: AttemptRow) -> None:
        """The instance has stopped, or failed with the last lines of its log."""
        row = session.get(InstanceRow, attempt.subject_id, with_for_update=True)
        if row is None or row.attempt_id != attempt.id:
            return
        asked = row.stop_reason is not None
        end = ending(attempt.reason or "launch_failed", row.stop_reason)
        row.state, row.reason = end.state, end.reason
        row.started_at = row.active_at = row.queued_at = row.stop_reason = None
        if end.state is InstanceState.FAILED:
            tail = self.log_tail(attempt.id)
            said = row.message if asked else attempt.message
            row.message = "\n".join(filter(None, (said or attempt.message, tail))) or None
        elif end.reason == STOPPED_BY_USER:
            row.message = None
        self._events.add(
            session,
            row.project_id,
            None,
            "instances.end",
            row.id,
            name=row.name,
            state=row.state,
            reason=row.reason,
        )
