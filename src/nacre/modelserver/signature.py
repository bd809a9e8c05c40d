"""The signature of an ONNX file, read by ONNX Runtime.

:func:`read_signature` opens a stranger's file with a large C++ library: run it in a process of its
own, as ``python -m nacre.modelserver.signature FILE`` does, which prints the signature as JSON, or
an error on stderr with exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from nacre.errors import InvalidSpec
from nacre.modelserver.onnx_file import check_file
from nacre.modelserver.tensors import ONNX
from nacre.schema.serving import Signature, TensorSpec

_FATAL_ONLY = 4
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def read_signature(path: Path) -> Signature:
    """Inputs and outputs of the ONNX model at ``path``.

    Raises ``InvalidSpec`` with one sentence when the file is absent, is not ONNX, needs what this
    ONNX Runtime lacks, keeps weights outside of its folder, or takes or gives what is not a tensor
    of one of the protocol's datatypes.
    """
    return signature_of(open_session(path))


def providers(gpu: bool) -> list[str]:
    """Where ONNX Runtime shall run a model: on a GPU, where it is asked for, built in and there is one, and
    what that cannot run on the CPU."""
    cuda = gpu and _CUDA in ort.get_available_providers() and Path("/dev/nvidiactl").exists()
    return [_CUDA, _CPU] if cuda else [_CPU]


def open_session(path: Path, gpu: bool = False) -> ort.InferenceSession:
    """A session with one thread, on the CPU unless ``gpu`` finds one. Raises ``InvalidSpec`` as
    :func:`read_signature`."""
    check_file(path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # ONNX Runtime keeps one memory plan for each shape it has seen, for ever: clients choose shapes.
    options.enable_mem_pattern = False
    options.log_severity_level = _FATAL_ONLY
    try:
        return ort.InferenceSession(str(path), options, providers=providers(gpu))
    except Exception as error:  # its classes share no base
        raise InvalidSpec(
            f"ONNX Runtime {ort.__version__} cannot load {path.name}: {sentence(error)}",
            fields=["path"],
        ) from error


def sentence(error: Exception) -> str:
    """What an error of ONNX Runtime says, without its prefix, on one line of moderate length."""
    text = " ".join(str(error).split())
    if text.startswith("[ONNXRuntimeError]"):
        text = text.split(" : ", 3)[-1]
    return text[:500]


def signature_of(session: ort.InferenceSession) -> Signature:
    """The session's inputs and outputs. Raises ``InvalidSpec`` for what is not a plain tensor."""
    return Signature(
        inputs=[_tensor("input", node) for node in session.get_inputs()],
        outputs=[_tensor("output", node) for node in session.get_outputs()],
    )


def _tensor(role: str, node: Any) -> TensorSpec:
    datatype = ONNX.get(node.type)
    if datatype is None:
        hint = "; export the classifier with zipmap off" if "map(" in node.type else ""
        raise InvalidSpec(
            f"{role} {node.name!r} is {node.type}, which cannot be served: it has to be a tensor of "
            f"{', '.join(sorted(set(ONNX.values())))}{hint}",
            fields=["path"],
        )
    shape = [size if isinstance(size, int) and size >= 0 else -1 for size in node.shape or []]
    return TensorSpec(name=node.name, datatype=datatype, shape=shape)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the signature of one file; 1 when it has none."""
    parser = argparse.ArgumentParser(
        prog="python -m nacre.modelserver.signature",
        description="Print the inputs and outputs of an ONNX file as JSON.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    try:
        signature = read_signature(parser.parse_args(arguments).file)
    except InvalidSpec as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    sys.stdout.write(signature.model_dump_json() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
