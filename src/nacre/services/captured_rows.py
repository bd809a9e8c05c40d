"""What workers of the model server captured, as Parquet: a row for each sample of each request.

Columns: ``request.time``, ``request.revision``, each input by its name, each output as ``output.NAME``. A
tensor of a sample is a list, in row-major order, with its shape in the column's metadata.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

TIME, REVISION = "request.time", "request.revision"
_DTYPES = {
    "BOOL": "|b1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
Array = npt.NDArray[Any]


class _Request(NamedTuple):
    """``columns``: [rows, …] each, by name."""

    time_ms: int
    revision: int
    rows: int
    columns: dict[str, Array]


def to_parquet(lines: Iterable[bytes]) -> list[bytes]:
    """Parquet files of these lines, one for each form that the requests have. Lines that are not whole,
    such as the last one of a worker that was killed, are left out."""
    groups: dict[tuple[tuple[str, str], ...], list[_Request]] = {}
    for line in lines:
        if (found := _read(line)) is not None:
            form = tuple(
                (name, array.dtype.kind + str(array.ndim)) for name, array in found.columns.items()
            )
            groups.setdefault(form, []).append(found)
    return [_table(requests) for requests in groups.values()]


def _read(line: bytes) -> _Request | None:
    try:
        found = json.loads(line)
        inputs = {name: _tensor(told) for name, told in found["inputs"].items()}
        outputs = {f"output.{name}": _tensor(told) for name, told in found["outputs"].items()}
        rows = {len(array) for array in inputs.values()} if found["batched"] else {1}
        if len(rows) != 1:
            return None
        (count,) = rows
        columns = {name: a if found["batched"] else a[None] for name, a in inputs.items()}
        for name, array in outputs.items():
            own = found["batched"] and array.ndim and len(array) == count
            columns[name] = array if own else np.broadcast_to(array, (count, *array.shape))
        return _Request(int(found["time_ms"]), int(found["revision"]), count, columns)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _tensor(told: dict[str, Any]) -> Array:
    if told["datatype"] == "BYTES":
        return np.array(told["data"], dtype=object).reshape(told["shape"])
    data = base64.b64decode(told["b64"], validate=True)
    return np.frombuffer(data, _DTYPES[told["datatype"]]).reshape(told["shape"])


def _table(requests: Sequence[_Request]) -> bytes:
    ordered = sorted(requests, key=lambda one: one.time_ms)
    counts = [one.rows for one in ordered]
    arrays = [
        pa.array(np.repeat([one.time_ms for one in ordered], counts), pa.timestamp("ms", tz="UTC")),
        pa.array(np.repeat([one.revision for one in ordered], counts), pa.int32()),
    ]
    fields = [pa.field(TIME, arrays[0].type), pa.field(REVISION, arrays[1].type)]
    for name in ordered[0].columns:
        column, shape = _column([one.columns[name] for one in ordered])
        arrays.append(column)
        fields.append(pa.field(name, column.type, metadata={"shape": shape} if shape else None))
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), sink, compression="zstd")
    return sink.getvalue()


def _column(parts: Sequence[Array]) -> tuple[Any, str]:
    """The values of all requests, and the shape of each where it is always the same."""
    flat = _values(np.concatenate([part.reshape(-1) for part in parts]))
    if parts[0].ndim == 1:
        return flat, ""
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) == 1:
        (shape,) = shapes
        size = int(np.prod(shape, dtype=np.int64))
        return pa.FixedSizeListArray.from_arrays(flat, size), "x".join(map(str, shape))
    lengths = list(_lengths(parts))
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *lengths]), pa.int32()), flat), ""


def _lengths(parts: Sequence[Array]) -> Iterator[int]:
    for part in parts:
        size = int(np.prod(part.shape[1:], dtype=np.int64))
        yield from [size] * len(part)


def _values(flat: Array) -> Any:
    return pa.array(flat.tolist(), pa.string()) if flat.dtype == object else pa.array(flat)
