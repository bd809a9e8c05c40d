"""Experiments: what runs are grouped in. A project's ``default`` is made when the first run needs it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Wire

DEFAULT_EXPERIMENT = "default"


def _not_blank(name: str) -> str:
    if not name.strip():
        raise ValueError("a name needs a character that can be seen")
    return name


ExperimentName = Annotated[
    str, Field(min_length=1, max_length=500, examples=["digits"]), AfterValidator(_not_blank)
]
"""Free text."""
_TagKey = Annotated[str, Field(min_length=1, max_length=250)]
_TagText = Annotated[str, Field(max_length=20_000)]


class ExperimentCreate(Wire):
    """A new experiment."""

    name: ExperimentName
    tags: dict[_TagKey, _TagText] = Field(default={}, max_length=200)


class ExperimentUpdate(Wire):
    """What is null stays. A tag whose text is null is removed."""

    name: ExperimentName | None = None
    tags: dict[_TagKey, _TagText | None] = Field(default={}, max_length=200)


class Experiment(Answer):
    """An experiment. ``id`` is a number; ``deleted_at`` is set while it lies in the trash."""

    id: str
    name: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    runs: int = Field(0, description="how many runs it has, without those in the trash")
    tags: dict[str, str] = {}


_E = f"{PROJECT}/experiments"
_ONE = f"{_E}/{{experiment:path}}"
OPERATIONS = (
    Operation(
        "experiments.create",
        "POST",
        _E,
        "Make an experiment",
        Access.EDITOR,
        "runs:write",
        "experiment create",
    ),
    Operation(
        "experiments.list", "GET", _E, "List experiments", Access.VIEWER, "runs:read", "experiment ls"
    ),
    Operation(
        "experiments.get",
        "GET",
        _ONE,
        "Read an experiment (by name or id)",
        Access.VIEWER,
        "runs:read",
        "experiment ls",
    ),
    Operation(
        "experiments.update",
        "PATCH",
        _ONE,
        "Rename or tag an experiment",
        Access.EDITOR,
        "runs:write",
        "experiment update",
    ),
    Operation(
        "experiments.delete",
        "DELETE",
        _ONE,
        "Put an experiment and its runs into the trash",
        Access.EDITOR,
        "runs:write",
        "experiment delete",
    ),
    Operation(
        "experiments.restore",
        "POST",
        f"{_ONE}/restore",
        "Bring an experiment and its runs back from the trash",
        Access.EDITOR,
        "runs:write",
        "experiment restore",
    ),
)
