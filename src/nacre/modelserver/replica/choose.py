"""Which predictor a model's files want."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

from nacre.modelserver.replica.predictors.base import LoadError, Predictor, Signed, note
from nacre.modelserver.replica.predictors.untyped import Untyped

_SUFFIXES = {
    ".keras": "keras",
    ".h5": "keras",
    ".onnx": "onnx",
    ".pt2": "pytorch",
    ".pt": "pytorch",
    ".pth": "pytorch",
    ".joblib": "sklearn",
    ".pkl": "sklearn",
    ".pickle": "sklearn",
    ".skops": "sklearn",
}
_MARKS = {"predict.py": "custom", "MLmodel": "mlflow", "saved_model.pb": "tensorflow"}
FRAMEWORKS = ("pytorch", "tensorflow", "keras", "sklearn", "onnx", "mlflow", "custom")


def load(path: str, framework: str | None, signature: dict[str, Any] | None) -> Signed:
    """The model at a path: a file, or a folder with one model in it.

    A ``predict.py`` beside the model's files is always used; then ``framework`` counts, then what is there.

    Raises:
        LoadError: there is none, or more than one, or it cannot be loaded.
    """
    if not os.path.exists(path):
        raise LoadError(f"there is nothing at {path}")
    framework, place = find(path, framework)
    try:
        module = import_module(f"nacre.modelserver.replica.predictors.{framework}")
    except ImportError as error:
        raise LoadError(f"a {framework} model cannot run in this environment: {error}") from error
    # Code beside the model, which a pickle may name.
    sys.path.insert(0, os.path.abspath(place if os.path.isdir(place) else os.path.dirname(place)))
    predictor: Predictor = module.load(place)
    signed = Signed(predictor, signature or _beside(place))
    if signed.signature is None and not predictor.raw:
        note("nothing tells what the model takes and gives: it answers JSON at the path predict only")
        return Signed(Untyped(predictor, getattr(predictor, "names", None)), None)
    return signed


def find(path: str, framework: str | None) -> tuple[str, str]:
    """Framework, and the file or folder that its predictor loads."""
    if os.path.isfile(path):
        folder = os.path.dirname(os.path.abspath(path))
        if os.path.isfile(os.path.join(folder, "predict.py")):
            return "custom", folder
        found = framework or _SUFFIXES.get(os.path.splitext(path)[1].lower())
        if found is None:
            raise LoadError(f"{os.path.basename(path)} is no model file that is known: write a predict.py")
        return found, path
    path = path.rstrip("/")
    for mark, name in _MARKS.items():
        if os.path.isfile(os.path.join(path, mark)) and (mark == "predict.py" or framework in (None, name)):
            return name, path
    if framework in ("custom", "mlflow", "tensorflow"):
        mark = next(mark for mark, name in _MARKS.items() if name == framework)
        raise LoadError(f"there is no {mark} in {os.path.basename(path)}")
    return _only_file(path, framework)


def _only_file(folder: str, framework: str | None) -> tuple[str, str]:
    found = []
    for name in sorted(os.listdir(folder)):
        kind = _SUFFIXES.get(os.path.splitext(name)[1].lower())
        if kind is not None and framework in (None, kind):
            found.append((kind, os.path.join(folder, name)))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(os.path.basename(path) for _, path in found[:5])
        raise LoadError(f"there are several models ({names}): register the one that is meant")
    if os.path.isfile(os.path.join(folder, "MLmodel")):
        return "mlflow", folder
    wanted = f"{framework} model" if framework else "model"
    raise LoadError(
        f"there is no {wanted} in {os.path.basename(folder)}: write a predict.py beside the files"
    )


def _beside(path: str) -> dict[str, Any] | None:
    """What ``nacre.log_model(model, example=…)`` wrote beside the model."""
    file = path + ".signature.json"
    if not os.path.isfile(file):
        return None
    try:
        with open(file, encoding="utf-8") as stream:
            found = json.load(stream)
        return found if isinstance(found, dict) else None
    except (OSError, ValueError) as error:
        note(f"{os.path.basename(file)} cannot be read: {error}")
        return None
