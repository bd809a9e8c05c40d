"""PyTorch to ONNX: ``python -m nacre.workloads.convert_pytorch``.

Reads ``torch.export`` programs (``.pt2``), TorchScript, and pickled modules. A pickled module needs the
class it was made from: the training script is loaded beside it, with ``__name__`` other than ``__main__``.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nacre.workloads import conversion
from nacre.workloads.conversion import ConversionError, Request


def load(path: Path, script: str | None) -> torch.nn.Module:
    """The module in the file, in evaluation mode, on the CPU.

    Raises:
        ConversionError: the file is no module, or its class cannot be found.
    """
    if path.suffix == ".pt2":
        module: torch.nn.Module = torch.export.load(str(path)).module()
        return module
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError:
        pass
    sys.path.insert(0, str(Path.cwd()))
    if script is not None and Path(script).is_file():
        sys.path.insert(0, str(Path(script).resolve().parent))
        names = runpy.run_path(script, run_name="__nacre_model__")
        main = sys.modules["__main__"]
        for name, value in names.items():
            if isinstance(value, type) and not hasattr(main, name):
                setattr(main, name, value)
    try:
        found = torch.load(path, map_location="cpu", weights_only=False)
    except (AttributeError, ModuleNotFoundError) as error:
        raise ConversionError(
            f"{path.name} needs a class that is not in the run's code ({error}): keep the class in the "
            "code folder, guard the training with if __name__ == '__main__', or save with torch.export.save"
        ) from error
    except Exception as error:
        raise ConversionError(f"{path.name} is not a PyTorch file: {error}") from error
    if isinstance(found, dict):
        raise ConversionError(
            f"{path.name} holds only weights (a state_dict): save the whole module with "
            "nacre.log_model(model, example=x) or torch.save(model, …)"
        )
    if not isinstance(found, torch.nn.Module):
        raise ConversionError(f"{path.name} holds a {type(found).__name__}, not a torch.nn.Module")
    return found.eval()


def _forward(module: torch.nn.Module, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    with torch.no_grad():
        answer = module(*(torch.from_numpy(x) for x in inputs))
    parts = answer if isinstance(answer, tuple | list) else [answer]
    return [np.asarray(part) for part in parts]


def _fitting(module: torch.nn.Module, request: Request) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """The first candidate input that the module takes, with its answer."""
    said: Exception | None = None
    for inputs in conversion.examples(request):
        try:
            return inputs, _forward(module, inputs)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            said = error
    raise ConversionError(
        f"the model does not take the input that was tried ({said}): tell its shape with --input 'x:FP32[-1,…]'"
    )


def convert(request: Request) -> dict[str, Any]:
    """Export with a free batch dimension and check the result against the module."""
    module = load(request.model, request.script)
    inputs, expected = _fitting(module, request)
    names = [spec["name"] for spec in request.inputs or []] or [
        "x" if i == 0 else f"x{i}" for i in range(len(inputs))
    ]
    batch = torch.export.Dim("batch", min=1)
    torch.onnx.export(
        module,
        tuple(torch.from_numpy(x) for x in inputs),
        str(request.output),
        dynamo=True,
        dynamic_shapes=tuple({0: batch} for _ in inputs),
        input_names=names,
        output_names=["y" if i == 0 else f"y{i}" for i in range(len(expected))],
        external_data=False,
        verbose=False,
    )
    return {
        "framework": f"torch {torch.__version__}",
        "difference": conversion.difference(request.output, inputs, expected),
    }


if __name__ == "__main__":
    conversion.run(convert)
