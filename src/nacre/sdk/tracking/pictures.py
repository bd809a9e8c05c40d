"""Images as files: what a program has as an array, a tensor or a PIL image, written as PNG."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from typing import Any

_COLOUR = {1: 0, 3: 2, 4: 6}  # channels → PNG's type: grey, RGB, RGBA
_LAYOUTS = "height × width, height × width × 1, 3 or 4, or 1, 3 or 4 × height × width"
_MAX_PIXELS = 2**28


def png(width: int, height: int, channels: int, samples: bytes) -> bytes:
    """A PNG file of 8-bit samples, row after row: grey (1 channel), RGB (3) or RGBA (4)."""
    stride = width * channels
    rows = b"".join(b"\0" + samples[at : at + stride] for at in range(0, stride * height, stride))
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR[channels], 0, 0, 0)
    body = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows, 6)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def save(image: Any, path: str) -> None:
    """Write an image to ``path``; its extension tells the format.

    An array or tensor (any that NumPy understands, or nested lists) becomes a PNG without any library;
    other formats, and PIL images, are written by PIL.

    Raises:
        TypeError, ValueError: it is no image; the sentence tells what was expected.
    """
    image = image.to_pil() if callable(getattr(image, "to_pil", None)) else image  # mlflow.Image
    if not (callable(getattr(image, "save", None)) and hasattr(image, "mode")):
        width, height, channels, samples = pixels(image)
        if path.lower().endswith(".png"):
            with open(path, "wb") as stream:
                stream.write(png(width, height, channels, samples))
            return
        pil = sys.modules.get("PIL.Image")
        if pil is None:
            kind = os.path.splitext(path)[1]
            raise ValueError(f"an array is written as {kind} only by PIL, which is not imported: use .png")
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        image = pil.frombytes(mode, (width, height), samples)
    if (path.lower().endswith((".jpg", ".jpeg")) and image.mode not in ("L", "RGB", "CMYK")) or (
        path.lower().endswith(".png")
        and image.mode not in ("1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA")
    ):
        image = image.convert("RGB")
    image.save(path)


def pixels(image: Any) -> tuple[int, int, int, bytes]:
    """(width, height, channels, 8-bit samples) of an array, a tensor or nested lists.

    Numbers with a fraction must be 0 to 1, whole numbers 0 to 255; truth values are black and white. Of
    three dimensions the channels are the last one, or the first (a tensor's are the first if both fit).

    Raises:
        TypeError: it is no array of numbers.
        ValueError: its shape or its range is none of an image.
    """
    tensor = hasattr(image, "detach")
    array = _plain(image)
    if hasattr(array, "shape") and hasattr(array, "dtype"):
        return _from_array(array, tensor)
    return _from_lists(array, tensor)


def _plain(image: Any) -> Any:
    """A NumPy array where the program has NumPy, else nested lists."""
    if hasattr(image, "detach"):  # PyTorch
        image = image.detach().cpu()
        if "bfloat16" in str(image.dtype):
            image = image.float()
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return image.tolist() if hasattr(image, "tolist") else image
    if isinstance(image, (str, bytes, dict)) or image is None:
        raise TypeError(f"an image is an array, a tensor or a PIL image, not {type(image).__name__}")
    try:
        return numpy.asarray(image)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{type(image).__name__} is no image: {error}") from None


def _layout(shape: tuple[int, ...], tensor: bool) -> tuple[int, int, int, bool]:
    """(width, height, channels, whether the channels come first)."""
    if len(shape) == 2:
        height, width, channels, first = shape[0], shape[1], 1, False
    elif len(shape) == 3 and shape[2] in _COLOUR and not (tensor and shape[0] in _COLOUR):
        height, width, channels, first = shape[0], shape[1], shape[2], False
    elif len(shape) == 3 and shape[0] in _COLOUR:
        height, width, channels, first = shape[1], shape[2], shape[0], True
    else:
        hint = "; log the images of a batch one by one" if len(shape) == 4 else ""
        raise ValueError(f"an array of shape {tuple(shape)} is no image: it must be {_LAYOUTS}{hint}")
    if not 0 < width * height <= _MAX_PIXELS:
        raise ValueError(f"an image of {width} × {height} pixels cannot be written")
    return width, height, channels, first


def _range_error(low: Any, high: Any, fractions: bool) -> ValueError:
    wanted = "0 to 1" if fractions else "0 to 255"
    kind = "numbers with a fraction" if fractions else "whole numbers"
    hint = ": divide by 255, or give uint8" if fractions and high > 1 else ""
    return ValueError(f"the image's values reach from {low} to {high}; {kind} must be {wanted}{hint}")


def _from_array(array: Any, tensor: bool) -> tuple[int, int, int, bytes]:
    kind = array.dtype.kind
    if kind not in "buif":
        raise TypeError(f"an image has numbers, not values of type {array.dtype}")
    width, height, channels, first = _layout(array.shape, tensor)
    if kind == "b":
        array = array * 255
    elif kind == "f" or array.dtype.itemsize > 1 or kind == "i":
        low, high = array.min().item(), array.max().item()
        if not (low >= 0 and high <= (1 if kind == "f" else 255)):  # NaN is in no range
            raise _range_error(low, high, kind == "f")
        if kind == "f":
            array = (array * 255).round()
    if first:
        array = array.transpose(1, 2, 0)
    return width, height, channels, array.astype("uint8").tobytes()


def _from_lists(rows: Any, tensor: bool) -> tuple[int, int, int, bytes]:
    shape: list[int] = []
    level = rows
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        level = level[0] if level else None
    if not shape or level is None:
        raise TypeError(f"an image is an array, a tensor or a PIL image, not {type(rows).__name__}")
    width, height, channels, first = _layout(tuple(shape), tensor)
    try:
        if first:
            flat = [rows[c][y][x] for y in range(height) for x in range(width) for c in range(channels)]
        else:
            flat = [
                value for row in rows for cell in row for value in (cell if len(shape) == 3 else (cell,))
            ]
        low, high = min(flat), max(flat)
    except (TypeError, IndexError):
        raise ValueError("the image's rows are not all equally long, or hold no numbers") from None
    if len(flat) != width * height * channels:
        raise ValueError("the image's rows are not all equally long")
    if isinstance(level, bool):
        return width, height, channels, bytes(255 * value for value in flat)
    fractions = any(isinstance(value, float) for value in flat)
    if not (low >= 0 and high <= (1 if fractions else 255)) or any(value != value for value in flat):  # noqa: PLR0124
        raise _range_error(low, high, fractions)
    return width, height, channels, bytes(round(value * 255) if fractions else value for value in flat)
