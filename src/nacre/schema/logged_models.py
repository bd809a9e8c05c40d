"""Logged models: what a run saved as a model, before (or without) its being registered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from nacre.schema.base import Answer, Stamped


class LoggedModelState(StrEnum):
    """``pending`` until its files are there."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class ModelMetric(Answer):
    """The latest value that a run measured of a logged model, on a data set when it named one."""

    model: str
    run: str
    key: str
    value: float
    step: int
    time_ms: int
    dataset_name: str = ""
    dataset_digest: str = ""


class LoggedModel(Stamped):
    """A logged model; ``run`` is what saved it."""

    updated_at: datetime
    experiment_id: int
    experiment: str
    name: str
    kind: str = ""
    state: LoggedModelState
    message: str = ""
    run: str | None = None
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: list[ModelMetric] = []
