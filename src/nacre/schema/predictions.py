"""Predictions for whole datasets, and how far an endpoint's inputs have drifted from the training data."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field, model_validator

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Name, Stamped, Wire
from nacre.schema.models import ModelName


class WorkState(StrEnum):
    """Of what a job does; ``reason`` and ``message`` say why it failed."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class BatchCreate(Wire):
    """Ask for every sample of a dataset version; the answers become the next version of the dataset ``out``.

    Either ``endpoint``, which means the version that answers most of its requests, or ``model`` is given.
    ``features``: names of the arrays or columns, where those of the model's inputs do not fit. ``type``: the
    instance type of the job.
    """

    endpoint: Name | None = None
    model: ModelName | None = None
    version: str = "latest"
    data: str = Field(examples=["digits-test@1"])
    out: Name
    features: list[str] = []
    format: Literal["parquet", "npz"] = "parquet"
    type: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> BatchCreate:
        if (self.endpoint is None) == (self.model is None):
            raise ValueError("name an endpoint or a model, one of them")
        return self


class Batch(Stamped):
    """Predictions of a model version for a dataset version; ``result`` is what came of them, ``out@4``."""

    endpoint: str | None = None
    model: ModelName
    version: int
    data: str
    out: Name
    result: str | None = None
    job: str
    state: WorkState
    reason: str | None = None
    message: str | None = None
    samples: int | None = None
    ended_at: datetime | None = None


class DriftCreate(Wire):
    """Null: what the endpoint captured last, and the data that the model version was trained on."""

    captured: str | None = Field(None, examples=["digits-inputs@4"])
    reference: str | None = Field(None, examples=["digits-train@1"])
    features: list[str] = Field(
        [], description="arrays or columns of the reference, where names do not fit"
    )


class FeatureDrift(Answer):
    """``psi``: the population stability index between the training data and what was captured.

    ``kind``: ``number`` or ``text`` for a feature as it is; ``mean``, ``std`` and ``projection`` for what is
    measured of an input of many numbers, such as an image.
    """

    input: str
    feature: str
    kind: Literal["number", "text", "mean", "std", "projection"]
    psi: float


class Drifted(Answer):
    """What was measured. ``verdict`` by the worst feature: ``stable`` below 0.1, ``moderate`` below 0.25,
    else ``drifted``; ``unclear`` when there are too few samples to tell."""

    captured_samples: int
    reference_samples: int
    features: list[FeatureDrift]
    worst: FeatureDrift | None = None
    verdict: Literal["stable", "moderate", "drifted", "unclear"]


class Drift(Stamped):
    """A drift report: captured inputs of an endpoint against training data."""

    endpoint: Name
    model: ModelName
    version: int
    captured: str
    reference: str
    job: str
    state: WorkState
    reason: str | None = None
    message: str | None = None
    result: Drifted | None = None
    ended_at: datetime | None = None


_B = f"{PROJECT}/batches"
_D = f"{PROJECT}/endpoints/{{endpoint}}/drift"
OPERATIONS = (
    Operation(
        "endpoints.batch",
        "POST",
        _B,
        "Predict for every sample of a dataset, as a job",
        Access.EDITOR,
        "endpoints:write",
        "predict",
    ),
    Operation(
        "endpoints.list_batches",
        "GET",
        _B,
        "List batch predictions, newest first",
        Access.VIEWER,
        "endpoints:read",
        "endpoint batches",
    ),
    Operation(
        "endpoints.get_batch",
        "GET",
        f"{_B}/{{batch}}",
        "Read a batch prediction; can wait for its end",
        Access.VIEWER,
        "endpoints:read",
        "predict",
    ),
    Operation(
        "endpoints.drift",
        "POST",
        _D,
        "Compare what was captured with the training data, as a job",
        Access.EDITOR,
        "endpoints:write",
        "endpoint drift",
    ),
    Operation(
        "endpoints.list_drift",
        "GET",
        _D,
        "List an endpoint's drift reports, newest first",
        Access.VIEWER,
        "endpoints:read",
        "endpoint drift",
    ),
    Operation(
        "endpoints.get_drift",
        "GET",
        f"{_D}/{{report}}",
        "Read a drift report; can wait for its end",
        Access.VIEWER,
        "endpoints:read",
        "endpoint drift",
    ),
)
