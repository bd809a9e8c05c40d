"""PyTorch: TorchScript, programs of ``torch.export`` (.pt2), and pickled modules."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import torch

from nacre.modelserver.frames import NUMPY, datatype_of
from nacre.modelserver.replica.predictors.base import Arrays, BadInput, LoadError, Predictor, Specs

_PLAIN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class PyTorch(Predictor):
    """A module in evaluation mode, on the first GPU that the process sees, else on the CPU."""

    framework = "pytorch"

    def __init__(self, path: str) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._names: list[str] | None = None
        if path.endswith(".pt2"):
            self._module = self._exported(path)
        else:
            self._module = _module(path, self._device)
            self._names = _forward_names(self._module)

    def run(self, feed: Arrays) -> Arrays:
        """One forward pass without gradients; a tuple's parts are ``y``, ``y1``, …"""
        tensors = [self._tensor(name, array) for name, array in feed.items()]
        with torch.inference_mode():
            answer = self._module(*tensors)
        return {name: _array(name, value) for name, value in _named(answer).items()}

    def _tensor(self, name: str, array: Any) -> Any:
        if array.dtype.kind == "O":
            raise BadInput(f"input {name!r}: PyTorch takes no strings")
        try:
            tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        except TypeError as error:  # unsigned types of an older PyTorch
            raise BadInput(f"input {name!r}: {error}") from error
        return tensor.to(self._device, non_blocking=True)

    def _exported(self, path: str) -> Any:
        try:
            program = torch.export.load(path)
            self.inputs = _inputs(program)
            if self._device.type == "cuda":
                passes = import_module("torch.export.passes")
                program = passes.move_to_device_pass(program, self._device)
            return program.module()
        except Exception as error:
            raise LoadError(f"{_name(path)} is not a program of torch.export: {error}") from error

    @property
    def names(self) -> list[str] | None:
        """What ``forward`` calls its inputs, as far as it tells."""
        return self._names


def _module(path: str, device: Any) -> Any:
    try:
        return torch.jit.load(path, map_location=device).eval()
    except RuntimeError:
        pass
    try:
        found = torch.load(path, map_location=device, weights_only=False)
    except (AttributeError, ModuleNotFoundError) as error:
        raise LoadError(
            f"{_name(path)} needs a class that is not there ({error}): put its .py file beside the model, "
            "write a predict.py, or save with torch.export.save"
        ) from error
    except Exception as error:
        raise LoadError(f"{_name(path)} is not a PyTorch file: {error}") from error
    if isinstance(found, Mapping):
        raise LoadError(
            f"{_name(path)} holds only weights (a state_dict): save the whole module with "
            "nacre.log_model(model, example=x), or write a predict.py that makes the module"
        )
    if not isinstance(found, torch.nn.Module):
        raise LoadError(f"{_name(path)} holds a {type(found).__name__}, not a torch.nn.Module")
    return found.to(device).eval()


def _name(path: str) -> str:
    return os.path.basename(path)


def _forward_names(module: Any) -> list[str] | None:
    if isinstance(module, torch.jit.ScriptModule):
        return [argument.name for argument in module.forward.schema.arguments[1:]]
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p.name for p in parameters if p.kind in _PLAIN]


def _inputs(program: Any) -> Specs | None:
    """The inputs of an exported program: sizes that are symbols are open."""
    wanted = list(program.graph_signature.user_inputs)
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    specs = []
    for name in wanted:
        value = values.get(name)
        if not isinstance(value, torch.Tensor):
            return None  # a number, or something nested
        shape = [n if isinstance(n, int) else -1 for n in value.shape]
        specs.append({"name": name, "datatype": _datatype(value.dtype), "shape": shape})
    return specs


def _datatype(dtype: Any) -> str:
    name = str(dtype).split(".")[-1]
    name = "float32" if name == "bfloat16" else name
    return datatype_of(np.empty(0, name))


def _named(answer: Any) -> dict[str, Any]:
    """The tensors of an answer: those of a mapping by its own names, others as y, y1, …"""
    if isinstance(answer, Mapping):
        return {str(key): value for key, value in answer.items()}
    parts = list(answer) if isinstance(answer, (tuple, list)) else [answer]
    return {"y" if i == 0 else f"y{i}": part for i, part in enumerate(parts)}


def _array(name: str, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        value = value.detach()
        if value.dtype == torch.bfloat16:
            value = value.float()
        return value.cpu().numpy()
    if isinstance(value, (bool, int, float)):
        return np.asarray(value, NUMPY["FP32"] if isinstance(value, float) else None)
    raise TypeError(f"forward() answers a {type(value).__name__} as {name}: let it return tensors")


def load(path: str) -> PyTorch:
    """The model of a ``.pt``, ``.pth`` or ``.pt2`` file.

    Raises:
        LoadError: it cannot be loaded.
    """
    return PyTorch(path)
