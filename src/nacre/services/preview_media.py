"""Looking at images and audio: what their headers tell. Nothing is decoded."""

from __future__ import annotations

import struct
from typing import BinaryIO

from nacre.schema.previews import AudioPreview, ImagePreview

_MAX_SIDE = 16_384
_MAX_PIXELS = 64 * 2**20
_MAX_BYTES = 64 * 2**20
_DRAWN = frozenset({"png", "jpeg", "gif", "webp", "bmp", "avif"})
_PLAYED = frozenset({"wav", "mp3", "ogg", "flac"})
_PARTS = 10_000
_NO_FRAME = frozenset({0xC4, 0xC8, 0xCC})

_MARKS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}
IMAGE_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
}
AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg", "ogg": "audio/ogg", "flac": "audio/flac"}


def image_format(head: bytes) -> str | None:
    """The format of an image that begins so."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM") and len(head) >= 26 and head[6:10] == b"\0\0\0\0":
        return "bmp"
    return next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)


def image(stream: BinaryIO, size: int, head: bytes, name: str) -> tuple[ImagePreview | None, str]:
    """What the header tells, and why it cannot be shown, if so; null for a header that makes none."""
    sides = _sides(stream, head, name)
    if sides is None or min(sides) < 1:
        return None, f"it begins as {name.upper()} and has no valid size: it is damaged or no image"
    width, height = sides
    fits = max(sides) <= _MAX_SIDE and width * height <= _MAX_PIXELS and size <= _MAX_BYTES
    message = "" if fits else f"{width} × {height} pixels in {size} bytes are too many to show: download it"
    if name not in _DRAWN:
        message = message or f"browsers do not draw {name.upper()}: download it"
    return ImagePreview(format=name, width=width, height=height, shown=not message), message


def _sides(stream: BinaryIO, head: bytes, name: str) -> tuple[int, int] | None:
    try:
        if name == "png":
            return struct.unpack(">II", head[16:24]) if head[12:16] == b"IHDR" else None
        if name == "gif":
            return struct.unpack("<HH", head[6:10])
        if name == "bmp":
            width, height = struct.unpack("<ii", head[18:26])
            return width, abs(height)
        if name == "webp":
            return _webp(head)
        frame = _jpeg(stream) if name == "jpeg" else _tiff(stream, head)
        return frame and frame[:2]
    except struct.error:
        return None


def _webp(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_JPEG_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_BMP_MODES = {1: "1", 4: "P", 8: "P", 16: "RGB", 24: "RGB", 32: "RGBA"}


def image_mode(stream: BinaryIO, head: bytes, name: str) -> str | None:
    """What a pixel is, in Pillow's words (``L RGB RGBA P CMYK`` …); null where the header does not tell."""
    if name == "png" and len(head) > 25:
        return "1" if head[24:26] == b"\x01\0" else _PNG_MODES.get(head[25])
    if name == "jpeg":
        frame = _jpeg(stream)
        return _JPEG_MODES.get(frame[2]) if frame else None
    if name == "bmp" and len(head) > 29:
        return _BMP_MODES.get(int.from_bytes(head[28:30], "little"))
    if name == "webp":
        transparent = (head[12:16] == b"VP8X" and len(head) > 20 and head[20] & 0x10) or (
            head[12:16] == b"VP8L" and len(head) > 24 and head[24] & 0x10
        )
        return "RGBA" if transparent else "RGB"
    return "P" if name == "gif" else None


def _jpeg(stream: BinaryIO) -> tuple[int, int, int] | None:
    """Width, height and components from the first frame's header, over at most ``_PARTS`` segments."""
    at = 2
    for _ in range(_PARTS):
        stream.seek(at)
        mark = stream.read(10)
        if len(mark) < 4 or mark[0] != 0xFF:
            return None
        if mark[1] == 0xFF:  # padding
            at += 1
        elif 0xC0 <= mark[1] <= 0xCF and mark[1] not in _NO_FRAME:
            height, width = struct.unpack(">HH", mark[5:9])
            return width, height, mark[9] if len(mark) > 9 else 0
        elif mark[1] in (0x01, *range(0xD0, 0xD8)):  # without a length
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(mark[2:4], "big"))
    return None


def _tiff(stream: BinaryIO, head: bytes) -> tuple[int, int] | None:
    order = "<" if head[:2] == b"II" else ">"
    stream.seek(struct.unpack(order + "I", head[4:8])[0])
    count = struct.unpack(order + "H", stream.read(2))[0]
    found: dict[int, int] = {}
    for _ in range(min(count, 256)):
        tag, kind, _, value = struct.unpack(order + "HHI4s", stream.read(12))
        if tag in (256, 257):
            found[tag] = struct.unpack(order + ("H" if kind == 3 else "I"), value[: 2 if kind == 3 else 4])[
                0
            ]
    return (found[256], found[257]) if {256, 257} <= set(found) else None


def audio_format(head: bytes) -> str | None:
    """The format of audio that begins so."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"ID3") or (len(head) > 2 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2):
        return "mp3"
    return None


def audio(stream: BinaryIO, size: int, head: bytes, name: str) -> AudioPreview:
    """What the header tells; the duration of WAV and FLAC."""
    rate = channels = seconds = None
    if name == "wav":
        rate, channels, seconds = _wav(stream, size)
    elif name == "flac" and len(head) >= 26:
        bits = int.from_bytes(head[18:26], "big")
        rate, channels, samples = bits >> 44, (bits >> 41 & 7) + 1, bits & (2**36 - 1)
        seconds = samples / rate if rate and samples else None
    return AudioPreview(
        format=name, seconds=seconds, rate=rate or None, channels=channels, shown=name in _PLAYED
    )


def _wav(stream: BinaryIO, size: int) -> tuple[int | None, int | None, float | None]:
    """(rate, channels, seconds)."""
    at, rate, channels, flow = 12, None, None, 0
    for _ in range(_PARTS):
        stream.seek(at)
        part = stream.read(24)
        if len(part) < 8:
            break
        length = int.from_bytes(part[4:8], "little")
        if part[:4] == b"fmt " and len(part) >= 20:
            channels, rate, flow = struct.unpack("<HII", part[10:20])
        elif part[:4] == b"data":
            held = min(length, size - at - 8)  # a recorder that was killed leaves a length of 2³² - 1
            return rate, channels, held / flow if flow else None
        at += 8 + length + length % 2
    return rate, channels, None
