"""Named tensors from a table of columns and rows: data frames of MLflow's clients, and CSV.

Columns go to the inputs of their names; further ones are left out. A model with a single input of several
values per row takes all columns, in their order, whatever they are called.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

from nacre.modelserver.calls import BadRequest, Interface, expected
from nacre.modelserver.protocols.rows import check_shape, elements, is_object, shape_of, short
from nacre.modelserver.tensors import Array
from nacre.schema.serving import TensorSpec

_FLOATS = ("FP16", "FP32", "FP64")
_WORDS = {"true": True, "false": False, "1": True, "0": False}
_SPARSE, _THIN = 100_000, 16
"""Cells of a table from records: so many, and beyond them 16 for each one that was sent."""
Read = Callable[[list[Any], TensorSpec], list[Any]]
"""Makes cells the values of an input."""


def from_split(frame: object, interface: Interface) -> dict[str, Array]:
    """The inputs from ``{"columns": […], "index": […], "data": [[…], …]}``."""
    if (
        not isinstance(frame, dict)
        or not frame.keys() >= {"data"}
        or frame.keys() - {"columns", "index", "data"}
    ):
        raise BadRequest(
            '"dataframe_split" has to be an object with "data" and perhaps "columns" and "index", no more'
        )
    columns, data = frame.get("columns"), frame["data"]
    if columns is not None and not isinstance(columns, list):
        raise BadRequest('"columns" of "dataframe_split" has to be a list of names')
    if not isinstance(data, list):
        raise BadRequest('"data" of "dataframe_split" has to be a list of rows')
    return from_table(columns, data, interface)


def from_records(records: object, interface: Interface, key: str = "dataframe_records") -> dict[str, Array]:
    """The inputs from one object of columns per row; what a row lacks is null."""
    if not isinstance(records, list):
        raise BadRequest(f'"{key}" has to be a list of objects, one per row')
    columns: dict[str, None] = {}
    for at, record in enumerate(records):
        if not is_object(record):
            raise BadRequest(f'entry {at} of "{key}" has to be an object of columns')
        columns.update(dict.fromkeys(record))
    if len(records) * len(columns) > _SPARSE + _THIN * sum(map(len, records)):
        raise BadRequest(f'the objects of "{key}" have too few columns in common')
    rows = [[record.get(name) for name in columns] for record in records]
    return from_table(list(columns), rows, interface)


def from_table(
    columns: list[Any] | None, rows: list[Any], interface: Interface, read: Read | None = None
) -> dict[str, Array]:
    """The inputs from rows of cells.

    Null stands for NaN where the input has floats. Raises :class:`BadRequest`.
    """
    read = read or _filled
    if not rows:
        raise BadRequest("the table has no rows: it needs at least one")
    width = len(columns) if columns is not None else len(rows[0]) if isinstance(rows[0], list) else 0
    for at, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            found = f"{len(row)} values" if isinstance(row, list) else "no list of values"
            raise BadRequest(f"row {at} of the table has {found} where {width} are expected")
    if not _by_name(columns, width, interface):
        return _as_one(rows, width, interface, read)
    assert columns is not None
    feed: dict[str, Array] = {}
    for name, spec in interface.inputs.items():
        if columns.count(name) > 1:
            raise BadRequest(f"column {short(name)} is there {columns.count(name)} times")
        at = columns.index(name)
        feed[name] = _column([row[at] for row in rows], spec, read)
    return feed


def _by_name(columns: list[Any] | None, width: int, interface: Interface) -> bool:
    """Whether each input has a column of its name; else all columns together are the only input."""
    inputs = interface.inputs
    if len(inputs) != 1:
        missing = [name for name in inputs if columns is None or name not in columns]
        if missing:
            raise BadRequest(
                f"the table has no column {', '.join(map(repr, missing))}; {expected(interface)}, "
                "each from the column of its name"
            )
        return True
    ((name, spec),) = inputs.items()
    return columns is not None and name in columns and (width == 1 or _one_value(spec))


def _one_value(spec: TensorSpec) -> bool:
    return len(spec.shape) == 1 or (len(spec.shape) == 2 and spec.shape[1] == 1)


def _column(values: list[Any], spec: TensorSpec, read: Read) -> Array:
    """One input from its column, whose cells may be lists."""
    values = read(values, spec)
    shape = shape_of(values, spec)
    # A column of plain values is also how tables hold an input of one value per row.
    allowed = [*shape, 1] if len(shape) == 1 and len(spec.shape) == 2 else shape
    check_shape(allowed, spec)
    return elements(values, shape, spec).reshape(allowed)


def _as_one(rows: list[list[Any]], width: int, interface: Interface, read: Read) -> dict[str, Array]:
    (spec,) = interface.inputs.values()
    if len(spec.shape) == 1 and width == 1:
        return {spec.name: _column([row[0] for row in rows], spec, read)}
    check_shape([len(rows), width], spec)
    if any(isinstance(cell, list) for cell in rows[0]):
        raise BadRequest(
            f"the cells of input '{spec.name}' are lists: a column with such cells has its name"
        )
    return {spec.name: elements([read(row, spec) for row in rows], [len(rows), width], spec)}


def _filled(values: list[Any], spec: TensorSpec) -> list[Any]:
    if spec.datatype not in _FLOATS or None not in values:
        return values
    return [float("nan") if value is None else value for value in values]


# ---- CSV


def from_csv(body: bytes, interface: Interface, header: bool | None) -> dict[str, Array]:
    """The inputs from lines of comma-separated values.

    ``header``: whether the first line names the columns. Null: it does when it has the names of all inputs,
    or when the inputs are numbers and one of its cells is none. Raises :class:`BadRequest`.
    """
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")) if line]
    except UnicodeDecodeError as error:
        raise BadRequest("the CSV body is not UTF-8") from error
    except csv.Error as error:
        raise BadRequest(f"the body is not CSV: {error}") from error
    if not lines:
        raise BadRequest("the CSV body has no lines")
    if header is None:
        header = _is_header(lines[0], interface)
    columns = [name.strip() for name in lines.pop(0)] if header else None
    return from_table(columns, lines, interface, _parsed)


def _is_header(line: list[str], interface: Interface) -> bool:
    if {name.strip() for name in line} >= interface.inputs.keys():
        return True
    if any(spec.datatype == "BYTES" for spec in interface.inputs.values()):
        return False
    return not (_as_floats(line) or all(_is_number(cell) for cell in line))


def _is_number(cell: str) -> bool:
    return _as_floats([cell]) is not None or cell.strip().lower() in {"", "true", "false"}


def _as_floats(cells: list[str]) -> list[float] | None:
    try:
        return list(map(float, cells))
    except ValueError:
        return None


def _parsed(cells: list[str], spec: TensorSpec) -> list[Any]:
    if spec.datatype == "BYTES":
        return cells
    if spec.datatype in _FLOATS and "_" not in "".join(cells) and (found := _as_floats(cells)) is not None:
        return found
    return [_value(cell, spec) for cell in cells]


def _value(text: str, spec: TensorSpec) -> Any:
    try:
        if "_" in text:
            raise ValueError(text)
        if spec.datatype in _FLOATS:
            return float(text) if text.strip() else float("nan")
        return _WORDS[text.strip().lower()] if spec.datatype == "BOOL" else int(text)
    except (ValueError, KeyError) as error:
        raise BadRequest(f"input '{spec.name}' is {spec.datatype}, and {short(text)} is none") from error
