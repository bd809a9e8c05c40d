"""What an MLflow store holds, whichever way it is read: its server, its database or its folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

Point = tuple[str, float, int, int]
"""(key, value, time in ms, step)."""

FINAL = frozenset({"FINISHED", "FAILED", "KILLED"})
POINTS = 5000
"""So many points are given at once."""


class Unreachable(Exception):
    """Something of the store cannot be read; the sentence says what, and what to do."""


@dataclass(frozen=True)
class Place:
    """Whose artifacts: of a run, or of a logged model. ``uri`` is what the store says."""

    kind: str
    id: str
    uri: str


@dataclass(frozen=True)
class Experiment:
    """An experiment that is not deleted."""

    id: str
    name: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run that is not deleted. ``keys`` are those of its metrics where the store needs to be told them;
    ``inputs`` its data sets as the protocol's ``log-inputs`` takes them."""

    id: str
    name: str
    status: str
    start_ms: int
    end_ms: int | None
    user: str
    params: dict[str, str]
    tags: dict[str, str]
    place: Place
    keys: tuple[str, ...] = ()
    inputs: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class LoggedModel:
    """MLflow 3's logged model."""

    id: str
    name: str
    run: str
    status: str
    kind: str
    params: dict[str, str]
    tags: dict[str, str]
    place: Place


@dataclass(frozen=True)
class Version:
    """A version of a registered model. ``source`` is where its files are."""

    number: int
    source: str
    run: str
    description: str
    tags: dict[str, str]


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model; ``aliases`` from alias to the version's number."""

    name: str
    description: str
    tags: dict[str, str]
    aliases: dict[str, int]
    versions: tuple[Version, ...]


class Source(ABC):
    """An MLflow store to read. ``points``, ``files`` and ``read`` are called from several threads.

    Any method may raise :class:`Unreachable`.
    """

    label: str
    """How it is called in messages; without a password."""

    @abstractmethod
    def experiments(self) -> list[Experiment]:
        """Those that are not deleted."""

    @abstractmethod
    def runs(self, experiment: Experiment) -> Iterator[Run]:
        """Runs of an experiment, in order of their start."""

    @abstractmethod
    def points(self, run: Run) -> Iterator[list[Point]]:
        """Every point of a run's metrics, some thousands at a time."""

    @abstractmethod
    def files(self, place: Place) -> Iterator[tuple[str, int | None]]:
        """(path, size if known) of each artifact."""

    @abstractmethod
    def read(self, place: Place, path: str) -> AbstractContextManager[Iterator[bytes]]:
        """The bytes of an artifact, in pieces."""

    @abstractmethod
    def logged_models(self, experiment: Experiment) -> Iterator[LoggedModel]:
        """Logged models of an experiment; none where the store is of MLflow 2."""

    @abstractmethod
    def registered_models(self) -> Iterator[RegisteredModel]:
        """The registry."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the store."""


def dataset_input(
    name: str,
    digest: str,
    source_type: str,
    source: str,
    schema: str | None,
    profile: str | None,
    tags: dict[str, str],
) -> dict[str, Any]:
    """A data set of a run, as ``log-inputs`` takes it."""
    dataset = {"name": name, "digest": digest, "source_type": source_type, "source": source}
    dataset |= {key: value for key, value in (("schema", schema), ("profile", profile)) if value}
    return {"dataset": dataset, "tags": [{"key": key, "value": value} for key, value in tags.items()]}
