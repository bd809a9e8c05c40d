"""An ONNX file is taken as it is, and refused when it is none."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.unit.workloads.conftest import Framework


@pytest.fixture
def here(tmp_path: Path) -> Framework:
    """The converter of ONNX files needs no framework: the tests' own Python has all of it."""
    return Framework(Path(sys.executable), tmp_path)


def save(path: Path, *, beside: bool = False) -> None:
    """``y`` = ``x`` · weights, the weights in the file or beside it."""
    weights = np.arange(6, dtype=np.float32).reshape(3, 2)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(
        model,
        path,
        save_as_external_data=beside,
        location=f"{path.name}.data" if beside else None,
        size_threshold=0,
    )
    x = np.ones((5, 3), np.float32)
    np.savez(path.parent / "expected.npz", in_x=x, out_y=x @ weights)


def test_its_signature_is_read(here: Framework) -> None:
    save(here.folder / "net.onnx")
    found = here.convert("onnx", "--model", "net.onnx")
    assert found.inputs == [("x", "FP32", [-1, 3])]
    assert (found.output / "model.onnx").read_bytes() == (here.folder / "net.onnx").read_bytes()
    found.answers_as(here.folder / "expected.npz")


def test_weights_beside_it_are_taken_in(here: Framework) -> None:
    save(here.folder / "net.onnx", beside=True)
    assert (here.folder / "net.onnx.data").exists()
    here.convert("onnx", "--model", "net.onnx").answers_as(here.folder / "expected.npz")
    (here.folder / "net.onnx.data").unlink()
    assert "is not an ONNX model that can be loaded" in here.convert("onnx", "--model", "net.onnx").refusal


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x0a", b"\x00" * 1000])
def test_a_file_that_is_none_is_refused_with_a_sentence(here: Framework, content: bytes) -> None:
    (here.folder / "net.onnx").write_bytes(content)
    refusal = here.convert("onnx", "--model", "net.onnx").refusal
    assert refusal.startswith("net.onnx is not an ONNX model that can be loaded: ")


def test_a_folder_is_refused(here: Framework) -> None:
    (here.folder / "net").mkdir()
    assert "name the .onnx file in it" in here.convert("onnx", "--model", "net").refusal
