"""What the model server and a replica say to each other, on the unix socket that the replica listens on.

A frame is a little-endian u32, the length of the head, a u64, the length of the tail, the head (a JSON
object in UTF-8) and the tail (bytes). Tensors stand one after the other in the tail, as the head describes:
``{"name", "datatype", "shape", "size"}``, raw and row-major, BYTES as a u32 length before each string.

The replica speaks first::

    ← {"type": "hello", "signature": {…} | null, "raw": bool, "stream": bool, "max_batch": n | null,
       "ping": bool}     whether it knows ping
    → {"type": "infer", "id": n, "outputs": [name, …], "inputs": [tensor, …]} + tensors
    → {"type": "raw", "id": n, "method", "path", "headers": {…}} + body
    → {"type": "more", "id": n, "bytes": m}     the reader of a stream has taken so many bytes
    → {"type": "cancel", "id": n}
    → {"type": "ping"}
    ← {"type": "pong", "steps": n, "working": bool}     at once, beside the model; n changes when the model
       begins or ends something
    ← {"type": "result", "id": n, "outputs": [tensor, …]} + tensors
    ← {"type": "raw_result", "id": n, "status", "content_type"} + body
    ← {"type": "chunk", "id": n, "last": bool} + data
    ← {"type": "error", "id": n, "kind": one of KINDS, "message"}
    ← {"type": "goodbye"}     it ends: send nothing new
    → {"type": "goodbye"}     nothing new follows

Each ``infer`` and ``raw`` gets exactly one last frame: a result, an error, or a chunk that is the last.
A cancelled one gets it, too: until then the replica is busy with it. A stream of which :data:`WINDOW` bytes
or more have not been taken pauses.

Standard library and numpy only, Python 3.8: the replica's side runs in the model's environment.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any, Callable, NamedTuple, Sequence  # noqa: UP035 - Python 3.8

import numpy as np

PREFIX = struct.Struct("<IQ")
MAX_HEAD = 1 << 20
"""Bytes of JSON in a frame."""
WINDOW = 1 << 18
"""Bytes of a stream that may be under way, unread."""
KINDS = ("bad_request", "failed", "overloaded", "too_large", "cancelled")

NUMPY = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""The array type behind each datatype; BYTES: of ``str``, and of ``bytes`` where they are not UTF-8."""
_DATATYPES = {dtype: name for name, dtype in NUMPY.items()}
_SCRATCH = 1 << 16
_MAX_RANK = 32
_LENGTH = struct.Struct("<I")


class FrameError(ValueError):
    """The other side does not keep to the protocol; the text is a sentence."""


class Frame(NamedTuple):
    """A frame that has arrived. ``tail``: null when it was longer than allowed, and thrown away."""

    head: dict[str, Any]
    tail: memoryview | None


class Reader:
    """Makes frames of the bytes of a connection.

    Bytes are received into :meth:`buffer`; then :meth:`advance` tells how many. A long tail is received
    right into a buffer of its own. ``max_tail``: a longer one is not kept.
    """

    def __init__(self, max_tail: int, loads: Callable[[bytes], Any] = json.loads) -> None:
        self._max_tail = max_tail
        self._loads = loads
        self._scratch = memoryview(bytearray(_SCRATCH))
        self._kept = 0
        """Bytes at the beginning of the scratch buffer that make no whole head yet."""
        self._head: dict[str, Any] = {}
        self._tail: memoryview | None = None
        self._filled = 0
        self._skip = 0

    def buffer(self) -> memoryview:
        """Where the next bytes go; never empty."""
        if self._tail is not None:
            return self._tail[self._filled :]
        return self._scratch[self._kept :]

    def advance(self, count: int) -> list[Frame]:
        """``count`` bytes were put into the buffer: the frames that are now whole.

        Raises:
            FrameError: a head that is too long, or is no JSON object with a ``type``.
        """
        if self._tail is not None:
            self._filled += count
            if self._filled < len(self._tail):
                return []
            whole, self._tail = Frame(self._head, self._tail), None
            return [whole]
        end = self._kept + count
        found: list[Frame] = []
        at = self._parse(end, found)
        self._kept = end - at
        if at and self._kept:
            self._scratch[: self._kept] = bytes(self._scratch[at:end])
        return found

    def _parse(self, end: int, found: list[Frame]) -> int:
        """Frames from the scratch buffer, which has bytes up to ``end``; returns how far it went."""
        at: int = 0
        while True:
            if self._skip:
                step = min(self._skip, end - at)
                at += step
                self._skip -= step
                if self._skip:
                    return at
                found.append(Frame(self._head, None))
            if end - at < PREFIX.size:
                return at
            size: tuple[int, int] = PREFIX.unpack_from(self._scratch, at)
            head, tail = size
            if head > MAX_HEAD:
                raise FrameError(f"a head of {head} bytes is over the limit of {MAX_HEAD}")
            if end - at < PREFIX.size + head:
                self._make_room(PREFIX.size + head)
                return at
            at += PREFIX.size + head
            self._head = self._read(self._scratch[at - head : at])
            if tail > self._max_tail:
                self._skip = tail
                continue
            have = min(tail, end - at)
            body = memoryview(bytearray(tail))
            body[:have] = self._scratch[at : at + have]
            at += have
            if have < tail:
                self._tail, self._filled = body, have
                return at
            found.append(Frame(self._head, body))

    def _make_room(self, size: int) -> None:
        if size > len(self._scratch):
            larger = memoryview(bytearray(size))
            larger[: len(self._scratch)] = self._scratch
            self._scratch = larger

    def _read(self, text: memoryview) -> dict[str, Any]:
        try:
            head = self._loads(bytes(text))
        except (ValueError, RecursionError) as error:
            raise FrameError(f"a head is not JSON: {error}") from error
        if not isinstance(head, dict) or not isinstance(head.get("type"), str):
            raise FrameError("a head is no JSON object with a type")
        return head


