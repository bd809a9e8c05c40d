"""Views: what somebody looked at in the console, kept by name, for themselves or for the whole project."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Wire


def _tidy(name: str) -> str:
    if "/" in name or name in (".", "..") or name != name.strip() or not name.isprintable():
        raise ValueError("a view's name has no '/', no line breaks, and no blanks around it; it is not '.'")
    return name


ViewName = Annotated[
    str, Field(min_length=1, max_length=100, examples=["best of the week"]), AfterValidator(_tidy)
]


class ViewSet(Wire):
    """What to keep. ``query`` is the address's query string, without ``?``."""

    page: str = Field(pattern=r"^[a-z][a-z0-9/_-]{0,63}$", examples=["runs"])
    query: str = Field("", max_length=8000, examples=["filter=metrics.loss+<+0.3"])
    shared: bool = Field(False, description="everybody in the project sees it; needs the role editor")


class View(Answer):
    """A view. ``user`` is whose it is."""

    name: ViewName
    page: str
    query: str
    user: str
    shared: bool
    created_at: datetime
    updated_at: datetime


_V = f"{PROJECT}/views"
OPERATIONS = (
    Operation(
        "views.set",
        "PUT",
        f"{_V}/{{view}}",
        "Keep a view of a page, or replace it",
        Access.VIEWER,
        "views:write",
        "views set",
    ),
    Operation(
        "views.list",
        "GET",
        _V,
        "List one's own views and those shared with the project",
        Access.VIEWER,
        "views:read",
        "views ls",
    ),
    Operation(
        "views.delete",
        "DELETE",
        f"{_V}/{{view}}",
        "Delete a view",
        Access.VIEWER,
        "views:write",
        "views delete",
    ),
)
