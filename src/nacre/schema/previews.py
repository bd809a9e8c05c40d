"""Previews: what an artifact looks like, without downloading it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer


class PreviewKind(StrEnum):
    """What is shown of an artifact."""

    FOLDER = "folder"
    TEXT = "text"
    TABLE = "table"
    CONFUSION = "confusion_matrix"
    IMAGE = "image"
    AUDIO = "audio"
    ARRAYS = "arrays"
    MODEL = "model"
    BINARY = "binary"


class FolderItem(Answer):
    """A file or folder; ``size`` is null for a folder."""

    name: str
    folder: bool
    size: int | None = None


class FolderPreview(Answer):
    """The first items, in order of name."""

    items: list[FolderItem]
    total: int


class TextPreview(Answer):
    """The beginning. ``lines`` is null when the file is too long to count them quickly."""

    text: str
    encoding: str
    truncated: bool
    lines: int | None = None


class TableColumn(Answer):
    """``type``: ``integer number boolean text date nested empty``, or Parquet's own word."""

    name: str
    type: str


class TablePreview(Answer):
    """Rows from ``offset`` on. ``total`` is null when the file is too long to count them quickly.

    Cells are JSON values; numbers that JSON lacks are ``"NaN"``, ``"Infinity"``, ``"-Infinity"``, and long
    texts are cut. ``columns_total`` is more than the columns shown when there are very many.
    """

    format: str = Field(examples=["csv", "parquet", "json", "jsonl"])
    columns: list[TableColumn]
    columns_total: int
    rows: list[list[Any]]
    offset: int = 0
    total: int | None = None


class ConfusionPreview(Answer):
    """``confusion[i][j]``: samples of class ``labels[i]`` that were called ``labels[j]``."""

    labels: list[str]
    confusion: list[list[float]]


class ImagePreview(Answer):
    """``shown``: whether a browser can be given the file's bytes (by ``runs.artifact``) to draw."""

    format: str
    width: int
    height: int
    shown: bool


class AudioPreview(Answer):
    """What its header tells; null is unknown. ``shown``: whether a browser can play the file."""

    format: str
    seconds: float | None = None
    rate: int | None = None
    channels: int | None = None
    shown: bool


class ArrayPreview(Answer):
    """An array of NumPy; the numbers are of its first ``seen`` elements, null where nothing was read."""

    name: str
    dtype: str
    shape: list[int]
    seen: int = 0
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    nans: int = 0
    first: list[Any] = []


class ModelPreview(Answer):
    """``framework``: a guess by name and header; the file was not loaded."""

    framework: str
    format: str
    facts: dict[str, str] = {}


class Preview(Answer):
    """One artifact. The field that ``kind`` names is set; ``message`` says what could not be shown."""

    path: str
    kind: PreviewKind
    size: int | None = Field(None, description="bytes; null for a folder")
    media_type: str
    message: str = ""
    folder: FolderPreview | None = None
    text: TextPreview | None = None
    table: TablePreview | None = None
    confusion_matrix: ConfusionPreview | None = None
    image: ImagePreview | None = None
    audio: AudioPreview | None = None
    arrays: list[ArrayPreview] | None = None
    model: ModelPreview | None = None


OPERATIONS = (
    Operation(
        "runs.preview",
        "GET",
        f"{PROJECT}/runs/{{run}}/preview/{{path:path}}",
        "Look at an artifact, or into a folder of them",
        Access.VIEWER,
        "runs:read",
        "runs preview",
    ),
)
