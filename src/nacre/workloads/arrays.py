"""Samples and labels from a dataset folder, in the forms that people keep them in.

* ``.npz``: arrays ``x``/``y``, ``images``/``labels``, ``data``/``target``, ``features``/``label``;
* ``.npy``: files of those names side by side;
* ``.csv`` (with a header), ``.parquet`` where pandas can read it: a column ``label``, ``target``,
  ``class`` or ``y``, every other column a feature;
* one folder per class with images in it (needs Pillow).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAIRS = (("x", "y"), ("images", "labels"), ("data", "target"), ("features", "label"), ("x_test", "y_test"))
LABEL_COLUMNS = ("label", "target", "class", "y")
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}

DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(int16)": "INT16",
    "tensor(int8)": "INT8",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
"""ONNX Runtime's types in Open Inference Protocol terms."""
NUMPY: dict[str, type[np.generic]] = {
    "FP32": np.float32,
    "FP64": np.float64,
    "FP16": np.float16,
    "INT64": np.int64,
    "INT32": np.int32,
    "INT16": np.int16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "BOOL": np.bool_,
    "BYTES": np.object_,
}


class DataError(Exception):
    """The folder holds nothing that can be read as samples with labels; the text says what was tried."""


@dataclass(frozen=True)
class Samples:
    """``x``: [samples, …] features; ``y``: [samples] labels, or null when the data has none.

    ``classes``: names in the order of label numbers, where the data names its classes.
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    classes: list[str] | None = None


def read(folder: Path, features: str | None = None, label: str | None = None) -> Samples:
    """The samples of a dataset folder.

    ``features``, ``label``: names of arrays or columns where the defaults do not fit.

    Raises:
        DataError: nothing readable, more than one candidate, or lengths that differ.
    """
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    if folder.is_file():
        files = [folder]
    by_suffix: dict[str, list[Path]] = {}
    for file in files:
        by_suffix.setdefault(file.suffix.lower(), []).append(file)
    if by_suffix.get(".npz"):
        return _checked(_from_npz(only(by_suffix[".npz"]), features, label))
    if by_suffix.get(".npy"):
        arrays = {p.stem: p for p in by_suffix[".npy"]}
        return _checked(_from_arrays({k: np.load(p) for k, p in arrays.items()}, features, label))
    if tables := by_suffix.get(".csv", []) + by_suffix.get(".parquet", []):
        return _checked(_from_table(only(tables), label))
    if any(by_suffix.get(suffix) for suffix in IMAGES):
        return _checked(_from_images(folder, [p for p in files if p.suffix.lower() in IMAGES]))
    names = ", ".join(str(p.relative_to(folder)) for p in files[:5]) or "no files"
    raise DataError(
        f"no samples found in the data ({names}): expected .npz, .npy, .csv, .parquet, or a folder per class"
    )


def only(files: list[Path]) -> Path:
    """The one file. Raises :class:`DataError` when there are several."""
    if len(files) > 1:
        names = ", ".join(p.name for p in files[:5])
        raise DataError(
            f"the data holds several candidates ({names}): keep one file of samples in a dataset version"
        )
    return files[0]


def _checked(samples: Samples) -> Samples:
    if samples.y is not None and len(samples.x) != len(samples.y):
        raise DataError(f"the data has {len(samples.x)} samples but {len(samples.y)} labels")
    if not len(samples.x):
        raise DataError("the data has no samples")
    return samples


def _from_npz(file: Path, features: str | None, label: str | None) -> Samples:
    with np.load(file, allow_pickle=False) as archive:
        return _from_arrays({k: archive[k] for k in archive.files}, features, label)


def _from_arrays(arrays: dict[str, NDArray[Any]], features: str | None, label: str | None) -> Samples:
    if features is not None:
        missing = [n for n in (features, label) if n is not None and n not in arrays]
        if missing:
            raise DataError(f"no array {missing[0]!r}: the data has {', '.join(sorted(arrays))}")
        return Samples(arrays[features], arrays[label] if label else None)
    for x, y in PAIRS:
        if x in arrays:
            chosen = label or y
            return Samples(arrays[x], arrays.get(chosen))
    raise DataError(
        f"cannot tell samples from labels among {', '.join(sorted(arrays))}: name them with --features and --label"
    )


def _from_table(file: Path, label: str | None) -> Samples:
    import pandas

    frame = pandas.read_parquet(file) if file.suffix == ".parquet" else pandas.read_csv(file)
    chosen = label or next((c for c in LABEL_COLUMNS if c in frame.columns), None)
    if chosen is not None and chosen not in frame.columns:
        raise DataError(f"no column {chosen!r}: the table has {', '.join(map(str, frame.columns[:20]))}")
    y = None if chosen is None else frame[chosen].to_numpy()
    rest = frame if chosen is None else frame.drop(columns=[chosen])
    words = [str(c) for c in rest.columns if not pandas.api.types.is_numeric_dtype(rest[c])]
    if words:
        raise DataError(f"the column {words[0]!r} is not of numbers: leave it out, or encode it")
    return Samples(rest.to_numpy(dtype=np.float32), y)


def _from_images(folder: Path, files: list[Path]) -> Samples:
    from PIL import Image

    classes = sorted({p.parent.name for p in files if p.parent != folder})
    if len(classes) < 2 or any(p.parent == folder for p in files):
        raise DataError("images must lie in one folder per class")
    pixels = [np.asarray(Image.open(p), dtype=np.float32) / 255 for p in files]
    if len({p.shape for p in pixels}) > 1:
        raise DataError(
            f"the images differ in size: {files[0].name} is {pixels[0].shape}; bring them to one"
        )
    y = np.array([classes.index(p.parent.name) for p in files])
    return Samples(np.stack(pixels), y, classes)


def fit(x: NDArray[Any], shape: list[int], datatype: str) -> NDArray[Any]:
    """Samples in the form that a model's input wants: ``shape`` with -1 for open dimensions.

    Adds or drops a channel axis, moves channels first, or reshapes when the number of values agrees.

    Raises:
        DataError: the samples cannot be that input.
    """
    wanted = shape[1:]
    have = list(x.shape[1:])

    def agrees(dims: list[int]) -> bool:
        return len(dims) == len(wanted) and all(w in (-1, d) for w, d in zip(wanted, dims, strict=True))

    if agrees(have):
        found = x
    elif agrees([1, *have]):
        found = x[:, None]
    elif agrees([*have, 1]):
        found = x[..., None]
    elif len(have) == 3 and agrees([have[2], have[0], have[1]]):
        found = x.transpose(0, 3, 1, 2)
    elif -1 not in wanted and int(np.prod(have)) == int(np.prod(wanted)):
        found = x.reshape(len(x), *wanted)
    else:
        raise DataError(f"the model takes samples of shape {wanted}, the data has {have}")
    return np.ascontiguousarray(found, dtype=NUMPY.get(datatype, found.dtype))
