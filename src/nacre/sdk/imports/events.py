"""What TensorBoard's event files hold besides scalars: hyper-parameters, images, texts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nacre.sdk import tfevents

_HEADER = struct.Struct("<QI")
_MAX_RECORD = 256 * 2**20
_fields = tfevents._fields
_ENDINGS = ((b"\x89PNG", ".png"), (b"\xff\xd8\xff", ".jpg"), (b"GIF8", ".gif"), (b"RIFF", ".webp"))
_FAULTS = (ValueError, IndexError, struct.error)


@dataclass(frozen=True)
class Params:
    """Hyper-parameters of the run."""

    values: dict[str, str]


@dataclass(frozen=True)
class Media:
    """An image or a text. ``path``: where it belongs in a run."""

    path: str
    data: bytes


def read(path: Path) -> Iterator[Params | Media]:
    """They come in the order they were written; half a record at the end, or damage, ends it."""
    with path.open("rb") as stream:
        while len(head := stream.read(_HEADER.size)) == _HEADER.size:
            length, _ = _HEADER.unpack(head)
            if length > _MAX_RECORD:
                return
            record = stream.read(length)
            if len(record) < length or len(stream.read(4)) < 4:
                return
            try:
                found = list(_event(record))
            except _FAULTS:  # a record of another kind
                continue
            yield from found


def _event(record: bytes) -> Iterator[Params | Media]:
    step, summaries = 0, []
    for number, content in _fields(record):
        if number == 2 and isinstance(content, int):
            step = max(0, content - (1 << 64) if content >> 63 else content)
        elif number == 5 and isinstance(content, bytes):
            summaries.append(content)
    for summary in summaries:
        for number, content in _fields(summary):
            if number == 1 and isinstance(content, bytes):
                yield from _value(content, step)


def _value(data: bytes, step: int) -> Iterator[Params | Media]:
    parts = {number: content for number, content in _fields(data) if isinstance(content, bytes)}
    tag = parts.get(1, b"").decode("utf-8", "replace")
    plugin, content = _plugin(parts.get(9, b""))
    if plugin == "hparams" and tag.endswith("session_start_info"):
        yield Params(_hparams(content))
    elif 4 in parts:  # Summary.Image
        encoded = [c for number, c in _fields(parts[4]) if number == 4 and isinstance(c, bytes)]
        yield from _images(tag, step, encoded)
    elif plugin == "images":  # width, height, then the images
        yield from _images(tag, step, _strings(parts.get(8, b""))[2:])
    elif plugin == "text":
        tag = tag.removesuffix("/text_summary")
        for at, text in enumerate(_strings(parts.get(8, b""))):
            yield Media(_path("texts", tag, step, at, ".md"), text)


def _images(tag: str, step: int, encoded: list[bytes]) -> Iterator[Media]:
    for at, data in enumerate(encoded):
        ending = next((ending for mark, ending in _ENDINGS if data.startswith(mark)), None)
        if ending is not None:
            yield Media(_path("images", tag, step, at, ending), data)


def _path(folder: str, tag: str, step: int, at: int, ending: str) -> str:
    """``images/TAG/00000003.png``, and ``00000003-1.png`` for the second of a step."""
    parts = [part[:200] for part in tag.replace("\\", "/").split("/") if part.strip(" .\0")]
    name = f"{step:08d}" + (f"-{at}" if at else "") + ending
    return "/".join([folder, *(part.replace("\0", "") for part in parts), name])


def _plugin(metadata: bytes) -> tuple[str, bytes]:
    """(name, content) of the plugin that a value is for."""
    for number, content in _fields(metadata):
        if number == 1 and isinstance(content, bytes):
            parts = {inner: c for inner, c in _fields(content) if isinstance(c, bytes)}
            return parts.get(1, b"").decode("utf-8", "replace"), parts.get(2, b"")
    return "", b""


def _strings(tensor: bytes) -> list[bytes]:
    return [content for number, content in _fields(tensor) if number == 8 and isinstance(content, bytes)]


def _hparams(content: bytes) -> dict[str, str]:
    """Of ``HParamsPluginData``: session_start_info (3), its map hparams (1), entries of key and value."""
    found: dict[str, str] = {}
    for number, session in _fields(content):
        if number != 3 or not isinstance(session, bytes):
            continue
        for inner, entry in _fields(session):
            if inner == 1 and isinstance(entry, bytes):
                parts = {n: c for n, c in _fields(entry) if isinstance(c, bytes)}
                value = _scalar(parts.get(2, b""))
                if value is not None and parts.get(1):
                    found[parts[1].decode("utf-8", "replace")] = value
    return found


def _scalar(value: bytes) -> str | None:
    """A ``google.protobuf.Value`` as text."""
    for number, content in _fields(value):
        if number == 2 and isinstance(content, bytes):
            amount = struct.unpack("<d", content)[0]
            return str(int(amount)) if amount.is_integer() and abs(amount) < 2**53 else repr(amount)
        if number == 3 and isinstance(content, bytes):
            return content.decode("utf-8", "replace")
        if number == 4 and isinstance(content, int):
            return str(bool(content))
    return None
