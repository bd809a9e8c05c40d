"""Looking at Parquet files, in a process of their own: a hostile file takes that down, not the server.

Run as a program it reads the file from its standard input. It imports nothing of Nacre.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

_SECONDS = 10
_MEMORY = 4 * 2**30
_MAX_ANSWER = 16 * 2**20
_MAX_COPY = 512 * 2**20
_MAX_CELL = 2000


class Broken(Exception):
    """The file cannot be read; the sentence says why."""


def read(stream: BinaryIO, offset: int, limit: int, columns: int) -> dict[str, Any]:
    """``columns`` (name and type of each), ``columns_total``, ``rows`` from ``offset`` on, ``total``.

    Raises:
        Broken: it is no valid Parquet, or takes too much memory or time.
    """
    with tempfile.TemporaryFile() as copy:
        source = stream if _is_file(stream) else _copied(stream, copy)
        source.seek(0)
        os.lseek(source.fileno(), 0, os.SEEK_SET)
        command = [sys.executable, "-I", str(Path(__file__)), str(offset), str(limit), str(columns)]
        try:
            done = subprocess.run(
                command,
                stdin=source,
                capture_output=True,
                env={"LC_ALL": "C.UTF-8", "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"},
                timeout=2 * _SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Broken("it takes too long to be looked at: download it") from None
    if done.returncode != 0 or len(done.stdout) > _MAX_ANSWER:
        raise Broken("it is damaged, or too large to be looked at")
    found: dict[str, Any] = json.loads(done.stdout)
    if "error" in found:
        raise Broken(found["error"])
    return found


def _is_file(stream: BinaryIO) -> bool:
    try:
        return stream.fileno() >= 0
    except (OSError, AttributeError):
        return False


def _copied(stream: BinaryIO, copy: Any) -> BinaryIO:
    stream.seek(0)
    size = 0
    while piece := stream.read(2**20):
        size += len(piece)
        if size > _MAX_COPY:
            raise Broken("it is too large to be looked at: download it")
        copy.write(piece)
    copy.flush()
    found: BinaryIO = copy
    return found


def _main(offset: int, limit: int, width: int) -> dict[str, Any]:
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    arrow.set_cpu_count(1)
    arrow.set_io_thread_count(1)
    with open(0, "rb", closefd=False) as source:
        opened = parquet.ParquetFile(source, memory_map=False, pre_buffer=False)
        schema = opened.schema_arrow
        names = schema.names[:width]
        first = offset
        groups: list[int] = []
        for number in range(opened.metadata.num_row_groups):
            rows = opened.metadata.row_group(number).num_rows
            if groups or first < rows:
                groups.append(number)
            else:
                first -= rows
        found: list[list[Any]] = []
        if groups:
            for batch in opened.iter_batches(
                batch_size=max(1, min(limit, 1000)), row_groups=groups, columns=names, use_threads=False
            ):
                if first >= batch.num_rows:
                    first -= batch.num_rows
                    continue
                part = batch.slice(first, limit - len(found))
                first = 0
                lists = [[_cell(value) for value in column.to_pylist()] for column in part.columns]
                found += [list(row) for row in zip(*lists, strict=True)] if lists else []
                if len(found) >= limit:
                    break
        return {
            "columns": [
                {"name": name, "type": str(schema.field(at).type)[:100]} for at, name in enumerate(names)
            ],
            "columns_total": len(schema.names),
            "rows": found,
            "total": opened.metadata.num_rows,
        }


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return f"{len(value)} bytes"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:_MAX_CELL]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = _main(*(int(word) for word in sys.argv[1:4]))
    except Exception as error:  # whatever a hostile file can make Arrow say
        answer = {"error": f"it is no valid Parquet: {str(error)[:300]}"}
    sys.stdout.write(json.dumps(answer))
