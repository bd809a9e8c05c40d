"""Datasets and their versions."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from nacre.api.bodies import blob_response
from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.data import Dataset, DatasetFiles, DatasetVersion, VersionCreate, VersionCreated
from nacre.schema.previews import Preview
from nacre.schema.summaries import DataSummary, NoteUpdate
from nacre.services.dataset_files import DatasetFiles as FilesByPath
from nacre.services.datasets import Datasets
from nacre.services.preview_cells import MAX_ROWS
from nacre.services.summaries import Summaries

routes = Routes()


def _datasets(wired: Wired) -> Datasets:
    return wired.datasets


Found = Annotated[Datasets, Depends(_datasets)]


def _files(wired: Wired) -> FilesByPath:
    return wired.dataset_files


def _summaries(wired: Wired) -> Summaries:
    return wired.summaries


@routes.operation("data.create", status=201)
def create(dataset: str, body: VersionCreate, caller: Allowed, datasets: Found) -> VersionCreated:
    return datasets.create(caller, dataset, body)


@routes.operation("data.list")
def list_datasets(
    caller: Allowed,
    datasets: Found,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Page[Dataset]:
    return datasets.list(caller, cursor=cursor, limit=limit)


@routes.operation("data.get")
def get(dataset: str, caller: Allowed, datasets: Found) -> Dataset:
    return datasets.get(caller, dataset)


@routes.operation("data.get_version")
def get_version(dataset: str, version: str, caller: Allowed, datasets: Found) -> DatasetVersion:
    return datasets.get_version(caller, dataset, version)


@routes.operation("data.files")
def files(dataset: str, version: str, caller: Allowed, datasets: Found) -> DatasetFiles:
    return datasets.files(caller, dataset, version)


@routes.operation("data.delete", status=204)
def delete(dataset: str, caller: Allowed, datasets: Found) -> None:
    datasets.delete(caller, dataset)


@routes.operation("data.delete_version", status=204)
def delete_version(dataset: str, version: str, caller: Allowed, datasets: Found) -> None:
    datasets.delete_version(caller, dataset, version)


@routes.operation("data.update")
def update(
    dataset: str, version: str, body: NoteUpdate, caller: Allowed, datasets: Found
) -> DatasetVersion:
    return datasets.update(caller, dataset, version, body.note)


@routes.operation("data.preview")
def preview(
    dataset: str,
    version: str,
    path: str,
    caller: Allowed,
    files: Annotated[FilesByPath, Depends(_files)],
    offset: Annotated[int, Query(ge=0, lt=2**53, description="first row of a table, item of a folder")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS, description="rows of a table, items of a folder")] = 100,
) -> Preview:
    """Nothing in the file is executed. The bytes of images and audio come from ``data.file``."""
    return files.preview(caller, dataset, version, path, offset=offset, limit=limit)


@routes.operation("data.file", response_class=Response)
def file(
    dataset: str,
    version: str,
    path: str,
    request: Request,
    caller: Allowed,
    files: Annotated[FilesByPath, Depends(_files)],
) -> Response:
    """The bytes. A browser shows pictures, sound and plain text; everything else is a download."""
    entry, stream = files.open(caller, dataset, version, path)
    return blob_response(request, stream, entry.digest, path=entry.path)


@routes.operation("data.summary")
async def summary(
    dataset: str,
    version: str,
    caller: Allowed,
    summaries: Annotated[Summaries, Depends(_summaries)],
) -> DataSummary:
    """Takes up to some 20 seconds the first time; later answers come from memory."""
    work = await run_in_threadpool(summaries.begin, caller, dataset, version)
    return await asyncio.shield(asyncio.wrap_future(work))
