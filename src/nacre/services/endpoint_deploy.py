"""What a deployment settles before anything changes: runtime, shape, scaling and settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from nacre.db.tables.models import ModelVersionRow
from nacre.errors import Conflict, InvalidSpec
from nacre.schema.base import Wire
from nacre.schema.endpoints import EndpointDeploy, EndpointSettings, Scaling, Schedule
from nacre.schema.launch import FileEntry
from nacre.schema.models import ConversionState
from nacre.schema.resources import InstanceType
from nacre.schema.serving import Runtime
from nacre.services.pickles import check_replica

PROGRAM = "predict.py"
"""Beside a model's files: the program that a replica runs it with."""
REPLICABLE = ("pytorch", "tensorflow", "keras", "sklearn", "onnx", "mlflow")
"""Frameworks that a replica loads by itself."""

W = TypeVar("W", bound=Wire)


def choose_runtime(
    request: EndpointDeploy,
    scaling: Scaling,
    shape: InstanceType,
    version: ModelVersionRow,
    files: Sequence[FileEntry],
) -> Runtime:
    """Where the version runs.

    Raises:
        InvalidSpec: it cannot run as was asked.
        Conflict: it cannot run so yet, or not at all.
    """
    name = f"{request.model}/{version.number}"
    if request.runtime == "replicas" or (
        request.runtime == "auto" and (shape.gpu or scaling.max_replicas > 1)
    ):
        check_replicable(name, version, files)
        return "replicas"
    if shape.gpu:
        raise InvalidSpec(
            f"the shared model server runs on CPUs, and {shape.name} has a GPU: use --runtime replicas, "
            "or another type: see 'nacre offer'"
        )
    if version.conversion == ConversionState.READY:
        return "onnx"
    over = version.conversion in (ConversionState.NONE, ConversionState.FAILED)
    if version.framework == "onnx" and version.conversion == ConversionState.FAILED:
        over = False  # a replica would open the same file
    if request.runtime == "auto" and over and _replicable(version, files):
        check_replicable(name, version, files)
        return "replicas"
    if version.conversion == ConversionState.NONE:
        raise Conflict(f"{name} cannot be deployed: {version.message}")
    raise Conflict(
        f"{name} is not ready to serve, its conversion is {version.conversion}: "
        f"see 'nacre model show {name}', or use --runtime replicas"
    )


def _replicable(version: ModelVersionRow, files: Sequence[FileEntry]) -> bool:
    program = any(f.path.rpartition("/")[2] == PROGRAM for f in files)
    return _has_environment(version) and (version.framework in REPLICABLE or program)


def _has_environment(version: ModelVersionRow) -> bool:
    return bool(version.environment_id or version.lineage.get("environment"))


def check_replicable(name: str, version: ModelVersionRow, files: Sequence[FileEntry]) -> None:
    """Raise unless a program can load the version's own files in its environment.

    Raises:
        Conflict: it cannot, or may not.
    """
    if not _has_environment(version):
        raise Conflict(f"{name} cannot run in replicas: it was registered without an environment")
    if not _replicable(version, files):
        raise Conflict(
            f"{name} cannot run in replicas: nothing loads a model of {version.framework}, and there is no "
            f"{PROGRAM} beside its files"
        )
    check_replica(name, version, files)


def merged(kind: type[W], stored: dict[str, Any], change: W | None) -> W:
    """What is stored, with the fields that a change names. Null is the default again.

    Raises:
        InvalidSpec: together they make no sense.
    """
    fields = change.model_dump(exclude_unset=True) if change is not None else {}
    if isinstance(change, EndpointSettings):
        _check_origins(change.cors_origins)
    found: dict[str, Any] = dict(stored)
    for name, value in fields.items():
        inner = found.get(name)
        both = isinstance(value, dict) and isinstance(inner, dict)
        found[name] = {**inner, **value} if both and inner is not None else value
    result = kind.model_validate(found)
    if isinstance(result, Scaling):
        _check_bounds(result)
    return result


def _check_origins(origins: Sequence[str]) -> None:
    for one in origins:
        if not re.fullmatch(r"\*|[a-z][a-z0-9+.-]*://[^\s/?#@,]+", one):
            raise InvalidSpec(
                f"{one!r} is no origin: write it as browsers send it, such as https://app.example, or *"
            )


def _check_bounds(scaling: Scaling) -> None:
    bounds: list[Scaling | Schedule] = [scaling, *scaling.schedules]
    for one in bounds:
        if one.min_replicas > one.max_replicas:
            raise InvalidSpec(
                f"at least {one.min_replicas} and at most {one.max_replicas} replicas cannot both be: "
                "raise max_replicas, or lower min_replicas"
            )
    if any(day not in range(7) for one in scaling.schedules for day in one.days):
        raise InvalidSpec("the days of a schedule are 0 (Monday) to 6 (Sunday)")


def as_stored(scaling: Scaling, settings: EndpointSettings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both as their columns have them."""
    return scaling.model_dump(mode="json"), settings.model_dump(mode="json")
