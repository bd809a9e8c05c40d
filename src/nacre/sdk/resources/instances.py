"""``client.instances``: interactive machines with JupyterLab, and TensorBoards."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nacre.errors import Conflict
from nacre.schema.instances import Instance, InstanceApp, InstanceCreate, InstanceState, InstanceUrl
from nacre.sdk.resources.base import Noun
from nacre.sdk.terminal import InstanceTerminal

_WAIT_S = 20.0
AT_REST = (InstanceState.STOPPED, InstanceState.FAILED)


class Instances(Noun):
    """The project's instances. ``instance`` is a name or an id."""

    def create(
        self,
        name: str | None = None,
        *,
        type: str = "cpu.small",  # noqa: A002 - the field's name
        environment: str = "base",
        data: Mapping[str, str] | None = None,
        idle_timeout: float | str = "1h",
        secrets: Sequence[str] = (),
        start: bool = True,
        project: str | None = None,
    ) -> Instance:
        """A new instance with an empty home; it starts at once unless ``start`` is false.

        Args:
            name: the server finds one when it is not given.
            data: name below ``/data`` → dataset version (``digits``, ``digits@3``).
            idle_timeout: seconds, or text such as ``1h30m``.

        Raises:
            Conflict: the project has an instance of that name.
        """
        body = {
            "name": name,
            "type": type,
            "environment": environment,
            "data": {key: {"path": path} for key, path in (data or {}).items()},
            "idle_timeout": idle_timeout,
            "secrets": list(secrets),
            "start": start,
        }
        return self._create(body, project)

    def _create(self, body: Mapping[str, Any], project: str | None) -> Instance:
        checked = InstanceCreate.model_validate(body)
        found: Instance = self._transport.call(
            "instances.create", Instance, json=checked.model_dump(mode="json"), project=self._in(project)
        )
        return found

    def tensorboard(
        self,
        runs: Sequence[str],
        *,
        name: str | None = None,
        type: str = "cpu.small",  # noqa: A002 - the field's name
        idle_timeout: float | str | None = None,
        project: str | None = None,
    ) -> Instance:
        """A TensorBoard that shows these runs and follows those that go on; :meth:`open` gives its URL.

        Without a name it is deleted once it stops, and one of your own with the same runs that is there
        already is taken. With a name it stays until you delete it.

        Args:
            runs: names or ids of runs of the project, at most 100.
            idle_timeout: seconds, or text such as ``30m``; ten minutes when not given.

        Raises:
            Conflict: the project has an instance of that name.
            NotFound: the project has no such run.
        """
        body = {
            "name": name,
            "app": InstanceApp.TENSORBOARD,
            "type": type,
            "runs": list(runs),
            "idle_timeout": idle_timeout,
            "temporary": name is None,
        }
        return self._create(body, project)

    def list(self, *, limit: int | None = None, project: str | None = None) -> builtins.list[Instance]:
        """The project's instances, newest first."""
        return self._all("instances.list", Instance, limit=limit, project=self._in(project))

    def get(
        self,
        instance: str,
        *,
        unless: str | None = None,
        wait_s: float | None = None,
        project: str | None = None,
    ) -> Instance:
        """An instance. With ``unless`` (a state) and ``wait_s`` (≤ 60): once its state is another one."""
        found: Instance = self._transport.call(
            "instances.get",
            Instance,
            query={"unless": unless, "wait_s": wait_s},
            timeout_s=None if wait_s is None else wait_s + 30,
            project=self._in(project),
            instance=instance,
        )
        return found

    def start(self, instance: str, *, project: str | None = None) -> Instance:
        """Start it; nothing when it is starting or running."""
        found: Instance = self._transport.call(
            "instances.start", Instance, repeatable=True, project=self._in(project), instance=instance
        )
        return found

    def stop(self, instance: str, *, project: str | None = None) -> Instance:
        """Stop it; its home stays."""
        found: Instance = self._transport.call(
            "instances.stop", Instance, repeatable=True, project=self._in(project), instance=instance
        )
        return found

    def open(self, instance: str, *, project: str | None = None) -> InstanceUrl:
        """A URL that signs one browser in to it, once, within a minute."""
        found: InstanceUrl = self._transport.call(
            "instances.open", InstanceUrl, project=self._in(project), instance=instance
        )
        return found

    def terminal(
        self,
        instance: str,
        *,
        terminal: str | None = None,
        rows: int = 24,
        cols: int = 80,
        project: str | None = None,
    ) -> InstanceTerminal:
        """Open a terminal of it: bash in its home. Use it in a ``with`` block.

        Args:
            terminal: the name of one to join, made where it is not there; a new one when not given.
            rows: the height of the window in characters.
            cols: its width.

        Raises:
            Conflict: it is not running, or is no JupyterLab.
            PermissionDenied: it belongs to somebody else.
            Unavailable: it does not answer.
        """
        path = self._transport.path(
            "instances.terminal", {"project": self._in(project), "instance": instance}
        )
        return InstanceTerminal(self._transport, path, terminal, rows, cols)

    def logs(
        self, instance: str, *, follow: bool = False, offset: int = 0, project: str | None = None
    ) -> Iterator[str]:
        """Lines of the log of its latest start; with ``follow`` until it has ended."""
        with self._transport.stream(
            "instances.logs",
            query={"follow": follow or None, "offset": offset or None},
            project=self._in(project),
            instance=instance,
        ) as response:
            yield from response.iter_lines()

    def delete(self, instance: str, *, project: str | None = None) -> None:
        """Delete it and its home, for good. It must be stopped."""
        self._transport.call("instances.delete", None, project=self._in(project), instance=instance)

    def watch(self, instance: str, *, timeout_s: float, project: str | None = None) -> Iterator[Instance]:
        """The instance now and after each change of its state or reason, until it runs or rests.

        Raises:
            Conflict: it is still on its way when the time is up.
        """
        deadline = time.monotonic() + timeout_s
        found = self.get(instance, project=project)
        yield found
        while found.state is not InstanceState.RUNNING and found.state not in AT_REST:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Conflict(
                    f"instance {found.name} is still {found.state} after {timeout_s:.0f} seconds: "
                    f"see 'nacre instance show {found.name}'"
                )
            known = f"{found.state}:{found.reason or ''}"
            seen = self.get(found.id, unless=known, wait_s=min(_WAIT_S, left), project=project)
            if (seen.state, seen.reason) != (found.state, found.reason):
                yield seen
            found = seen

    def wait(self, instance: str, *, timeout_s: float = 900.0, project: str | None = None) -> Instance:
        """The instance once it runs, or has stopped or failed.

        Raises:
            Conflict: the time is up.
        """
        *_, last = self.watch(instance, timeout_s=timeout_s, project=project)
        return last
