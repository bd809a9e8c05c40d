"""``client.runs``: tracking records, read and written through the API.

Inside a program that trains, use ``nacre.log_metric`` and its companions instead: they batch and retry.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nacre.schema.launch import FileEntry
from nacre.schema.previews import Preview
from nacre.schema.runs import (
    ArtifactsSet,
    MetricSeries,
    Run,
    RunArtifacts,
    RunCreate,
    RunLog,
    RunState,
    RunUpdate,
    TrackRecord,
)
from nacre.sdk.resources.run_table import RunTable


class Runs(RunTable):
    """Runs of a project. ``run`` is an id, a prefix of one (6 digits or more), a name or a job's name."""

    def create(
        self,
        name: str | None = None,
        *,
        experiment: str = "default",
        tags: dict[str, str] | None = None,
        project: str | None = None,
    ) -> Run:
        """Start a run outside a job."""
        spec = RunCreate(name=name, experiment=experiment, tags=tags or {})
        made: Run = self._transport.call(
            "runs.create", Run, json=spec.model_dump(mode="json"), project=self._in(project)
        )
        return made

    def list(
        self, *, limit: int | None = 100, experiment: str | None = None, project: str | None = None
    ) -> builtins.list[Run]:
        """The latest runs, newest first; null for every one."""
        return self._all(
            "runs.list", Run, limit=limit, query={"experiment": experiment}, project=self._in(project)
        )

    def get(self, run: str, *, project: str | None = None) -> Run:
        """A run with its params, tags and the last value of each metric."""
        found: Run = self._transport.call("runs.get", Run, project=self._in(project), run=run)
        return found

    def update(
        self,
        run: str,
        *,
        state: RunState | str | None = None,
        name: str | None = None,
        experiment: str | None = None,
        project: str | None = None,
    ) -> Run:
        """End a run, rename it, or move it to another experiment."""
        state = RunState(state) if state is not None else None
        change = RunUpdate(state=state, name=name, experiment=experiment)
        found: Run = self._transport.call(
            "runs.update", Run, json=change.model_dump(mode="json"), project=self._in(project), run=run
        )
        return found

    def log(
        self,
        run: str,
        records: Sequence[TrackRecord],
        *,
        batch: str | None = None,
        project: str | None = None,
    ) -> None:
        """Log up to 10,000 records. With a ``batch`` id a repeated send counts once, and so is retried."""
        sent = RunLog(records=list(records), batch=batch)
        self._transport.call(
            "runs.log",
            None,
            json=sent.model_dump(mode="json"),
            repeatable=batch is not None,
            project=self._in(project),
            run=run,
        )

    def metric(
        self, run: str, key: str, *, limit: int | None = None, project: str | None = None
    ) -> MetricSeries:
        """A metric's points; of more than ``limit``, the extremes of each stretch."""
        found: MetricSeries = self._transport.call(
            "runs.metric", MetricSeries, query={"limit": limit}, project=self._in(project), run=run, key=key
        )
        return found

    def artifacts(self, run: str, *, project: str | None = None) -> RunArtifacts:
        """The files that a run left."""
        found: RunArtifacts = self._transport.call(
            "runs.artifacts", RunArtifacts, project=self._in(project), run=run
        )
        return found

    def preview(
        self, run: str, path: str = "", *, offset: int = 0, limit: int = 100, project: str | None = None
    ) -> Preview:
        """What an artifact looks like, or what is in a folder of them (empty: all).

        ``offset``, ``limit``: rows of a table, items of a folder; 1000 at most.
        """
        found: Preview = self._transport.call(
            "runs.preview",
            Preview,
            query={"offset": offset, "limit": limit},
            project=self._in(project),
            run=run,
            path=path,
        )
        return found

    def add_artifacts(
        self, run: str, files: Sequence[FileEntry], *, project: str | None = None
    ) -> RunArtifacts:
        """Add files whose blobs have been sent; one of the same path is replaced."""
        found: RunArtifacts = self._transport.call(
            "runs.add_artifacts",
            RunArtifacts,
            json=ArtifactsSet(files=list(files)).model_dump(mode="json"),
            project=self._in(project),
            run=run,
        )
        return found

    @contextmanager
    def artifact(self, run: str, path: str, *, project: str | None = None) -> Iterator[Iterator[bytes]]:
        """The bytes of a file, in pieces, as a context manager."""
        with self._transport.stream(
            "runs.artifact", project=self._in(project), run=run, path=path
        ) as response:
            yield response.iter_bytes(2**20)

    def delete(self, run: str, *, project: str | None = None) -> None:
        """Put a run into the trash. A job's run goes with its job."""
        self._transport.call("runs.delete", None, project=self._in(project), run=run)

    def restore(self, run: str, *, project: str | None = None) -> Run:
        """Bring a run, by its id, back from the trash."""
        found: Run = self._transport.call("runs.restore", Run, project=self._in(project), run=run)
        return found

    def purge(self, run: str, *, project: str | None = None) -> None:
        """Remove a run that is in the trash, by its id, and everything logged to it, for good."""
        self._transport.call("runs.purge", None, project=self._in(project), run=run)
