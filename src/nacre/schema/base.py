"""What every wire type shares."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")


def check_name(value: str) -> str:
    """The value, when it is a :data:`Name`; else ``ValueError`` with a sentence."""
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a name: use 1 to 64 lower-case letters, digits, '-', '_' and '.', "
            "starting and ending with a letter or digit"
        )
    return value


Name = Annotated[str, AfterValidator(check_name), Field(examples=["digits-cnn"])]
"""A name that people choose: 1 to 64 of ``a-z 0-9 . _ -``; safe in URLs, paths and shells."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""BLAKE3, 32 bytes as 64 hexadecimal digits."""

Micros = Annotated[int, Field(description="Millionths of the currency unit")]

JsonObject = dict[str, Any]


class Wire(BaseModel):
    """Base of the wire types: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(Wire):
    """Base of what the server sends: a client ignores fields that a newer server added."""

    model_config = ConfigDict(frozen=True, extra="ignore")


T = TypeVar("T")


class Page(Answer, Generic[T]):
    """A slice of a list; ``next`` is the cursor of the following one, null at the end."""

    items: list[T]
    next: str | None = None


class Stamped(Answer):
    """A thing with an identifier and a time of creation."""

    id: str
    created_at: datetime