def pack(head: dict[str, Any], tail: Sequence[bytes | memoryview] = ()) -> list[bytes | memoryview]:
    """The buffers of one frame, in order; those of the tail are not copied."""
    text = json.dumps(head, separators=(",", ":")).encode()
    size = sum(len(part) for part in tail)
    return [PREFIX.pack(len(text), size) + text, *tail]


def datatype_of(array: Any) -> str:
    """The datatype of an array.

    Raises:
        TypeError: there is none for it, such as for complex numbers.
    """
    if array.dtype.kind in "OSUT":
        return "BYTES"
    found = _DATATYPES.get(array.dtype.newbyteorder("<"))
    if found is None:
        raise TypeError(f"an array of {array.dtype} has no datatype of the protocol")
    return found


def describe(name: str, array: Any, datatype: str) -> tuple[dict[str, Any], bytes | memoryview]:
    """A tensor's description for the head, and its bytes. An array of the datatype is not copied.

    Raises:
        TypeError, ValueError: the array has no such form.
    """
    if datatype == "BYTES":
        raw: bytes | memoryview = _join_strings(array)
    else:
        plain = np.ascontiguousarray(array, NUMPY[datatype])
        raw = plain.reshape(-1).view(np.uint8).data
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "size": len(raw)}, raw


def _join_strings(array: Any) -> bytes:
    parts: list[bytes] = []
    for value in array.ravel().tolist():
        text = value if isinstance(value, bytes) else str(value).encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)


def tensors(described: Any, tail: memoryview) -> dict[str, Any]:
    """The arrays of a frame by name, in order, on top of its tail where memory is aligned.

    Raises:
        FrameError: a description is wrong, or does not fit the bytes.
    """
    if not isinstance(described, list):
        raise FrameError("tensors are no list")
    found: dict[str, Any] = {}
    at = 0
    for one in described:
        name, datatype, shape, size = _checked(one)
        if name in found:
            raise FrameError(f"tensor {name!r} is there twice")
        if size > len(tail) - at:
            raise FrameError(f"tensor {name!r} has {size} bytes where {len(tail) - at} are left")
        found[name] = _array(name, datatype, shape, tail[at : at + size])
        at += size
    if at != len(tail):
        raise FrameError(f"{len(tail) - at} bytes follow the tensors")
    return found


def _checked(one: Any) -> tuple[str, str, list[int], int]:
    if not isinstance(one, dict):
        raise FrameError("a tensor is no object")
    name, datatype, shape, size = one.get("name"), one.get("datatype"), one.get("shape"), one.get("size")
    if not isinstance(name, str) or not isinstance(datatype, str) or datatype not in NUMPY:
        raise FrameError(f"tensor {str(name)[:80]!r} has no known datatype")
    if not isinstance(shape, list) or len(shape) > _MAX_RANK or not all(map(_is_length, shape)):
        raise FrameError(f"tensor {name!r} has no shape")
    if type(size) is not int or not _is_length(size):
        raise FrameError(f"tensor {name!r} has no size")
    return name, datatype, shape, size


def _is_length(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _array(name: str, datatype: str, shape: list[int], raw: memoryview) -> Any:
    count = math.prod(shape)
    if datatype == "BYTES":
        return _shaped(name, _split_strings(name, count, raw), shape)
    dtype = NUMPY[datatype]
    if len(raw) != count * dtype.itemsize:
        raise FrameError(f"tensor {name!r} has {len(raw)} bytes where {datatype} {shape} has others")
    if datatype == "BOOL":
        octets = np.frombuffer(raw, np.uint8)
        if octets.size and octets.max() > 1:
            raise FrameError(f"tensor {name!r} has a byte that is neither true nor false")
    array = np.frombuffer(raw, dtype)
    return _shaped(name, array if array.flags.aligned else array.copy(), shape)


def _shaped(name: str, array: Any, shape: list[int]) -> Any:
    try:
        return array.reshape(shape)
    except ValueError as error:  # numpy's own limits
        raise FrameError(f"tensor {name!r} cannot have shape {shape}") from error


def _split_strings(name: str, count: int, raw: memoryview) -> Any:
    if count > len(raw) // _LENGTH.size:
        raise FrameError(f"tensor {name!r} has too few bytes for its {count} strings")
    array = np.empty(count, dtype=object)
    at = 0
    for index in range(count):
        if at + _LENGTH.size > len(raw):
            raise FrameError(f"tensor {name!r} ends after {index} strings")
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if at + length > len(raw):
            raise FrameError(f"tensor {name!r} ends inside of string {index}")
        text = bytes(raw[at : at + length])
        at += length
        try:
            array[index] = text.decode()
        except UnicodeDecodeError:
            array[index] = text
    if at != len(raw):
        raise FrameError(f"tensor {name!r} has {len(raw) - at} bytes too many")
    return array
