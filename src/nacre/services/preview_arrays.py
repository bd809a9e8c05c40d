"""Looking at arrays and model files by their headers. Nothing is unpickled or loaded."""

from __future__ import annotations

import io
import json
import math
import tokenize
import zipfile
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from nacre.schema.previews import ArrayPreview, ModelPreview
from nacre.services.preview_cells import cell

_MAX_READ = 16 * 2**20
_MAX_DIRECTORY = 2 * 2**20
_MAX_HEADER = 16 * 2**20
_MAX_ARRAYS = 50
_FIRST = 20
BROKEN = (
    ArithmeticError,
    EOFError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    tokenize.TokenError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What parsers say of damaged files."""


class Unreadable(Exception):
    """The file is not what it begins as; the sentence says so."""


class Bounded(io.RawIOBase):
    """A stream that refuses to be read in huge pieces, as the directory of a hostile archive asks for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._stream.read(min(_MAX_DIRECTORY if size is None or size < 0 else size, _MAX_DIRECTORY))
        if len(data) == _MAX_DIRECTORY:
            raise Unreadable("its directory is too large to be looked at")
        return data


def array(stream: BinaryIO, name: str) -> ArrayPreview:
    """A ``.npy`` file: type, shape, and numbers of its first elements.

    Raises:
        Unreadable: the header is none.
    """
    stream.seek(0)
    try:
        return _array(stream, name, _MAX_READ)
    except BROKEN as error:
        raise Unreadable(f"it is no valid array of NumPy: {str(error)[:200]}") from None


def archive(stream: BinaryIO) -> tuple[list[ArrayPreview], str]:
    """The arrays of a ``.npz`` file, the first ``_MAX_ARRAYS``, and a word about the others.

    Raises:
        Unreadable: it is no archive of arrays.
    """
    try:
        with zipfile.ZipFile(Bounded(stream)) as opened:
            names = [entry for entry in opened.namelist() if entry.endswith(".npy")]
            if not names:
                raise Unreadable("there are no arrays in it")
            found = []
            for entry in names[:_MAX_ARRAYS]:
                with opened.open(entry) as member:
                    found.append(_array(member, entry.removesuffix(".npy"), _MAX_READ // _MAX_ARRAYS))
    except BROKEN as error:
        raise Unreadable(f"it is no valid archive of arrays: {str(error)[:200]}") from None
    more = len(names) - len(found)
    return found, f"{more} more arrays are in it" if more else ""


def _array(stream: Any, name: str, budget: int) -> ArrayPreview:
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of the format is not known")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    if any(length >= 2**63 for length in shape):
        raise ValueError("its shape is absurd")
    plain = ArrayPreview(name=name[:500], dtype=str(dtype)[:200], shape=list(shape)[:64])
    if dtype.kind not in "buif" or dtype.itemsize == 0:
        return plain
    wanted = min(math.prod(shape), budget // dtype.itemsize)
    data = stream.read(wanted * dtype.itemsize)
    values = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
    return plain.model_copy(update=_numbers(values))


def _numbers(values: Any) -> dict[str, Any]:
    if values.size == 0:
        return {}
    # Of whatever bytes a stranger wrote: overflows are no surprise.
    with np.errstate(all="ignore"):
        return _numbers_of(values)


def _numbers_of(values: Any) -> dict[str, Any]:
    nans = int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
    real = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    found: dict[str, Any] = {
        "seen": int(values.size),
        "nans": nans,
        "first": [cell(value) for value in values[:_FIRST].tolist()],
    }
    if real.size:
        mean = float(real.mean(dtype=np.float64))
        found |= {"min": float(real.min()), "max": float(real.max())}
        found |= {"mean": mean} if math.isfinite(mean) else {}
    return found


# Models

_BY_NAME = {
    ".onnx": ("ONNX", "onnx"),
    ".pt": ("PyTorch", "pickle"),
    ".pth": ("PyTorch", "pickle"),
    ".ckpt": ("PyTorch", "pickle"),
    ".h5": ("Keras", "hdf5"),
    ".hdf5": ("Keras", "hdf5"),
    ".keras": ("Keras", "keras"),
    ".safetensors": ("safetensors", "safetensors"),
    ".joblib": ("scikit-learn", "joblib"),
    ".pkl": ("Python", "pickle"),
    ".pickle": ("Python", "pickle"),
    ".tflite": ("TensorFlow Lite", "tflite"),
    ".gguf": ("llama.cpp", "gguf"),
    ".pb": ("TensorFlow", "protobuf"),
    ".ubj": ("XGBoost", "ubjson"),
    ".params": ("MXNet", "params"),
}
_MARKS = (
    (4, b"TFL3", "TensorFlow Lite", "tflite"),
    (0, b"GGUF", "llama.cpp", "gguf"),
    (0, b"\x89HDF\r\n\x1a\n", "", "hdf5"),
)
_MARKED = frozenset({".keras", ".tflite", ".gguf", ".h5", ".hdf5"})
"""What has such a name and no such mark is something else."""


def model(stream: BinaryIO, size: int, head: bytes, path: str) -> ModelPreview | None:
    """What kind of model the file is, by its name and its header; null when it seems to be none."""
    extension = "." + path.rpartition("/")[2].lower().rpartition(".")[2]
    if head[:2] == b"PK":
        return _zipped(stream, extension)
    if extension == ".safetensors":
        return ModelPreview(framework="safetensors", format="safetensors", facts=_tensors(stream, size))
    for start, mark, framework, form in _MARKS:
        if head[start : start + len(mark)] == mark:
            return ModelPreview(framework=framework or _BY_NAME.get(extension, ("HDF5",))[0], format=form)
    known = None if extension in _MARKED else _BY_NAME.get(extension)
    return ModelPreview(framework=known[0], format=known[1]) if known else None


def _zipped(stream: BinaryIO, extension: str) -> ModelPreview | None:
    try:
        with zipfile.ZipFile(Bounded(stream)) as opened:
            names = opened.namelist()
            ends = {name.partition("/")[2] for name in names}
            if "data.pkl" in ends:
                script = "constants.pkl" in ends and any(name.startswith("code/") for name in ends)
                form = "torchscript" if script else "pickle"
                tensors = sum(name.startswith("data/") for name in ends)
                return ModelPreview(framework="PyTorch", format=form, facts={"tensors": str(tensors)})
            if {"config.json", "metadata.json"} <= set(names):
                with opened.open("metadata.json") as member:
                    kept = json.loads(member.read(64 * 2**10))
                version = str(kept.get("keras_version", ""))[:50] if isinstance(kept, dict) else ""
                return ModelPreview(framework="Keras", format="keras", facts={"keras": version})
    except (Unreadable, *BROKEN):
        return None
    return None


def _tensors(stream: BinaryIO, size: int) -> dict[str, str]:
    stream.seek(0)
    length = int.from_bytes(stream.read(8), "little")
    if not 0 < length <= min(size, _MAX_HEADER):
        return {"header": "damaged"}
    try:
        entries = json.loads(stream.read(length))
        shapes = [entry["shape"] for name, entry in entries.items() if name != "__metadata__"]
        numbers = sum(math.prod(shape) for shape in shapes)
    except (*BROKEN, KeyError, AttributeError):
        return {"header": "damaged"}
    return {"tensors": str(len(shapes)), "parameters": str(numbers)[:30]}
