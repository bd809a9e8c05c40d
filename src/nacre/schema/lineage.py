"""Lineage: what a thing was made from, and what was made from it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer


class LineageKind(StrEnum):
    """What takes part."""

    DATA = "data"
    ENVIRONMENT = "environment"
    JOB = "job"
    RUN = "run"
    MODEL = "model"
    EVALUATION = "evaluation"
    ENDPOINT = "endpoint"


class LineageNode(Answer):
    """``kind``, ``name`` and ``version`` are enough to find it: a run's name is its id; of an evaluation they
    name the model version. ``label`` is for people. ``state`` is the thing's own, ``deleted`` when it is
    gone, null for what has none."""

    id: str = Field(examples=["data:digits/3", "run:5f3c…", "model:digits/2"])
    kind: LineageKind
    name: str
    version: int | None = None
    label: str
    state: str | None = None


class LineageGraph(Answer):
    """What the subject came from and what came of it, as far as ``cut`` is false.

    ``edges`` are pairs of nodes' ids, from what was used to what was made.
    """

    subject: list[str]
    nodes: list[LineageNode]
    edges: list[tuple[str, str]]
    cut: bool = False


OPERATIONS = (
    Operation(
        "lineage.get",
        "GET",
        f"{PROJECT}/lineage",
        "What a thing was made from, and what was made from it",
        Access.VIEWER,
        "runs:read",
        "lineage",
    ),
)
