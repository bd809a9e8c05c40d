"""The outermost fields of a protobuf message, read and written without copying what they hold.

Encoding: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Sequence

from nacre.modelserver.calls import BadRequest

_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5


def take(message: bytes, number: int) -> tuple[bytes, list[memoryview]]:
    """The message without its fields ``number``, and these, each of them bytes or a message.

    Raises :class:`BadRequest` when it is not protobuf.
    """
    view = memoryview(message)
    size = len(message)
    rest: list[memoryview] = []
    taken: list[memoryview] = []
    kept = at = 0
    while at < size:
        start = at
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _LENGTH:
            length, at = _varint(message, at)
            end = at + length
        elif kind == _VARINT:
            end = _varint(message, at)[1]
        elif kind in (_FOUR, _EIGHT):
            end = at + (4 if kind == _FOUR else 8)
        else:
            raise BadRequest(f"the message is not protobuf: a field of kind {kind} at byte {start}")
        if end > size:
            raise BadRequest(f"the message is cut short: its field at byte {start} ends after the message")
        if tag >> 3 == number:
            if kind != _LENGTH:
                raise BadRequest(f"field {number} of the message has to be bytes")
            rest.append(view[kept:start])
            taken.append(view[at:end])
            kept = end
        at = end
    if not taken:
        return message, taken
    rest.append(view[kept:])
    return b"".join(rest), taken


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = shift = 0
    try:
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, at
            shift += 7
            if shift > 63:
                raise BadRequest(f"the message is not protobuf: a number without end at byte {at}")
    except IndexError:
        raise BadRequest("the message is cut short: it ends inside a number") from None


def head(number: int, length: int) -> bytes:
    """What comes before the bytes of a field."""
    return bytes((*_number(number << 3 | _LENGTH), *_number(length)))


def _number(value: int) -> list[int]:
    out = []
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return out


def join(message: bytes, number: int, contents: Sequence[memoryview | bytes]) -> bytes:
    """The message with more fields ``number``."""
    parts: list[memoryview | bytes] = [message]
    for content in contents:
        parts.append(head(number, len(content)))
        parts.append(content)
    return b"".join(parts)
