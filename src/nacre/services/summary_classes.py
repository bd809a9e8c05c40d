"""Counting classes: by the folders that samples lie in, by a column of labels, by arrays of labels."""

from __future__ import annotations

import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.lib import format as npy

from nacre.schema.summaries import ClassCount, ClassCounts
from nacre.services.preview_arrays import BROKEN, Bounded, Unreadable
from nacre.services.summary_columns import MAX_DISTINCT, Column
from nacre.services.summary_tables import Table

_SHOWN = 1000
_SPLIT = re.compile(
    r"(?:^|[-_./ ])(train|training|test|testing|val|valid|validation|dev|eval)(?=$|[-_./ \d])"
)
_SPLIT_NAMES = {"training": "train", "testing": "test", "valid": "val", "validation": "val"}
_LABELS = (
    "label",
    "labels",
    "class",
    "classes",
    "target",
    "targets",
    "y",
    "species",
    "category",
    "diagnosis",
)
_LABEL_ARRAY = re.compile(r"(?:^|_)(y|labels?|targets?|classes|class)(?:_|$)")
_SAMPLES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".wav",
    ".mp3",
    ".flac",
    ".ogg",
    ".txt",
)
_FEW = 20
_PIECE = 2**20
_MAX_LABELS = 128 * 2**20
_MAX_ITEM = 1024


def split_of(path: str) -> str | None:
    """The split that a name tells of (``train``, ``test``, ``val`` …), the first one in the path."""
    found = _SPLIT.search(path.lower())
    return _SPLIT_NAMES.get(found[1], found[1]) if found else None


def by_folders(paths: Iterable[str]) -> ClassCounts | None:
    """Classes as image folders have them: ``train/cat/1.png``, ``cat/1.png``, else null."""
    counts: dict[str | None, Counter[str]] = {}
    for path in paths:
        if not path.lower().endswith(_SAMPLES):
            continue
        *folders, _ = path.split("/")
        splits = [folder for folder in folders if _is_split(folder)]
        names = [folder for folder in folders if not _is_split(folder)]
        if names:
            counts.setdefault(split_of(splits[0]) if splits else None, Counter())[names[-1]] += 1
    samples = sum(sum(counter.values()) for counter in counts.values())
    classes = {label for counter in counts.values() for label in counter}
    if len(classes) < 2 or samples < 2 * len(classes):
        return None
    return _counts("folders", "", counts)


def _is_split(folder: str) -> bool:
    return _SPLIT.fullmatch(folder.lower()) is not None


def by_column(tables: list[Table]) -> ClassCounts | None:
    """Classes by the column of labels: one of a usual name, else a last one of few values."""
    named = [(table, column) for table in tables if (column := _label_column(table))]
    if not named:
        return None
    name = named[0][1].name
    mine = [(table, column) for table, column in named if column.name == name]
    counts: dict[str | None, Counter[str]] = {}
    for table, column in mine:
        split = split_of(table.path) if len(mine) > 1 else None
        counts.setdefault(split, Counter()).update(column.values or {})
    found = _counts("column", name, counts)
    if found.total < 2:
        return None
    return found.model_copy(update={"sampled": any(table.sampled for table, _ in mine)})


def _label_column(table: Table) -> Column | None:
    fit = [column for column in table.columns if column.values]
    by_name = {column.name.strip().lower(): column for column in reversed(fit)}
    found = next((by_name[name] for name in _LABELS if name in by_name), None)
    if found is not None and (found.kind != "number" or len(found.values or ()) <= _FEW):
        return found
    last = table.columns[-1] if table.columns else None
    if (
        last is None
        or last not in fit
        or last.kind not in ("text", "integer", "boolean", "string", "int64")
    ):
        return None
    few = len(last.values or ()) <= min(_FEW, table.rows // 10)
    return last if few and len(table.columns) > 1 else None


def by_arrays(found: Mapping[tuple[str, str], Counter[str]]) -> ClassCounts | None:
    """Classes by arrays of labels: counts by (file, name of the array)."""
    if not found:
        return None
    first = next(iter(found))[1]
    counts: dict[str | None, Counter[str]] = {}
    for (path, name), counter in found.items():
        counts.setdefault(split_of(name) or split_of(path), Counter()).update(counter)
    return _counts("array", first if len(found) == 1 else "", counts)


def label_arrays(path: str, stream: BinaryIO) -> dict[tuple[str, str], Counter[str]]:
    """The counted values of each array in a ``.npy`` or ``.npz`` that is one of labels by its name."""
    stream.seek(0)
    found = {}
    try:
        if path.lower().endswith(".npy"):
            name = path.rpartition("/")[2][:-4]
            if _LABEL_ARRAY.search(name.lower()) and (counter := _counted(stream)):
                found[path, name] = counter
            return found
        with zipfile.ZipFile(Bounded(stream)) as opened:
            for entry in opened.namelist():
                name = entry.removesuffix(".npy")
                if entry.endswith(".npy") and _LABEL_ARRAY.search(name.lower()):
                    with opened.open(entry) as member:
                        if counter := _counted(member):
                            found[path, name] = counter
    except (Unreadable, *BROKEN):
        return found
    return found


def _counted(stream: Any) -> Counter[str] | None:
    """How often each value is there; null for what are no labels: not whole numbers or texts, not one in
    each row, or too many different ones."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    total = math.prod(shape)
    if (
        dtype.kind not in "biuUS"
        or not 0 < dtype.itemsize <= _MAX_ITEM
        or max(shape, default=0) != total
        or len(shape) == 0
    ):
        return None
    found: Counter[str] = Counter()
    left = min(total * dtype.itemsize, _MAX_LABELS // dtype.itemsize * dtype.itemsize)
    piece = max(1, _PIECE // dtype.itemsize) * dtype.itemsize
    while left > 0 and (data := stream.read(min(piece, left))):
        left -= len(data)
        values, counts = np.unique(
            np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype), return_counts=True
        )
        if len(values) + len(found) > 2 * MAX_DISTINCT:
            return None
        for value, count in zip(values.tolist(), counts.tolist(), strict=True):
            found[value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)[:200]] += (
                count
            )
    return found if 0 < len(found) <= MAX_DISTINCT else None


def _counts(
    source: Literal["folders", "column", "array"], name: str, counts: Mapping[str | None, Counter[str]]
) -> ClassCounts:
    splits = sorted((split for split in counts if split is not None), key=_order)
    labels = sorted({label for counter in counts.values() for label in counter}, key=_natural)
    return ClassCounts(
        source=source,
        name=name[:200],
        classes=[
            ClassCount(
                label=label,
                count=sum(counter[label] for counter in counts.values()),
                splits={split: counts[split][label] for split in splits},
            )
            for label in labels[:_SHOWN]
        ],
        total=len(labels),
        splits=splits,
        samples=sum(sum(counter.values()) for counter in counts.values()),
    )


def _order(split: str) -> tuple[int, str]:
    usual = ("train", "val", "dev", "eval", "test")
    return (usual.index(split) if split in usual else len(usual), split)


def _natural(label: str) -> tuple[tuple[int, float, str], ...]:
    """Sorts numbers as numbers: ``2`` before ``10``."""
    parts = re.findall(r"\d{1,15}|\D+|\d+", label)
    return tuple(
        (0, float(part), "") if part.isascii() and part.isdecimal() else (1, 0.0, part) for part in parts
    )
