"""Parquet files, made piece by piece. Imported when the first is asked for: pyarrow is large."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from nacre.services.run_export import Field

_TYPES = {
    "text": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "time": pa.timestamp("ms", tz="UTC"),
}


class _Pipe(io.RawIOBase):
    """Takes what the writer writes, until it is fetched."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._held += data
        return len(data)

    def fetch(self) -> bytes:
        """What was written since the last call."""
        data = bytes(self._held)
        self._held.clear()
        return data


class ParquetSheet:
    """A Parquet file with one row group for each call of :meth:`rows`; NaN stays NaN, null is missing."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self._schema = pa.schema([(field.name, _TYPES[field.kind]) for field in fields])
        self._pipe = _Pipe()
        self._writer = pq.ParquetWriter(self._pipe, self._schema, compression="zstd")

    def rows(self, columns: Sequence[Any]) -> bytes:
        """Add rows, given as columns; the bytes that are ready."""
        arrays = [pa.array(column, kind) for column, kind in zip(columns, self._schema.types, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        return self._pipe.fetch()

    def end(self) -> bytes:
        """The footer."""
        self._writer.close()
        return self._pipe.fetch()
