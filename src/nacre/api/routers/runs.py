"""Runs: metrics, params, tags, artifacts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from nacre.api.bodies import blob_response
from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.runs import ArtifactsSet, MetricSeries, Run, RunArtifacts, RunCreate, RunLog, RunUpdate
from nacre.services.runs import MAX_POINTS, Runs

routes = Routes()


def _runs(wired: Wired) -> Runs:
    return wired.runs


Found = Annotated[Runs, Depends(_runs)]


@routes.operation("runs.create", status=201)
def create(body: RunCreate, caller: Allowed, runs: Found) -> Run:
    return runs.create(caller, body)


@routes.operation("runs.list")
def list_runs(
    caller: Allowed,
    runs: Found,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    experiment: str | None = None,
) -> Page[Run]:
    return runs.list(caller, cursor=cursor, limit=limit, experiment=experiment)


@routes.operation("runs.get")
def get(run: str, caller: Allowed, runs: Found) -> Run:
    return runs.get(caller, run)


@routes.operation("runs.update")
def update(run: str, body: RunUpdate, caller: Allowed, runs: Found) -> Run:
    return runs.update(caller, run, body)


@routes.operation("runs.log", status=204)
def log(run: str, body: RunLog, caller: Allowed, runs: Found) -> None:
    runs.log(caller, run, body)


@routes.operation("runs.metric")
def metric(
    run: str,
    key: str,
    caller: Allowed,
    runs: Found,
    limit: Annotated[
        int, Query(ge=4, le=MAX_POINTS, description="of more points, the extremes of each stretch are sent")
    ] = MAX_POINTS,
) -> MetricSeries:
    return runs.metric(caller, run, key, limit=limit)


@routes.operation("runs.artifacts")
def artifacts(run: str, caller: Allowed, runs: Found) -> RunArtifacts:
    return runs.artifacts(caller, run)


@routes.operation("runs.add_artifacts")
def add_artifacts(run: str, body: ArtifactsSet, caller: Allowed, runs: Found) -> RunArtifacts:
    return runs.add_artifacts(caller, run, body.files)


@routes.operation("runs.artifact", response_class=Response)
def artifact(run: str, path: str, request: Request, caller: Allowed, runs: Found) -> Response:
    """The bytes. A browser shows pictures, sound and plain text; everything else is a download."""
    entry, stream = runs.artifact(caller, run, path)
    return blob_response(request, stream, entry.digest, path=entry.path)


@routes.operation("runs.restore")
def restore(run: str, caller: Allowed, runs: Found) -> Run:
    return runs.restore(caller, run)


@routes.operation("runs.purge", status=204)
def purge(run: str, caller: Allowed, runs: Found) -> None:
    runs.purge(caller, run)


@routes.operation("runs.delete", status=204)
def delete(run: str, caller: Allowed, runs: Found) -> None:
    runs.delete(caller, run)
