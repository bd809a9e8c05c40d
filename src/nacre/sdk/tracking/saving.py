"""Models of the framework that the program uses, as files that ``nacre model register`` understands."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import sys
from typing import Any

_DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "str": "BYTES",
    "object": "BYTES",
}
_DEFAULT_NAMES = {"pytorch": "model.pt", "keras": "model.keras", "sklearn": "model.joblib"}


def framework_of(model: Any) -> str:
    """``pytorch``, ``keras`` or ``sklearn``; only what the program has imported is looked at.

    Raises:
        TypeError: it is none of them.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        return "pytorch"
    roots = {base.__module__.split(".")[0] for base in type(model).__mro__}
    if roots & {"keras", "tf_keras", "tensorflow"} and hasattr(model, "save"):
        return "keras"
    if "sklearn" in roots and hasattr(model, "get_params"):
        return "sklearn"
    raise TypeError(
        f"log_model takes a torch.nn.Module, a Keras model or a scikit-learn estimator, not "
        f"{type(model).__module__}.{type(model).__qualname__}: save it yourself and use nacre.log_artifact"
    )


def save(model: Any, folder: str, name: str | None, example: Any) -> list[str]:
    """Write the model, and beside it its signature when there is an example. Returns the paths.

    Raises:
        TypeError, ValueError: the model or the example is none that can be saved.
    """
    framework = framework_of(model)
    name = name or _DEFAULT_NAMES[framework]
    if name.startswith("/") or ".." in name.split("/") or not os.path.basename(name):
        raise ValueError(f"{name!r} is not a name for a model's file: use one such as 'model.pt'")
    signature = None if example is None else signature_of(model, framework, example)
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    partial = os.path.join(os.path.dirname(path), f".nacre-{os.getpid()}-{os.path.basename(path)}")
    try:
        _write(model, framework, partial)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise
    if signature is None:
        return [path]
    beside = path + ".signature.json"
    with open(beside, "w", encoding="utf-8") as stream:
        json.dump(signature, stream)
    return [path, beside]


def _write(model: Any, framework: str, path: str) -> None:
    if framework == "pytorch":
        sys.modules["torch"].save(_bare(model), path)
    elif framework == "keras":
        if not path.endswith((".keras", ".h5")):
            raise ValueError("a Keras model's file ends in .keras: log_model(model, 'model.keras')")
        model.save(path)
    else:
        joblib = sys.modules.get("joblib")
        if joblib is not None:
            joblib.dump(model, path)
        else:
            with open(path, "wb") as stream:
                pickle.dump(model, stream)


def _bare(model: Any) -> Any:
    """The user's own module, without what torch.compile and data parallelism wrapped around it."""
    model = getattr(model, "_orig_mod", model)
    if type(model).__name__ in ("DistributedDataParallel", "DataParallel"):
        model = model.module
    return getattr(model, "_orig_mod", model)


def signature_of(model: Any, framework: str, example: Any) -> dict[str, Any]:
    """``{"inputs": [{"name", "datatype", "shape"}]}``; the first dimension, the batch, is left open.

    ``example``: an array or tensor, a tuple or list of them, or a dict from names to them.
    """
    names = _input_names(model, framework)
    if isinstance(example, dict):
        known = [name for name in names if name in example]
        arrays = {name: example[name] for name in (known if len(known) == len(example) else example)}
    else:
        several = list(example) if isinstance(example, tuple) or _is_list(example) else [example]
        fitting = names if len(names) >= len(several) else [f"input_{n}" for n in range(len(several))]
        arrays = {name: value for name, value in zip(fitting, several)}  # noqa: B905, C416 - Python 3.8
    return {"inputs": [_spec(name, value) for name, value in arrays.items()]}


def _is_list(example: Any) -> bool:
    return isinstance(example, list) and bool(example) and hasattr(example[0], "shape")


def _input_names(model: Any, framework: str) -> list[str]:
    if framework == "pytorch":
        try:
            parameters = inspect.signature(_bare(model).forward).parameters.values()
        except (TypeError, ValueError):
            return ["x"]
        plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return [p.name for p in parameters if p.kind in plain] or ["x"]
    if framework == "keras":
        found = [str(tensor.name).split(":")[0] for tensor in getattr(model, "inputs", None) or []]
        return found or ["x"]
    return ["x"]


def _spec(name: str, value: Any) -> dict[str, Any]:
    if hasattr(value, "to_numpy"):  # pandas
        value = value.to_numpy()
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(
            f"example: {name} must be an array or a tensor with a batch dimension, not {type(value)}"
        )
    shape = [int(size) for size in value.shape]
    if not shape:
        raise ValueError(f"example: {name} is a single number: give a batch, such as x[:2]")
    kind = str(getattr(value.dtype, "name", value.dtype)).split(".")[-1]
    kind = "str" if kind.startswith(("str", "<U")) else kind
    if kind not in _DATATYPES:
        raise TypeError(f"example: {name} has the type {kind}, which no endpoint takes")
    return {"name": name, "datatype": _DATATYPES[kind], "shape": [-1, *shape[1:]]}
