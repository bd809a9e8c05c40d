"""``client.environments``: locked dependencies, built once and shared."""

from __future__ import annotations

from collections.abc import Iterator

from nacre.schema.base import Page
from nacre.schema.environments import Environment, EnvironmentCreate, EnvironmentUses
from nacre.sdk.resources.base import Noun


class Environments(Noun):
    """The catalogue's environments and the project's own."""

    def create(
        self,
        name: str,
        *,
        requirements: str | None = None,
        pyproject: str | None = None,
        lock: str | None = None,
        python: str | None = None,
        project: str | None = None,
    ) -> Environment:
        """Define an environment from the text of exactly one of ``requirements``, ``pyproject``, ``lock``.

        Args:
            lock: requirements with hashes, a ``pylock.toml``, or a ``uv.lock``.
            python: a minor version such as ``3.11``; the server's own when left out.

        Raises:
            InvalidSpec: not exactly one text.
            Conflict: the name is taken.
        """
        body = EnvironmentCreate(
            name=name, requirements=requirements, pyproject=pyproject, lock=lock, python=python
        )
        found: Environment = self._transport.call(
            "environments.create", Environment, json=body.model_dump(), project=self._in(project)
        )
        return found

    def list(self, *, project: str | None = None) -> Iterator[Environment]:
        """The project's own, newest first, and the catalogue's; without the text of their locks."""
        cursor: str | None = None
        while True:
            page: Page[Environment] = self._transport.call(
                "environments.list",
                Page[Environment],
                query={"cursor": cursor},
                project=self._in(project),
            )
            yield from page.items
            if page.next is None:
                return
            cursor = page.next

    def get(self, environment: str, *, project: str | None = None) -> Environment:
        """An environment by name or id."""
        found: Environment = self._transport.call(
            "environments.get", Environment, project=self._in(project), environment=environment
        )
        return found

    def uses(
        self, environment: str, *, limit: int | None = None, project: str | None = None
    ) -> EnvironmentUses:
        """The project's jobs and instances in it, the latest first, and how many there are."""
        found: EnvironmentUses = self._transport.call(
            "environments.uses",
            EnvironmentUses,
            query={"limit": limit},
            project=self._in(project),
            environment=environment,
        )
        return found

    def build(self, environment: str, *, upgrade: bool = False, project: str | None = None) -> Environment:
        """Build it now, if it is not there; one that failed is tried again. Returns at once.

        Args:
            upgrade: resolve again, to newer versions. Only an administrator upgrades the catalogue's.
        """
        found: Environment = self._transport.call(
            "environments.build",
            Environment,
            query={"upgrade": upgrade or None},
            repeatable=not upgrade,
            project=self._in(project),
            environment=environment,
        )
        return found

    def logs(
        self, environment: str, *, follow: bool = False, offset: int = 0, project: str | None = None
    ) -> Iterator[str]:
        """Lines of the build log; with ``follow`` until it is ready or failed."""
        with self._transport.stream(
            "environments.logs",
            query={"follow": follow or None, "offset": offset or None},
            project=self._in(project),
            environment=environment,
        ) as response:
            yield from response.iter_lines()

    def delete(self, environment: str, *, project: str | None = None) -> None:
        """Delete an environment of the project."""
        self._transport.call(
            "environments.delete", None, project=self._in(project), environment=environment
        )
