"""What is in a dataset version: its files looked at one by one, and the statistics of all of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Wire
from nacre.schema.data import DatasetVersion
from nacre.schema.previews import ArrayPreview


class ValueCount(Answer):
    """A value as text, and how often it is there."""

    value: str
    count: int


class EndingCount(Answer):
    """The files of one ending (``.png``; empty for names without one), and their bytes together."""

    ending: str
    files: int
    size: int


class ClassCount(Answer):
    """``splits``: the same count by split (``train``, ``test`` …), where the dataset has splits."""

    label: str
    count: int
    splits: dict[str, int] = {}


class ClassCounts(Answer):
    """How many samples each class has, the first thousand classes in order of name.

    ``source``: by the folders that files lie in, by a column of tables, or by an array of labels;
    ``name`` is that column or array. ``total``: the number of classes. ``sampled``: only a part was counted.
    """

    source: Literal["folders", "column", "array"]
    name: str = ""
    classes: list[ClassCount]
    total: int
    splits: list[str] = []
    samples: int
    sampled: bool = False


class Histogram(Answer):
    """``counts[i]`` values lie from ``edges[i]`` up to ``edges[i + 1]``; 20 bins at most."""

    edges: list[float]
    counts: list[int]


class ColumnSummary(Answer):
    """Statistics of the rows that were looked at.

    ``missing`` cells are empty or say so (``NaN``, ``null``, ``NA``). ``distinct`` is null when there are over
    a thousand values; then ``top`` counts those that came first. Numbers are null for what is no number.
    """

    name: str
    type: str
    count: int
    missing: int = 0
    distinct: int | None = None
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    histogram: Histogram | None = None
    top: list[ValueCount] = []


class TableSummary(Answer):
    """A file that is a table. ``total``: its rows, null where only a part was read."""

    path: str
    format: str
    rows: int = Field(description="rows that the statistics are of")
    total: int | None = None
    sampled: bool = False
    columns: list[ColumnSummary] = []
    columns_total: int = 0
    message: str = ""


class ImagesSummary(Answer):
    """Of ``looked`` headers among ``files`` images; the most frequent sizes and modes first.

    A size is ``width × height``; a mode is ``L``, ``LA``, ``P``, ``RGB``, ``RGBA``, ``CMYK`` or ``1``.
    """

    files: int
    looked: int
    sampled: bool = False
    sizes: list[ValueCount] = []
    modes: list[ValueCount] = []
    formats: list[ValueCount] = []
    width: tuple[int, int] | None = None
    height: tuple[int, int] | None = None


class ArraySummary(Answer):
    """An array of a ``.npy`` or ``.npz`` file."""

    path: str
    array: ArrayPreview


class DataSummary(Answer):
    """What is in a version. ``sampled``: some of the numbers are of a part of it; ``rows``: of so many rows
    of tables and images together."""

    version: DatasetVersion
    endings: list[EndingCount]
    classes: ClassCounts | None = None
    tables: list[TableSummary] = []
    images: ImagesSummary | None = None
    arrays: list[ArraySummary] = []
    sampled: bool = False
    rows: int = 0
    message: str = ""


class NoteUpdate(Wire):
    """What may change of a version: the note. Its files never do."""

    note: str


_V = f"{PROJECT}/data/{{dataset}}/versions/{{version}}"
OPERATIONS = (
    Operation(
        "data.preview",
        "GET",
        f"{_V}/preview/{{path:path}}",
        "Look at a file of a version, or into a folder",
        Access.VIEWER,
        "data:read",
        "data preview",
    ),
    Operation(
        "data.file",
        "GET",
        f"{_V}/file/{{path:path}}",
        "Read a file of a version; supports Range",
        Access.VIEWER,
        "data:read",
        "data cat",
    ),
    Operation(
        "data.summary",
        "GET",
        f"{_V}/summary",
        "Statistics of a version: classes, columns, images",
        Access.VIEWER,
        "data:read",
        "data summary",
    ),
    Operation(
        "data.update",
        "PATCH",
        _V,
        "Change the note of a version",
        Access.EDITOR,
        "data:write",
        "data note",
    ),
)
