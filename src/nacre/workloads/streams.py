"""The samples of a dataset folder a few at a time, in a fixed order: for data that is larger than memory.

It reads what :mod:`nacre.workloads.arrays` reads, and gives it to a model's inputs:

* arrays (``.npz``, ``.npy``) named as the inputs; for a single input also ``x``, ``images``, ``data``, ``features``
  or the only array there is;
* tables (``.parquet``, ``.csv``; several files of a kind are one table, by name) with columns named as the
  inputs; for a single input of numbers all other columns, without the label;
* images, anywhere in the folder, for a single input.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacre.workloads import arrays
from nacre.workloads.arrays import DataError
from nacre.workloads.places import Place, misfit, rows_of
from nacre.workloads.tables import Table, numeric, values

Specs = Sequence[dict[str, Any]]
"""Tensor specifications, ``{"name", "datatype", "shape"}``."""


@dataclass(frozen=True)
class Part:
    """Samples ``start`` … of the data. ``feed``: input → array whose first axis is the samples. ``place``: where
    each comes from, in words. ``files``: the file of each, where each has its own."""

    start: int
    feed: dict[str, NDArray[Any]]
    place: Place
    files: list[str] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.feed.values())))


@dataclass(frozen=True)
class Stream:
    """``count``: how many samples there are, where the data tells. ``read(start, size)``: those from ``start``
    on, ``size`` at most at a time; raises :class:`DataError` where they do not fit. ``columns``: of a table,
    which of them make each input."""

    count: int | None
    read: Callable[[int, int], Iterator[Part]]
    columns: dict[str, list[str]] = field(default_factory=dict)


def open_stream(folder: Path, inputs: Specs, features: Sequence[str] = ()) -> Stream:
    """The data of a folder (or a file) for a model of these inputs.

    Args:
        features: names of the arrays, one for each input, or of the columns of a single input.

    Raises:
        DataError: nothing readable, or nothing for an input.
    """
    files = [folder] if folder.is_file() else [p for p in folder.rglob("*") if p.is_file()]
    found: dict[str, list[Path]] = {}
    for file in sorted(p for p in files if not p.name.startswith(".")):
        found.setdefault(file.suffix.lower(), []).append(file)
    if found.get(".npz"):
        return _of_arrays(_members(arrays.only(found[".npz"])), inputs, features)
    if found.get(".npy"):
        return _of_arrays({p.stem: _Mapped(p) for p in found[".npy"]}, inputs, features)
    for suffix in (".parquet", ".csv"):
        if found.get(suffix):
            return _of_tables(found[suffix], inputs, features)
    images = sorted(p for suffix in arrays.IMAGES for p in found.get(suffix, []))
    if images:
        return _of_images(folder, images, inputs)
    names = ", ".join(sorted(p.name for group in found.values() for p in group)[:5]) or "no files"
    raise DataError(
        f"no samples found in the data ({names}): expected .npz, .npy, .csv, .parquet or images"
    )


def fitted(spec: dict[str, Any], x: NDArray[Any], place: Place) -> NDArray[Any]:
    """Samples in the form of an input.

    Raises:
        DataError: they cannot be it; names the sample, the input and what it takes.
    """
    name, datatype = spec["name"], spec["datatype"]
    if x.dtype.kind not in "OSU" and (odd := misfit(x, datatype)):
        raise _odd(place, odd, name, datatype)
    try:
        return arrays.fit(x, [-1, *spec["shape"][1:]], datatype)
    except DataError as error:
        raise DataError(f"{place(0)}: input {name!r}: {error}") from error
    except (ValueError, TypeError, OverflowError) as error:
        if odd := misfit(x, datatype):
            raise _odd(place, odd, name, datatype) from error
        raise DataError(f"{place(0)}: input {name!r}: {error}") from error


def _odd(place: Place, odd: tuple[int, Any], name: str, datatype: str) -> DataError:
    at, value = odd
    return DataError(f"{place(at)}: the input {name!r} takes {datatype}, which {str(value)[:60]!r} is not")


# Arrays


class _Mapped:
    """An ``.npy`` file, read where it lies."""

    def __init__(self, file: Path) -> None:
        self.source = file.name
        try:
            self._array = np.load(file, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"{file.name} cannot be read: {error}") from error
        self.shape: tuple[int, ...] = self._array.shape

    def read(self, start: int, size: int) -> Iterator[NDArray[Any]]:
        for at in range(start, len(self._array), size):
            yield np.asarray(self._array[at : at + size])


class _Member:
    """An array in an ``.npz`` file, read from its beginning on, a few rows at a time."""

    def __init__(self, file: Path, name: str) -> None:
        self._file, self._name = file, name
        self.source = f"{name.removesuffix('.npy')} in {file.name}"
        with zipfile.ZipFile(file) as archive, archive.open(name) as stream:
            self.shape, self._fortran, self._dtype = _header(stream, name)

    def read(self, start: int, size: int) -> Iterator[NDArray[Any]]:
        row = int(np.prod(self.shape[1:], dtype=np.int64)) * self._dtype.itemsize
        with zipfile.ZipFile(self._file) as archive, archive.open(self._name) as stream:
            _header(stream, self._name)
            if self._fortran and len(self.shape) > 1:  # its rows lie nowhere together
                whole = np.frombuffer(stream.read(), self._dtype).reshape(self.shape, order="F")
                for at in range(start, len(whole), size):
                    yield np.ascontiguousarray(whole[at : at + size])
                return
            stream.seek(start * row, 1)
            for at in range(start, self.shape[0], size):
                count = min(size, self.shape[0] - at)
                data = stream.read(count * row)
                if len(data) != count * row:
                    raise DataError(f"{self._file.name} ends in the middle of {self._name}")
                yield np.frombuffer(data, self._dtype).reshape(count, *self.shape[1:])


def _header(stream: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        major = np.lib.format.read_magic(stream)[0]
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except ValueError as error:
        raise DataError(f"{name} cannot be read: {error}") from error
    if dtype.hasobject:
        raise DataError(f"{name} holds Python objects, which are not loaded: save numbers or text")
    return shape, fortran, dtype


def _members(file: Path) -> dict[str, _Member]:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{file.name} cannot be read: {error}") from error
    return {name.removesuffix(".npy"): _Member(file, name) for name in names}


def _of_arrays(
    found: dict[str, _Mapped] | dict[str, _Member], inputs: Specs, features: Sequence[str]
) -> Stream:
    chosen = _chosen(set(found), inputs, features)
    readers: dict[str, _Mapped | _Member] = {
        spec["name"]: found[name] for spec, name in zip(inputs, chosen, strict=True)
    }
    counts = {name: reader.shape[0] if reader.shape else 0 for name, reader in readers.items()}
    if len(set(counts.values())) > 1:
        (a, many), (b, few) = next(p for p in pairwise(counts.items()) if p[0][1] != p[1][1])
        raise DataError(f"{a} has {many} samples but {b} has {few}")
    count = next(iter(counts.values()))
    if not count:
        raise DataError("the data has no samples")

    sources = ", ".join(reader.source for reader in readers.values())

    def read(start: int, size: int) -> Iterator[Part]:
        at = start
        for rows in zip(*(r.read(start, size) for r in readers.values()), strict=True):
            feed = {
                spec["name"]: fitted(spec, x, rows_of(readers[spec["name"]].source, at))
                for spec, x in zip(inputs, rows, strict=True)
            }
            part = Part(at, feed, rows_of(sources, at))
            yield part
            at += len(part)

    return Stream(count, read)


def _chosen(have: set[str], inputs: Specs, features: Sequence[str]) -> list[str]:
    """The array of each input."""
    listed = ", ".join(sorted(have)) or "none"
    if features:
        if len(features) != len(inputs):
            raise DataError(f"the model takes {len(inputs)} inputs: name so many arrays with --features")
        if missing := [name for name in features if name not in have]:
            raise DataError(f"no array {missing[0]!r}: the data has {listed}")
        return list(features)
    names = [spec["name"] for spec in inputs]
    if set(names) <= have:
        return names
    if len(names) == 1:
        usual = [x for x, _ in arrays.PAIRS if x in have]
        if usual or len(have) == 1:
            return [usual[0] if usual else next(iter(have))]
    missing = [name for name in names if name not in have]
    raise DataError(
        f"the data has no array for the model's input {missing[0]!r}: it has {listed}; "
        "name them with --features, in the order of the inputs"
    )


# Tables


def _of_tables(files: list[Path], inputs: Specs, features: Sequence[str]) -> Stream:
    import pyarrow as pa

    table = Table(files)
    groups = _columns(table, inputs, features)
    columns = [column for group in groups for column in group]
    wanted = {
        column: pa.string() if spec["datatype"] == "BYTES" else pa.float64()
        for spec, group in zip(inputs, groups, strict=True)
        for column in group
    }

    def read(start: int, size: int) -> Iterator[Part]:
        at = start
        for block, place in table.read(columns, wanted, start, size):
            feed = {}
            for spec, group in zip(inputs, groups, strict=True):
                parts = [values(block.column(c), c, place) for c in group]
                x = parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
                feed[spec["name"]] = fitted(spec, x, place)
            yield Part(at, feed, place)
            at += block.num_rows

    names = [spec["name"] for spec in inputs]
    return Stream(table.count(), read, dict(zip(names, groups, strict=True)))


def _columns(table: Table, inputs: Specs, features: Sequence[str]) -> list[list[str]]:
    """The columns of each input."""
    types = table.types
    listed = ", ".join(list(types)[:20])
    names = [spec["name"] for spec in inputs]
    chosen = list(features) or names
    if missing := [name for name in chosen if name not in types]:
        if features:
            raise DataError(f"no column {missing[0]!r}: the table has {listed}")
        if len(inputs) > 1:
            raise DataError(
                f"the table has no column for the model's input {missing[0]!r}: it has {listed}"
            )
        return [_of_one(table, inputs[0])]
    if len(inputs) == 1:
        return [chosen]
    if len(chosen) != len(inputs):
        raise DataError(f"the model takes {len(inputs)} inputs: name so many columns with --features")
    return [[name] for name in chosen]


def _of_one(table: Table, spec: dict[str, Any]) -> list[str]:
    """All columns but the label, for an input that takes so many numbers."""
    types = table.types
    rest = [name for name in types if name not in arrays.LABEL_COLUMNS]
    width = int(np.prod(spec["shape"][1:])) if -1 not in spec["shape"][1:] else None
    for candidate in (rest, list(types)):
        if width in (None, len(candidate)):
            words = [name for name in candidate if not numeric(types[name])]
            if words and spec["datatype"] != "BYTES":
                raise DataError(
                    f"the column {words[0]!r} is not of numbers: {table.first_word(words[0])}; correct it, or "
                    "name the columns of the input with --features"
                )
            return candidate
    raise DataError(
        f"the model's input {spec['name']!r} takes {width} numbers, and the table has {len(rest)} columns "
        f"beside a label ({', '.join(rest[:20])}): name those that are meant with --features"
    )


# Images


def _of_images(folder: Path, files: list[Path], inputs: Specs) -> Stream:
    if len(inputs) != 1:
        raise DataError(f"images are one input, and the model takes {len(inputs)}")
    from PIL import Image

    def pixels(file: Path) -> NDArray[Any]:
        try:
            with Image.open(file) as image:
                return np.asarray(image, dtype=np.float32) / 255
        except (OSError, ValueError) as error:
            raise DataError(f"{name(file)} cannot be read as an image: {error}") from error

    def name(file: Path) -> str:
        return str(file.relative_to(folder)) if folder.is_dir() else file.name

    first = pixels(files[0]).shape

    def read(start: int, size: int) -> Iterator[Part]:
        for at in range(start, len(files), size):
            some = files[at : at + size]
            found = [pixels(file) for file in some]
            for file, one in zip(some, found, strict=True):
                if one.shape != first:
                    raise DataError(
                        f"the images differ in size: {name(files[0])} is {first}, {name(file)} is {one.shape}; "
                        "bring them to one"
                    )
            names = [name(file) for file in some]
            place = names.__getitem__
            yield Part(at, {inputs[0]["name"]: fitted(inputs[0], np.stack(found), place)}, place, names)

    return Stream(len(files), read)
