"""Writes event files as TensorBoard's writers do, byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path


def crc32c(data: bytes) -> int:
    """Bit by bit, so that it shares nothing with what it checks."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, content: bytes | int | float) -> bytes:
    """Bytes are length-delimited, integers varints, floats eight bytes."""
    if isinstance(content, bytes):
        return varint(number << 3 | 2) + varint(len(content)) + content
    if isinstance(content, float):
        return varint(number << 3 | 1) + struct.pack("<d", content)
    return varint(number << 3) + varint(content)


def single(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<f", value)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", crc32c(length)) + data + struct.pack("<I", crc32c(data))


def event(tag: str, step: int, value: bytes, time_s: float = 1000.5) -> bytes:
    """A record of one value; ``value`` is the rest of its message after the tag."""
    summary = field(1, field(1, tag.encode()) + value)
    return record(field(1, time_s) + field(2, step) + field(5, summary))


def scalar(tag: str, step: int, value: float, time_s: float = 1000.5) -> bytes:
    """As PyTorch and tensorboardX write it."""
    return event(tag, step, single(2, value), time_s)


def tensor(tag: str, step: int, content: bytes, plugin: str = "scalars", time_s: float = 1000.5) -> bytes:
    """As TensorFlow 2 writes it; ``content`` is the TensorProto."""
    metadata = field(9, field(1, field(1, plugin.encode()))) if plugin else b""
    return event(tag, step, metadata + field(8, content), time_s)


BEGINNING = record(field(1, 1000.0) + field(3, b"brain.Event:2"))


def write(path: Path, *records: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BEGINNING + b"".join(records))
    return path
