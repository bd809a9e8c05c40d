"""``client.jobs``."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterator

from nacre.errors import Unavailable
from nacre.schema.jobs import FINAL_STATES, Job, JobPlan, JobSpec
from nacre.sdk.resources.base import Noun
from nacre.sdk.resources.log_bytes import log_bytes

_WAIT_S = 30.0


class Jobs(Noun):
    """What the scheduler runs. ``job`` is a job's name, its id or the id of its run."""

    def plan(self, spec: JobSpec, *, project: str | None = None) -> JobPlan:
        """What a submission would do and cost; nothing is stored."""
        found: JobPlan = self._transport.call(
            "jobs.plan",
            JobPlan,
            json=spec.model_dump(mode="json"),
            project=self._in(project),
            repeatable=True,
        )
        return found

    def submit(self, spec: JobSpec, *, project: str | None = None) -> Job:
        """Submit a job. Its code, if any, has been pushed: ``nacre.sdk.snapshot.push_snapshot``."""
        found: Job = self._transport.call(
            "jobs.submit", Job, json=spec.model_dump(mode="json"), project=self._in(project)
        )
        return found

    def list(
        self, *, active: bool = False, limit: int | None = None, project: str | None = None
    ) -> builtins.list[Job]:
        """Jobs, newest first; ``active``: only those that have not ended."""
        query = {"active": True} if active else None
        return self._all("jobs.list", Job, limit=limit, query=query, project=self._in(project))

    def get(
        self,
        job: str,
        *,
        unless: str | None = None,
        wait_s: float | None = None,
        project: str | None = None,
    ) -> Job:
        """A job; with ``wait_s`` (at most 60) as soon as its state is not ``unless``.

        ``unless`` is a state, or a state with its reason, as ``queued:no_capacity``.
        """
        found: Job = self._transport.call(
            "jobs.get",
            Job,
            query={"unless": unless, "wait_s": wait_s},
            timeout_s=None if wait_s is None else wait_s + 15,
            project=self._in(project),
            job=job,
        )
        return found

    def wait(self, job: str, *, timeout_s: float | None = None, project: str | None = None) -> Job:
        """The job once it has ended.

        Raises:
            Unavailable: it has not ended within ``timeout_s``; it goes on.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        found = self.get(job, project=project)
        while found.state not in FINAL_STATES:
            left = _WAIT_S if deadline is None else min(_WAIT_S, deadline - time.monotonic())
            if left <= 0:
                raise Unavailable(f"job {found.name} is still {found.state} after {timeout_s:g} seconds")
            found = self.get(found.id, unless=found.state, wait_s=left, project=project)
        return found

    def logs(
        self,
        job: str,
        *,
        follow: bool = False,
        offset: int = 0,
        tail: int | None = None,
        replica: int = 0,
        project: str | None = None,
    ) -> Iterator[bytes]:
        """The log's bytes as they come; ``follow`` goes on until the job has ended, also while the server
        restarts. ``tail``: only the last lines of what is there. ``replica``: whose, by rank."""
        query = {
            "follow": follow or None,
            "offset": offset,
            "tail": tail,
            "replica": replica or None,
        }
        return log_bytes(
            self._transport,
            "jobs.logs",
            query,
            lambda: self.get(job, project=project).state in FINAL_STATES,
            project=self._in(project),
            job=job,
        )

    def stop(
        self,
        job: str,
        *,
        reason: str | None = None,
        grace: float | str | None = None,
        project: str | None = None,
    ) -> Job:
        """Ask a job to end: SIGTERM, then SIGKILL after its ``stop_duration``, or after ``grace`` (seconds,
        or text such as 10m)."""
        found: Job = self._transport.call(
            "jobs.stop",
            Job,
            json={"reason": reason, "grace": grace},
            project=self._in(project),
            job=job,
            repeatable=True,
        )
        return found

    def delete(self, job: str, *, project: str | None = None) -> None:
        """Delete an ended job, its log and its run."""
        self._transport.call("jobs.delete", None, project=self._in(project), job=job)
