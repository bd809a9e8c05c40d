"""Previews of artifacts."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.previews import Preview
from nacre.services.preview_cells import MAX_ROWS
from nacre.services.previews import Previews

routes = Routes()


def _previews(wired: Wired) -> Previews:
    return Previews(wired.artifacts)


Found = Annotated[Previews, Depends(_previews)]


@routes.operation("runs.preview")
def preview(
    project: str,
    run: str,
    path: str,
    caller: Allowed,
    previews: Found,
    offset: Annotated[int, Query(ge=0, lt=2**53, description="first row of a table, item of a folder")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS, description="rows of a table, items of a folder")] = 100,
) -> Preview:
    """Nothing in the file is executed. The bytes of images and audio come from ``runs.artifact``."""
    return previews.preview(caller, run, path, offset=offset, limit=limit)
