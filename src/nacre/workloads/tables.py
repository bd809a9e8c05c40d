"""Tables of a dataset, ``.csv`` and ``.parquet``: several files of a kind as one, a few rows at a time."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacre.workloads.arrays import DataError
from nacre.workloads.places import Place, rows_of

_BLOCK = 4 * 2**20
_ROWS = 1024
_IN_CSV = re.compile(r"(?:In CSV column #(\d+): |CSV parse error: )Row #(\d+): (.*)", re.DOTALL)
_WORD = re.compile(r"CSV conversion error to double: invalid value (.*)", re.DOTALL)


class Table:
    """Read in blocks with pyarrow. ``types``: of each column of the first file, as pyarrow has it.

    Raises:
        DataError: a file cannot be read; where a row is at fault, it is named.
    """

    def __init__(self, files: list[Path]) -> None:
        self._files = files
        self._csv = files[0].suffix.lower() == ".csv"
        self.types = self._types()

    def _types(self) -> dict[str, Any]:
        first = self._files[0]
        try:
            if self._csv:
                return _named(self._csv_reader(first, {}).schema)
            import pyarrow.parquet as pq

            return _named(pq.read_schema(first))
        except (ValueError, OSError) as error:
            raise _unreadable(first, error) from error

    def count(self) -> int | None:
        """How many rows there are, where the files tell."""
        if self._csv:
            return None
        import pyarrow.parquet as pq

        return sum(int(pq.read_metadata(file).num_rows) for file in self._files)

    def read(
        self, columns: Sequence[str], types: dict[str, Any], start: int, size: int
    ) -> Iterator[tuple[Any, Place]]:
        """Record batches of ``columns`` from row ``start`` on, of ``size`` rows at most, and where they lie."""
        skip = start
        for file in self._files:
            row = 0
            try:
                for block in self._blocks(file, columns, types, size):
                    if absent := [name for name in columns if name not in block.schema.names]:
                        raise DataError(f"{file.name} has no column {absent[0]!r}")
                    passed = min(skip, block.num_rows)
                    skip -= passed
                    for at in range(passed, block.num_rows, size):
                        yield block.slice(at, size), rows_of(file.name, row + at)
                    row += block.num_rows
            except (ValueError, OSError, KeyError) as error:  # pyarrow's errors are ValueErrors
                raise _unreadable(file, error) from error

    def _blocks(
        self, file: Path, columns: Sequence[str], types: dict[str, Any], size: int
    ) -> Iterator[Any]:
        if self._csv:
            yield from self._csv_reader(file, types, columns)
            return
        import pyarrow.parquet as pq

        with pq.ParquetFile(file) as opened:
            yield from opened.iter_batches(batch_size=size, columns=list(columns))

    def _csv_reader(self, file: Path, types: dict[str, Any], columns: Sequence[str] = ()) -> Any:
        from pyarrow import csv as arrow

        return arrow.open_csv(
            file,
            read_options=arrow.ReadOptions(block_size=_BLOCK, use_threads=False),
            convert_options=arrow.ConvertOptions(column_types=types, include_columns=list(columns) or None),
        )

    def first_word(self, column: str) -> str:
        """Where a column that is not of numbers first is not, and what is there."""
        import pyarrow as pa

        for block, place in self.read([column], {column: pa.string()}, 0, _ROWS):
            for at, value in enumerate(block.column(column).to_pylist()):
                if value is not None and not _number(value):
                    return f"{place(at)}, has {str(value)[:60]!r}"
        return "it has no values"


def _named(schema: Any) -> dict[str, Any]:
    return {field.name: field.type for field in schema}


def _number(value: Any) -> bool:
    try:
        float(value)
    except (ValueError, TypeError):
        return False
    return True


def _unreadable(file: Path, error: Exception) -> DataError:
    """What pyarrow says, with the row and the column's name in our terms."""
    found = _IN_CSV.match(str(error))
    if found is None:
        return DataError(f"{file.name} cannot be read: {error}")
    column, row, said = found.groups()
    if word := _WORD.fullmatch(said):
        said = f"{word[1]} is not a number"
    if column is not None:
        with file.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            said = f"column {next(csv.reader(stream))[int(column)]!r}: {said}"
    place = rows_of(file.name, int(row) - 2)  # it counts from 1, with the names of the columns
    return DataError(f"{place(0)}: {said}")


def numeric(kind: Any) -> bool:
    """Whether a column of this type is one of numbers."""
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _lists(kind: Any) -> bool:
    import pyarrow as pa

    is_one = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(kind) for check in is_one)


def values(column: Any, name: str, place: Place) -> NDArray[Any]:
    """A column as an array: [rows], or [rows, n] of one of lists.

    Raises:
        DataError: a cell is empty, or a list has another length than those before.
    """
    from pyarrow import compute

    def empty(flat: Any) -> None:
        if flat.null_count:
            at = compute.index(flat.is_null(), True).as_py() * len(column) // len(flat)
            raise DataError(f"{place(at)}: the column {name!r} is empty there: fill it in")

    flat = column
    empty(flat)
    while _lists(flat.type):
        lengths = compute.list_value_length(flat).to_numpy(zero_copy_only=False)
        if len(odd := np.flatnonzero(lengths != lengths[0])):
            at = int(odd[0]) * len(column) // len(flat)
            raise DataError(
                f"{place(at)}: the lists in the column {name!r} differ in length: {lengths[odd[0]]} here, "
                f"{lengths[0]} before"
            )
        flat = flat.flatten()
        empty(flat)
    found = np.asarray(flat.to_numpy(zero_copy_only=False))
    return found if flat is column else found.reshape(len(column), -1)
