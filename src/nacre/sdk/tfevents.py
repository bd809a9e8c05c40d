"""Reads the scalars of TensorBoard event files (``events.out.tfevents.*``), also of one that still grows.

Standard library only, without TensorFlow and protobuf. What is read: a value of the summary with a
``simple_value`` (PyTorch, tensorboardX), or a tensor of one number of the scalars plugin (TensorFlow 2,
Keras). Histograms, images, texts and graphs are passed over.

    for scalar in nacre.sdk.tfevents.read("runs/a/events.out.tfevents.17"):
        print(scalar.step, scalar.tag, scalar.value)

A file is a row of records: length (8 bytes), checksum of the length (4), an ``Event`` in protobuf's
encoding, checksum of that (4).
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple  # noqa: UP035 - Python 3.8

_Field = Tuple[int, int | bytes]  # noqa: UP006
_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4
_MAX_RECORD = 1 << 30
_CHUNK = 1 << 20


class Scalar(NamedTuple):
    """A point of a curve. ``time_s``: when it was written, in seconds since 1970."""

    tag: str
    step: int
    time_s: float
    value: float


class Damaged(ValueError):
    """The bytes are no records of an event file from here on. ``offset``: where, in what was given."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"this is no event file, or it is damaged at byte {offset}")
        self.offset = offset


def is_event_file(name: str) -> bool:
    """Whether writers of event files name theirs so."""
    return "tfevents" in name and not name.endswith(".profile-empty")


def read(path: str | os.PathLike[str]) -> Iterator[Scalar]:
    """The scalars of a file, in the order they were written. Half a record at its end is left out.

    Raises:
        Damaged: after all scalars before the damage.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        waiting, offset = b"", 0
        while True:
            data = file.read(_CHUNK)
            if not data:
                return
            waiting += data
            found, used, damaged = parse(waiting)
            yield from found
            if damaged:
                raise Damaged(offset + used)
            waiting, offset = waiting[used:], offset + used


def parse(data: bytes) -> Tuple[List[Scalar], int, bool]:  # noqa: UP006
    """Whole records at the beginning of ``data``.

    Returns:
        Their scalars; how many bytes the records are (what follows is the beginning of one that is still
        being written); and whether what follows can never be one.
    """
    found: List[Scalar] = []  # noqa: UP006
    at, end = 0, len(data)
    while end - at >= _HEADER.size:
        length, check = _HEADER.unpack_from(data, at)
        if length > _MAX_RECORD or check != _masked_crc(data[at : at + 8]):
            return found, at, True
        start = at + _HEADER.size
        if end - start < length + _FOOTER_BYTES:
            break
        with contextlib.suppress(ValueError, IndexError, struct.error):  # a record of another kind
            _event(data[start : start + length], found)
        at = start + length + _FOOTER_BYTES
    return found, at, False


def _table() -> List[int]:  # noqa: UP006
    rows = []
    for number in range(256):
        row = number
        for _ in range(8):
            row = (row >> 1) ^ (0x82F63B78 if row & 1 else 0)
        rows.append(row)
    return rows


_CRC = _table()


def _masked_crc(data: bytes) -> int:
    """CRC-32C as records have it: turned and shifted, so that checksums of checksums are none."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(data: bytes, at: int) -> Tuple[int, int]:  # noqa: UP006
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("no varint")


def _fields(data: bytes) -> Iterator[_Field]:
    """Number and content of each field: integers for varints, bytes for the other three encodings."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("no field")
        if at + size > end:
            raise ValueError("a field reaches out of its message")
        yield key >> 3, data[at : at + size]
        at += size


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _event(data: bytes, found: List[Scalar]) -> None:  # noqa: UP006
    time_s, step = 0.0, 0
    summaries = []
    for number, content in _fields(data):
        if number == 1 and isinstance(content, bytes):
            time_s = struct.unpack("<d", content)[0]
        elif number == 2 and isinstance(content, int):
            step = _signed(content)
        elif number == 5 and isinstance(content, bytes):
            summaries.append(content)
    for summary in summaries:
        for number, content in _fields(summary):
            if number == 1 and isinstance(content, bytes):
                scalar = _value(content)
                if scalar is not None:
                    found.append(Scalar(scalar[0], step, time_s, scalar[1]))


def _value(data: bytes) -> Optional[Tuple[str, float]]:  # noqa: UP006, UP045
    tag, value, tensor, plugin = "", None, None, ""
    for number, content in _fields(data):
        if number == 2 and isinstance(content, bytes):
            value = float(struct.unpack("<f", content)[0])
        elif isinstance(content, bytes):
            if number == 1:
                tag = content.decode("utf-8", "replace")
            elif number == 8:
                tensor = content
            elif number == 9:
                plugin = _plugin(content)
    if value is None and tensor is not None and plugin in ("", "scalars"):
        value = _number(tensor, empty=0.0 if plugin else None)
    return None if value is None or not tag else (tag, value)


def _plugin(metadata: bytes) -> str:
    """Name of the plugin that a value is for."""
    for number, content in _fields(metadata):
        if number == 1 and isinstance(content, bytes):
            for inner, name in _fields(content):
                if inner == 1 and isinstance(name, bytes):
                    return name.decode("utf-8", "replace")
    return ""


_FORMATS: Dict[int, str] = {  # noqa: UP006 - a tensor's type → how one number of it is packed
    1: "f",
    2: "d",
    3: "i",
    4: "B",
    5: "h",
    6: "b",
    9: "q",
    10: "?",
    17: "H",
    19: "e",
    22: "I",
    23: "Q",
}
_BFLOAT16 = 14
_HALVES = 13  # the field that keeps 16-bit floats as the bits of integers
_INTEGERS = (7, 10, 11, 16, 17)


def _number(tensor: bytes, empty: Optional[float]) -> Optional[float]:  # noqa: UP045
    """The number of a tensor of one, else None. ``empty``: the number of a tensor that leaves it out."""
    kind, size, found, packed = 1, 1, empty, b""
    for field, content in _fields(tensor):
        if field == 1 and isinstance(content, int):
            kind = content
        elif field == 2 and isinstance(content, bytes):
            size = _size(content)
        elif field == 4 and isinstance(content, bytes):
            packed = content
        elif field in (5, 6) and isinstance(content, bytes):  # float_val, double_val
            found = struct.unpack_from("<f" if field == 5 else "<d", content)[0]
        elif field == _HALVES or field in _INTEGERS:
            bits = content if isinstance(content, int) else _varint(content, 0)[0]
            found = _half(bits, kind) if field == _HALVES else float(_signed(bits))
    if size != 1 or (kind not in _FORMATS and kind != _BFLOAT16):
        return None
    if packed:
        if kind == _BFLOAT16:
            return _half(int.from_bytes(packed[:2], "little"), kind)
        return float(struct.unpack_from("<" + _FORMATS[kind], packed)[0])
    return found


def _half(bits: int, kind: int) -> float:
    """A 16-bit float: bfloat16 is the upper half of a float."""
    form, data = ("<f", bits << 16) if kind == _BFLOAT16 else ("<e", bits)
    return float(struct.unpack(form, data.to_bytes(4 if kind == _BFLOAT16 else 2, "little"))[0])


def _size(shape: bytes) -> int:
    """How many numbers a tensor of this shape has."""
    size = 1
    for field, content in _fields(shape):
        if field == 2 and isinstance(content, bytes):
            for inner, length in _fields(content):
                if inner == 1 and isinstance(length, int):
                    size *= length
    return size
