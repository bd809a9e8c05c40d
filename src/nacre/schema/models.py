"""Models: versions, aliases, lineage, conversion and evaluations."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Digest, JsonObject, Stamped, Wire
from nacre.schema.launch import FileEntry
from nacre.schema.serving import Signature, TensorSpec

Framework = Literal["pytorch", "keras", "tensorflow", "sklearn", "onnx", "mlflow", "custom"]
"""``mlflow``: a model of an MLflow client whose flavour Nacre does not convert. ``custom``: a folder with a
program ``predict.py`` that answers for itself."""

_ALIAS = re.compile(r"[\w.-]{1,255}")


def check_model_name(value: str) -> str:
    """The value, when it is a :data:`ModelName`; else ``ValueError`` with a sentence."""
    bad = not value.strip() or len(value) > 250 or value in (".", "..")
    if bad or re.search(r"[/:\x00-\x1f\x7f\ud800-\udfff]", value):
        raise ValueError(
            f"Invalid model name '{value[:260]}'. Names cannot contain '/' or ':' and have 1 to 250 characters"
        )
    return value


def check_alias_name(value: str) -> str:
    """The value, when it is an :data:`AliasName`; else ``ValueError`` with a sentence."""
    if not _ALIAS.fullmatch(value):
        raise ValueError(f"{value[:260]!r} is not an alias: use 1 to 255 letters, digits, '-', '_' and '.'")
    return value


ModelName = Annotated[str, AfterValidator(check_model_name), Field(examples=["digits"])]
"""A model's name: 1 to 250 characters without ``/`` and ``:``, as MLflow allows."""

AliasName = Annotated[str, AfterValidator(check_alias_name), Field(examples=["best"])]
Tags = dict[Annotated[str, Field(min_length=1, max_length=250)], str]
TagChange = dict[Annotated[str, Field(min_length=1, max_length=250)], str | None]


class ConversionState(StrEnum):
    """Of the ONNX form of a version. ``converting`` names its job; ``none``: Nacre cannot convert it."""

    NONE = "none"
    PENDING = "pending"
    CONVERTING = "converting"
    READY = "ready"
    FAILED = "failed"


class ModelRegister(Wire):
    """A new version from an artifact of a run or of a logged model (``m-…``), or from files sent as blobs
    (``manifest``).

    ``inputs`` tells the signature where the file does not carry one (a pickled PyTorch module); when
    it is missing too, conversion tries the run's own input data.
    """

    run: str | None = None
    logged_model: str | None = None
    path: str | None = Field(None, description="artifact: a file, or a folder such as a SavedModel")
    manifest: Digest | None = None
    framework: Framework | None = None
    environment: str | None = None
    inputs: list[TensorSpec] | None = None
    alias: AliasName | None = None
    description: str = ""
    tags: Tags = {}


class ModelCreate(Wire):
    """A model that has no version yet."""

    name: ModelName
    description: str = ""
    tags: Tags = {}


class ModelUpdate(Wire):
    """What changes of a model; a tag that is null goes."""

    name: ModelName | None = None
    description: str | None = None
    tags: TagChange = {}


class VersionUpdate(Wire):
    """What changes of a version; a tag that is null goes."""

    description: str | None = None
    tags: TagChange = {}
    stage: Literal["None", "Staging", "Production", "Archived"] | None = Field(
        None, description="as MLflow's older clients call it; aliases say more"
    )


class Lineage(Answer):
    """Where a version comes from."""

    run: str | None = None
    logged_model: str | None = None
    job: str | None = None
    path: str | None = None
    code: Digest | None = None
    data: dict[str, str] = {}
    environment: str | None = None
    environment_digest: Digest | None = None


class ModelVersion(Stamped):
    """An immutable version, written ``name/3``; aliases point at it (``name@best``)."""

    model: ModelName
    number: int
    framework: Framework
    entry: str = Field("", description="the model among its files: a file or folder")
    manifest: Digest
    files: int
    size: int
    user: str | None = None
    description: str = ""
    tags: dict[str, str] = {}
    aliases: list[str] = []
    stage: str = "None"
    source: str = Field("", description="what an MLflow client named as its source")
    run_link: str = ""
    updated_at: datetime | None = None
    lineage: Lineage
    signature: Signature | None = None
    conversion: ConversionState
    conversion_job: str | None = None
    reason: str | None = None
    message: str | None = None
    onnx_digest: Digest | None = None
    evaluations: list[Evaluation] = []


class BestEvaluation(Answer):
    """The highest accuracy that any version of a model reached."""

    version: int
    data: str
    accuracy: float


class Model(Stamped):
    """A model by name."""

    name: ModelName
    description: str = ""
    tags: dict[str, str] = {}
    updated_at: datetime | None = None
    versions: list[int] = []
    aliases: dict[str, int] = {}
    latest: ModelVersion | None = None
    best: BestEvaluation | None = None


class ModelFiles(Answer):
    """The files of a version; ``onnx`` is its converted form, when there is one."""

    version: ModelVersion
    files: list[FileEntry]
    onnx: FileEntry | None = None


ExportLayout = Literal["triton", "tfserving", "mlflow"]
"""What loads the tree: Triton Inference Server, TensorFlow Serving, MLflow."""


