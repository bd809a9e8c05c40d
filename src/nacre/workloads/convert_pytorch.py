"""PyTorch to ONNX: ``python -m nacre.workloads.convert_pytorch``.

Reads ``torch.export`` programs (``.pt2``), TorchScript, and pickled modules. A pickled module needs the
class it was made from, which :mod:`nacre.workloads.definitions` takes from the training script.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from nacre.workloads import conversion, definitions
from nacre.workloads.conversion import ConversionError, Request

Arrays = list[NDArray[Any]]


def load(request: Request) -> Any:
    """The module in the file, in evaluation mode, on the CPU; or the exported program.

    Raises:
        ConversionError: the file is no module, or its class cannot be found.
    """
    path = request.model
    if path.suffix == ".pt2":
        try:
            return torch.export.load(str(path))
        except Exception as error:
            raise ConversionError(f"{path.name} is not a program of torch.export: {error}") from error
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError:
        pass
    definitions.define(request.script, request.module)
    try:
        found = torch.load(path, map_location="cpu", weights_only=False)
    except (AttributeError, ModuleNotFoundError) as error:
        raise ConversionError(
            f"{path.name} needs a class that is not in the run's code ({error}): keep the class in the "
            "code folder, or save with torch.export.save"
        ) from error
    except Exception as error:
        raise ConversionError(f"{path.name} is not a PyTorch file: {error}") from error
    if isinstance(found, Mapping):
        raise ConversionError(
            f"{path.name} holds only weights (a state_dict): save the whole module with "
            "nacre.log_model(model, example=x) or torch.save(model, …)"
        )
    if not isinstance(found, torch.nn.Module):
        raise ConversionError(f"{path.name} holds a {type(found).__name__}, not a torch.nn.Module")
    return found.eval()


def _named(answer: Any) -> dict[str, Any]:
    """The tensors of an answer: those of a mapping by its own names, others as y, y1, …"""
    if isinstance(answer, Mapping):
        named = {str(key): value for key, value in answer.items()}
    else:
        parts = list(answer) if isinstance(answer, tuple | list) else [answer]
        named = {"y" if i == 0 else f"y{i}": part for i, part in enumerate(parts)}
    for name, value in named.items():
        if not isinstance(value, torch.Tensor):
            raise ConversionError(
                f"the model answers a {type(value).__name__} as {name}: let forward() return tensors"
            )
    return named


def _forward(module: Any, inputs: Arrays) -> dict[str, NDArray[Any]]:
    with torch.no_grad():
        answer = module(*(torch.from_numpy(x) for x in inputs))
    return {name: value.detach().cpu().numpy() for name, value in _named(answer).items()}


def _fitting(module: Any, candidates: list[Arrays]) -> tuple[Arrays, dict[str, NDArray[Any]]]:
    """The first candidate input that the module takes, with its answer: one for each sample."""
    said: object = None
    for inputs in candidates:
        try:
            answer = _forward(module, inputs)
        except ConversionError:
            raise
        except Exception as error:
            said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            continue
        if all(part.ndim and len(part) == len(inputs[0]) for part in answer.values()):
            return inputs, answer
        said = f"samples of shape {list(inputs[0].shape[1:])} do not give one answer each"
    raise ConversionError(
        f"the model does not take the input that was tried ({said}): tell its shape with --input 'x:FP32[-1,…]'"
    )


def _open_dimensions(request: Request, inputs: Arrays) -> list[set[int]]:
    """Of each input the dimensions that are left open: the batch, and those given as -1."""
    given = request.inputs or [{"shape": [-1] * (x.ndim > 0)} for x in inputs]
    return [{0} | {i for i, d in enumerate(spec["shape"]) if d == -1} for spec in given]


def _export(module: Any, request: Request, inputs: Arrays, names: list[str], outputs: list[str]) -> None:
    """Export with open dimensions: any size where the model allows it, else of the batch alone."""
    script = isinstance(module, torch.jit.ScriptModule)
    tensors = tuple(torch.from_numpy(x) for x in inputs)
    opened = _open_dimensions(request, inputs)
    common: dict[str, Any] = {"input_names": names, "output_names": outputs, "verbose": False}
    if script:  # torch.export does not read TorchScript
        axes = {
            name: {d: f"{name}_{d}" if d else "batch" for d in at}
            for name, at in zip(names, opened, strict=True)
        }
        axes |= {name: {0: "batch"} for name in outputs}
        torch.onnx.export(module, tensors, str(request.output), dynamo=False, dynamic_axes=axes, **common)
        return
    batch = torch.export.Dim("batch", min=1)
    shapes = tuple({d: batch if d == 0 else torch.export.Dim.DYNAMIC for d in at} for at in opened)
    common |= {"dynamo": True, "external_data": False}
    torch.onnx.export(module, tensors, str(request.output), dynamic_shapes=shapes, **common)


def _program(program: Any, request: Request) -> tuple[Arrays, dict[str, NDArray[Any]]]:
    """Export what torch.export wrote: its dimensions are open or closed as it was exported."""
    arguments, keywords = program.example_inputs or ((), {})
    inputs = [
        t.detach().cpu().numpy() for t in [*arguments, *keywords.values()] if isinstance(t, torch.Tensor)
    ]
    module = program.module()
    if not inputs:
        inputs, _ = _fitting(module, conversion.examples(request))
    answer = _forward(module, inputs)
    names = _input_names(request, len(inputs))
    torch.onnx.export(
        program,
        (),
        str(request.output),
        dynamo=True,
        external_data=False,
        input_names=names,
        output_names=list(answer),
        verbose=False,
    )
    return inputs, answer


def _input_names(request: Request, count: int) -> list[str]:
    given = [spec["name"] for spec in request.inputs or []]
    return given if len(given) == count else ["x" if i == 0 else f"x{i}" for i in range(count)]


def convert(request: Request) -> dict[str, Any]:
    """Export with a free batch dimension and check the result against the module."""
    logging.getLogger("torch").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with conversion.loading(request):
        module = load(request)
    try:
        if isinstance(module, torch.export.ExportedProgram):
            inputs, expected = _program(module, request)
        else:
            inputs, expected = _fitting(module, conversion.examples(request))
            _export(module, request, inputs, _input_names(request, len(inputs)), list(expected))
    except ConversionError:
        raise
    except Exception as error:
        raise ConversionError(f"torch.onnx could not export the model: {_reason(error)}") from error
    return {
        "framework": f"torch {torch.__version__}",
        "difference": conversion.difference(request.output, inputs, list(expected.values())),
    }


def _reason(error: BaseException) -> str:
    """The innermost cause in a few words; the exporters wrap theirs in pages."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:400]


if __name__ == "__main__":
    conversion.run(convert)
