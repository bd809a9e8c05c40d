"""``client.queue``: what waits and who has what; ``client.quotas``: the most that projects may have."""

from __future__ import annotations

import builtins

from nacre.schema.queue import QueueEntry, Quota, QuotaUpdate, Share
from nacre.sdk.resources.base import Noun


class Queue(Noun):
    """The queue of all jobs."""

    def list(self) -> builtins.list[QueueEntry]:
        """The jobs that wait, in the order of their turns (the first 1,000)."""
        return self._all("queue.list", QueueEntry)

    def shares(self) -> builtins.list[Share]:
        """What each project holds of the machines now, and used of late."""
        return self._all("queue.shares", Share)


class Quotas(Noun):
    """The most that a project's work holds at one moment."""

    def get(self, project: str | None = None) -> Quota:
        """The quota of a project."""
        found: Quota = self._transport.call("quotas.get", Quota, project=self._in(project))
        return found

    def update(self, project: str, **change: float | str | None) -> Quota:
        """Change a project's quota (administrators).

        ``cpu``, ``memory`` (bytes, or text such as 64GB), ``gpu``, ``running_jobs``: limits, None for
        none; ``weight``: of its turns; ``priority``: the highest of its jobs. What is left out stays.

        Raises:
            InvalidSpec: a field that there is not, or a value that makes no sense.
            NotFound: there is no such project.
        """
        body = QuotaUpdate.model_validate(change).model_dump(exclude_unset=True)
        found: Quota = self._transport.call("quotas.update", Quota, json=body, name=project)
        return found
