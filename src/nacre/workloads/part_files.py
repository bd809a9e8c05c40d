"""What a model answered, as files of parts: Parquet with a row per sample, or NumPy arrays.

A part that is there is whole: it gets its name when its last byte is written. So a program that starts again
counts the samples of its parts and goes on after them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

INDEX, FILE = "sample", "file"
"""Columns that tell which sample a row is of."""


class Format(Protocol):
    """How a part is written. Columns are arrays whose first axis is the samples."""

    suffix: str

    def write(self, path: Path, columns: dict[str, NDArray[Any]]) -> None:
        """Write a part that is not there."""

    def rows(self, path: Path) -> int:
        """How many samples a part has."""


class Parquet:
    """A row per sample; a tensor is a list of fixed length, its shape in the column's metadata."""

    suffix = ".parquet"

    def write(self, path: Path, columns: dict[str, NDArray[Any]]) -> None:
        """As one row group."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        fields, found = [], []
        for name, values in columns.items():
            shape = "x".join(map(str, values.shape[1:]))
            column = _column(values)
            fields.append(pa.field(name, column.type, metadata={"shape": shape} if shape else None))
            found.append(column)
        pq.write_table(pa.Table.from_arrays(found, schema=pa.schema(fields)), path, compression="zstd")

    def rows(self, path: Path) -> int:
        """Of the file's footer."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(path).num_rows)


def _column(values: NDArray[Any]) -> Any:
    import pyarrow as pa

    if values.dtype.kind in "OSU":
        flat = pa.array([_text(v) for v in values.reshape(-1).tolist()])
    else:
        flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    if values.ndim == 1:
        return flat
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


class Npz:
    """One archive of arrays for each part, of the columns' names."""

    suffix = ".npz"

    def write(self, path: Path, columns: dict[str, NDArray[Any]]) -> None:
        """Text as Unicode, so that no pickle is needed to read it."""
        plain = {n: v.astype(str) if v.dtype.kind in "OS" else v for n, v in columns.items()}
        with path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **plain)

    def rows(self, path: Path) -> int:
        """Of the index."""
        with np.load(path, allow_pickle=False) as archive:
            return len(archive[INDEX])


FORMATS: dict[str, Format] = {"parquet": Parquet(), "npz": Npz()}


class Parts:
    """The parts in a folder, in order; what is handed in is kept until it makes one.

    Args:
        rows, size: a part has so many samples, or bytes, and one batch more at most.
    """

    def __init__(self, folder: Path, form: Format, *, rows: int = 65_536, size: int = 64 * 2**20) -> None:
        self._folder, self._form = folder, form
        self._most_rows, self._most_size = rows, size
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*"):
            left.unlink()
        self.files = sorted(folder.glob(f"part-*{form.suffix}"))
        self.done = sum(form.rows(file) for file in self.files)
        self._held: list[dict[str, NDArray[Any]]] = []

    def add(self, columns: dict[str, NDArray[Any]]) -> bool:
        """Take a batch; whether that completed a part."""
        self._held.append(columns)
        rows = sum(len(next(iter(batch.values()))) for batch in self._held)
        size = sum(values.nbytes for batch in self._held for values in batch.values())
        if rows < self._most_rows and size < self._most_size:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Make a part of what is held."""
        if not self._held:
            return
        columns = {name: _joined([batch[name] for batch in self._held]) for name in self._held[0]}
        path = self._folder / f"part-{len(self.files):05d}{self._form.suffix}"
        partial = path.with_name(f".{path.name}")
        self._form.write(partial, columns)
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.replace(path)
        self.files.append(path)
        self.done += len(next(iter(columns.values())))
        self._held = []

    def hand_over(self, target: Path) -> None:
        """Put all parts into another folder, then let go of them here."""
        target.mkdir(parents=True, exist_ok=True)
        for file in self.files:
            shutil.copyfile(file, target / file.name)
        shutil.rmtree(self._folder)


def _joined(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    shapes = {a.shape[1:] for a in arrays}
    if len(shapes) > 1:
        raise ValueError(
            f"the model's answers differ in shape from batch to batch ({sorted(map(list, shapes))})"
        )
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
