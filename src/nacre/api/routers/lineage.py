"""Lineage of things."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.lineage import LineageGraph
from nacre.services.lineage import Lineages

routes = Routes()

Subject = Annotated[
    str,
    Query(
        min_length=3,
        max_length=600,
        description="KIND:NAME",
        examples=["data:digits/3", "data:digits", "job:NAME", "run:ID", "model:NAME/2", "endpoint:NAME"],
    ),
]


@routes.operation("lineage.get")
def get(subject: Subject, caller: Allowed, wired: Wired) -> LineageGraph:
    """Both ways, 200 things at most: `cut` says whether there are more."""
    return Lineages(wired.db).get(caller, subject)
