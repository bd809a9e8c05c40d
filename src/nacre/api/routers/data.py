"""Datasets and their versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.data import Dataset, DatasetFiles, DatasetVersion, VersionCreate, VersionCreated
from nacre.services.datasets import Datasets

routes = Routes()


def _datasets(wired: Wired) -> Datasets:
    return wired.datasets


Found = Annotated[Datasets, Depends(_datasets)]


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
