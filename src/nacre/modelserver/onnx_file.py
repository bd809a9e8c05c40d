"""What has to be known of an ONNX file before a runtime opens it.

A reader of the protobuf wire format, for two questions only: is this an ONNX model, and which other
files does it want to read? Weights are skipped, not read, so a file of gigabytes takes milliseconds.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from nacre.errors import InvalidSpec

# Message -> field number -> message that it holds, for the paths on which a tensor can lie.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_GRAPH = 7


class _Malformed(Exception):
    pass


def check_file(path: Path) -> None:
    """Raise ``InvalidSpec`` unless ``path`` is an ONNX model whose data lies in its own folder."""
    try:
        if not path.is_file():
            raise InvalidSpec(f"there is no file {path}", fields=["path"])
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise InvalidSpec(f"{path.name} is empty, not an ONNX model", fields=["path"])
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                locations = _locations(data)
    except OSError as error:
        raise InvalidSpec(f"{path} cannot be read: {error.strerror}", fields=["path"]) from error
    except _Malformed as error:
        raise InvalidSpec(
            f"{path.name} is not an ONNX model: export it with torch.onnx, tf2onnx or skl2onnx",
            fields=["path"],
        ) from error
    folder = path.resolve().parent
    for location in sorted(locations):
        _check_location(folder, location)


def _check_location(folder: Path, location: str) -> None:
    target = (folder / location).resolve()
    if Path(location).is_absolute() or not target.is_relative_to(folder):
        raise InvalidSpec(
            f"the model keeps weights in {location!r}, outside of its own folder: save it as one "
            "file, or with its weights beside it",
            fields=["path"],
        )
    if not target.is_file():
        raise InvalidSpec(
            f"the model keeps weights in {location!r}, which is not there: save it as one file",
            fields=["path"],
        )


def _locations(data: mmap.mmap) -> set[str]:
    """The files that tensors refer to."""
    found: set[str] = set()
    stack = [("model", 0, len(data))]
    graphs = 0
    while stack:
        kind, start, end = stack.pop()
        children = _CHILDREN[kind]
        for number, low, high in _fields(data, start, end):
            child = children.get(number)
            if child is None:
                continue
            if child == "entry":
                key, value = _entry(data, low, high)
                if key == "location":
                    found.add(value)
                continue
            graphs += kind == "model" and number == _GRAPH
            stack.append((child, low, high))
    if not graphs:
        raise _Malformed
    return found


def _entry(data: mmap.mmap, start: int, end: int) -> tuple[str, str]:
    texts = {number: data[low:high] for number, low, high in _fields(data, start, end)}
    try:
        return texts.get(1, b"").decode(), texts.get(2, b"").decode()
    except UnicodeDecodeError as error:
        raise _Malformed from error


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each length-delimited field of a message; others are skipped."""
    while at < end:
        tag, at = _varint(data, at, end)
        wire = tag & 7
        if wire == 0:
            _, at = _varint(data, at, end)
        elif wire == 1:
            at += 8
        elif wire == 5:
            at += 4
        elif wire == 2:
            length, at = _varint(data, at, end)
            if at + length > end:
                raise _Malformed
            yield tag >> 3, at, at + length
            at += length
        else:
            raise _Malformed
    if at != end:
        raise _Malformed


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
        shift += 7
    raise _Malformed