class AliasSet(Wire):
    """The version that the alias points at."""

    version: int


class EvaluationCreate(Wire):
    """Evaluate on a dataset version. ``features`` and ``label`` name arrays or columns when the
    defaults (x/y, images/labels, data/target; a column called label or target) do not fit."""

    data: str = Field(examples=["digits-test@1"])
    features: str | None = None
    label: str | None = None


class EvaluationState(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Measures(Answer):
    """What an evaluation measured. Averages are macro.

    ``confusion[i][j]``: samples of class ``labels[i]`` that were called ``labels[j]``.
    """

    samples: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    labels: list[str]
    confusion: list[list[int]]
    per_class: JsonObject


class Evaluation(Stamped):
    """Metrics of a model version on a dataset version; see :class:`Measures` for what they mean."""

    model: ModelName
    version: int
    data: str
    job: str
    state: EvaluationState
    reason: str | None = None
    message: str | None = None
    samples: int | None = None
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    labels: list[str] | None = None
    confusion: list[list[int]] | None = None
    per_class: JsonObject | None = None
    ended_at: datetime | None = None


ModelVersion.model_rebuild()
Model.model_rebuild()
ModelFiles.model_rebuild()

_M = f"{PROJECT}/models"
_V = f"{_M}/{{model}}/versions"
OPERATIONS = (
    Operation(
        "models.register",
        "POST",
        _V,
        "Register a version from a run's artifact",
        Access.EDITOR,
        "models:write",
        "model register",
    ),
    Operation(
        "models.create",
        "POST",
        _M,
        "Make a model that has no version yet",
        Access.EDITOR,
        "models:write",
        "model create",
    ),
    Operation(
        "models.update",
        "PATCH",
        f"{_M}/{{model}}",
        "Rename, describe or tag a model",
        Access.EDITOR,
        "models:write",
        "model update",
    ),
    Operation(
        "models.update_version",
        "PATCH",
        f"{_V}/{{version}}",
        "Describe or tag a version",
        Access.EDITOR,
        "models:write",
        "model update",
    ),
    Operation("models.list", "GET", _M, "List models", Access.VIEWER, "models:read", "model ls"),
    Operation(
        "models.get",
        "GET",
        f"{_M}/{{model}}",
        "Read a model",
        Access.VIEWER,
        "models:read",
        "model show",
    ),
    Operation(
        "models.list_versions",
        "GET",
        _V,
        "List a model's versions, newest first",
        Access.VIEWER,
        "models:read",
        "model versions",
    ),
    Operation(
        "models.get_version",
        "GET",
        f"{_V}/{{version}}",
        "Read a version (number, alias or 'latest'); can wait for its conversion",
        Access.VIEWER,
        "models:read",
        "model show",
    ),
    Operation(
        "models.files",
        "GET",
        f"{_V}/{{version}}/files",
        "List a version's files",
        Access.VIEWER,
        "models:read",
        "model pull",
    ),
    Operation(
        "models.archive",
        "GET",
        f"{_V}/{{version}}/archive",
        "Download a version's files, and its ONNX form, as a ZIP",
        Access.VIEWER,
        "models:read",
        "model pull",
    ),
    Operation(
        "models.export",
        "GET",
        f"{_V}/{{version}}/export",
        "Download a version as the tree that another model server loads, as a ZIP",
        Access.VIEWER,
        "models:read",
        "model export",
    ),
    Operation(
        "models.convert",
        "POST",
        f"{_V}/{{version}}/convert",
        "Convert a version to ONNX again",
        Access.EDITOR,
        "models:write",
        "model convert",
    ),
    Operation(
        "models.set_alias",
        "PUT",
        f"{_M}/{{model}}/aliases/{{alias}}",
        "Point an alias at a version",
        Access.EDITOR,
        "models:write",
        "model alias",
    ),
    Operation(
        "models.delete_alias",
        "DELETE",
        f"{_M}/{{model}}/aliases/{{alias}}",
        "Delete an alias",
        Access.EDITOR,
        "models:write",
        "model unalias",
    ),
    Operation(
        "models.delete_version",
        "DELETE",
        f"{_V}/{{version}}",
        "Delete a version that no endpoint serves",
        Access.EDITOR,
        "models:write",
        "model delete",
    ),
    Operation(
        "models.delete",
        "DELETE",
        f"{_M}/{{model}}",
        "Delete a model that no endpoint serves",
        Access.EDITOR,
        "models:write",
        "model delete",
    ),
    Operation(
        "evaluations.create",
        "POST",
        f"{_V}/{{version}}/evaluations",
        "Evaluate a version on a dataset",
        Access.EDITOR,
        "models:write",
        "evaluate",
    ),
    Operation(
        "evaluations.list",
        "GET",
        f"{_V}/{{version}}/evaluations",
        "List a version's evaluations",
        Access.VIEWER,
        "models:read",
        "model show",
    ),
    Operation(
        "evaluations.get",
        "GET",
        f"{PROJECT}/evaluations/{{evaluation}}",
        "Read an evaluation; can wait for its end",
        Access.VIEWER,
        "models:read",
        "evaluate",
    ),
)
