"""NumPy's array files as request bodies and answers: ``.npy``, and ``.npz`` archives of them.

The header of an array is a Python literal; only the form that writers produce is read, and nothing is
evaluated. Source: ``numpy.lib.format``.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from nacre.modelserver.calls import BadRequest, Interface, expected
from nacre.modelserver.protocols.rows import MAX_RANK, check_shape, narrow, only
from nacre.modelserver.tensors import NUMPY, Array, TensorError
from nacre.schema.serving import TensorSpec

_MAGIC = b"\x93NUMPY"
_LENGTHS = {
    b"\x01\x00": struct.Struct("<H"),
    b"\x02\x00": struct.Struct("<I"),
    b"\x03\x00": struct.Struct("<I"),
}
_MAX_HEADER = 4096
_HEADER = re.compile(
    rb"\{\s*'descr':\s*'([<>|=]?)([biufOSU])(\d{0,9})'\s*,\s*'fortran_order':\s*(True|False)\s*,"
    rb"\s*'shape':\s*\(([0-9, ]*)\)\s*,?\s*\}\s*"
)
_MAX_DIGITS = 15
_MAX_POINT = 0x10FFFF
_MAX_UNPACKED = 64 * 1024 * 1024
"""Of all arrays of an archive together, in bytes."""


def from_npy(body: bytes, interface: Interface) -> dict[str, Array]:
    """The model's only input from a ``.npy`` body. Raises :class:`BadRequest`."""
    spec = only(interface, "the array")
    return {spec.name: fitted(read(memoryview(body)), spec)}


def from_npz(body: bytes, interface: Interface) -> dict[str, Array]:
    """The inputs from an archive of arrays with their names; a single array may have any name.

    Raises :class:`BadRequest`, also where the arrays would unpack to more than 64 MiB.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            found = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            if found.keys() != interface.inputs.keys():
                found = _renamed(found, interface)
            size = sum(entry.file_size for entry in found.values())
            if size > _MAX_UNPACKED:
                raise BadRequest(f"the archive unpacks to {size} bytes, over the limit of {_MAX_UNPACKED}")
            return {
                name: fitted(read(memoryview(_unpacked(archive, found[name]))), spec)
                for name, spec in interface.inputs.items()
            }
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        ValueError,
        RuntimeError,
        EOFError,
        struct.error,
    ) as error:
        raise BadRequest(f"the body is no archive of arrays as numpy.savez writes it: {error}") from error


def _renamed(found: dict[str, zipfile.ZipInfo], interface: Interface) -> dict[str, zipfile.ZipInfo]:
    if len(found) == len(interface.inputs) == 1:
        return dict(zip(interface.inputs, found.values(), strict=True))
    raise BadRequest(f"the archive has not one array for each input, by its name; {expected(interface)}")


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadRequest("the archive is compressed in a way that numpy.savez does not use")
    with archive.open(entry) as file:
        return file.read(entry.file_size)


def read(raw: memoryview) -> Array:
    """The array of a ``.npy`` file, which may share its memory. Raises :class:`BadRequest`."""
    order, kind, size, fortran, shape, at = _header(raw)
    if kind == "O":
        raise BadRequest("the array holds Python objects, which are pickled: send numbers or text")
    try:
        dtype = np.dtype(f"{order}{kind}{size}")
    except (TypeError, ValueError) as error:
        raise BadRequest(f"there is no array type {kind}{size}") from error
    needed = math.prod(shape) * dtype.itemsize
    if dtype.itemsize == 0 or needed != raw.nbytes - at:
        raise BadRequest(
            f"the array has {raw.nbytes - at} bytes of data where its shape {shape} of {dtype.name} needs "
            f"{needed}"
        )
    array: Array = np.frombuffer(raw, dtype, offset=at)
    return array.reshape(shape, order="F" if fortran else "C")


def _header(raw: memoryview) -> tuple[str, str, str, bool, list[int], int]:
    """Byte order, kind, size, whether Fortran's order, shape, and where the data begins."""
    length = _LENGTHS.get(bytes(raw[6:8]))
    if raw[:6] != _MAGIC or length is None or raw.nbytes < 8 + length.size:
        raise BadRequest("the body is not an array as numpy.save writes it")
    start = 8 + length.size
    (size,) = length.unpack_from(raw, 8)
    found = _HEADER.fullmatch(bytes(raw[start : start + size])) if size <= _MAX_HEADER else None
    if found is None:
        raise BadRequest("the array's header is not one of a plain array of numbers or text")
    order, kind, width, fortran, sizes = (part.decode() for part in found.groups())
    shape = [part.strip() for part in sizes.split(",") if part.strip()]
    if len(shape) > MAX_RANK or any(len(part) > _MAX_DIGITS or not part.isdigit() for part in shape):
        raise BadRequest("the array's shape is too large")
    return order, kind, width, fortran == "True", [int(part) for part in shape], start + size


def fitted(array: Array, spec: TensorSpec) -> Array:
    """The array in the input's type, where it can hold every value, and of an allowed shape."""
    check_shape(list(array.shape), spec)
    try:
        converted = _converted(array, spec.datatype)
    except TensorError as error:
        raise BadRequest(f"data of input '{spec.name}' {error}") from error
    return np.ascontiguousarray(converted) if array.ndim else converted


def _converted(array: Array, datatype: str) -> Array:
    wanted, kind = NUMPY[datatype], array.dtype.kind
    if array.dtype == wanted:
        return array if array.flags.aligned else array.copy()
    if wanted.kind == "f" and kind in "fiu":
        return narrow(array, datatype)
    if wanted.kind in "iu" and kind in "iu":
        bounds = np.iinfo(wanted)
        if array.size and (int(array.min()) < bounds.min or int(array.max()) > bounds.max):
            raise TensorError(f"holds a number that {datatype} cannot hold")
        return array.astype(wanted)
    if datatype == "BYTES" and kind in "SU":
        return _texts(array)
    raise TensorError(f"has type {array.dtype.name} where {datatype} is expected")


def _texts(array: Array) -> Array:
    if array.size and array.dtype.kind == "U":
        points = np.dtype(np.uint32).newbyteorder(array.dtype.byteorder)
        if np.ascontiguousarray(array).reshape(-1).view(points).max() > _MAX_POINT:
            raise TensorError("holds text that is not Unicode")  # of which Python cannot even make a string
    try:
        flat = [one.decode() if isinstance(one, bytes) else one for one in array.ravel().tolist()]
        "".join(flat).encode()
    except (UnicodeError, ValueError) as error:
        raise TensorError("holds text that is not Unicode") from error
    texts = np.empty(len(flat), dtype=object)
    texts[:] = flat
    return texts.reshape(array.shape)


def to_npy(array: Array) -> bytes:
    """A ``.npy`` file; texts become an array of NumPy's own text type."""
    file = io.BytesIO()
    np.save(file, _storable(array), allow_pickle=False)
    return file.getvalue()


def to_npz(arrays: dict[str, Array]) -> bytes:
    """An archive of arrays by name, not compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", to_npy(array))
    return file.getvalue()


def _storable(array: Array) -> Any:
    return array.astype(np.str_) if array.dtype.kind == "O" else array
