"""Signatures read from ONNX files, and compared with what was promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import modelserver_kit as kit
import onnx
import pytest

from nacre.errors import InvalidSpec
from nacre.modelserver.models import check_signature
from nacre.modelserver.signature import providers, read_signature
from nacre.schema.serving import Signature


def signature(inputs: dict, outputs: dict) -> Signature:
    """From ``{name: (datatype, shape)}``."""

    def tensors(named: dict) -> list:
        return [{"name": n, "datatype": d, "shape": s} for n, (d, s) in named.items()]

    return Signature.model_validate({"inputs": tensors(inputs), "outputs": tensors(outputs)})


def test_open_dimensions_are_minus_one(tmp_path: Path) -> None:
    assert read_signature(kit.mlp(tmp_path / "m.onnx")) == signature(
        {"x": ("FP32", [-1, 8])}, {"y": ("FP32", [-1, 3])}
    )


@pytest.mark.parametrize("datatype", kit.ONNX_TYPES)
def test_every_datatype_is_named(tmp_path: Path, datatype: str) -> None:
    found = read_signature(kit.identity(tmp_path / "m.onnx", datatype))
    assert found == signature({"x": (datatype, [-1, 2])}, {"y": (datatype, [-1, 2])})


def test_a_type_outside_of_the_protocol_is_refused(tmp_path: Path) -> None:
    bf16 = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.BFLOAT16, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.BFLOAT16, [1])
    path = kit.save(tmp_path / "m.onnx", [onnx.helper.make_node("Identity", ["x"], ["y"])], [bf16], [out])
    with pytest.raises(InvalidSpec, match=r"input 'x' is tensor\(bfloat16\), which cannot be served"):
        read_signature(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello, this is text", "is not an ONNX model"),
        (b"PK\x03\x04" + bytes(100), "is not an ONNX model"),
        (b"\x08\x09", "is not an ONNX model"),
        (b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "is not an ONNX model"),
        (b"\xff" * 64, "is not an ONNX model"),
        (b"\x08\x09\x3a\x00", "cannot load"),
    ],
)
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidSpec, match=said):
        read_signature(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InvalidSpec, match="there is no file"):
            read_signature(path)


def test_weights_hidden_in_a_subgraph_are_found(tmp_path: Path) -> None:
    weight = onnx.TensorProto(name="w", dims=[1], data_type=1, data_location=1)
    weight.external_data.add(key="location", value="../../secret")
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["w"], ["b"])], "b", [], [kit.value("b", "FP32", [1])], [weight]
    )
    node = onnx.helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    path = kit.save(
        tmp_path / "m.onnx", [node], [kit.value("x", "BOOL", [])], [kit.value("y", "FP32", [1])]
    )
    with pytest.raises(InvalidSpec, match="outside of its own folder"):
        read_signature(path)


def test_the_program_prints_json_or_says_why_not(tmp_path: Path) -> None:
    def run(path: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "nacre.modelserver.signature", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )

    good = run(kit.mlp(tmp_path / "m.onnx"))
    assert (good.returncode, good.stderr) == (0, "")
    assert Signature.model_validate_json(good.stdout).inputs[0].shape == [-1, 8]
    bad = run(Path(__file__))
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith("test_signature.py is not an ONNX model")
    assert bad.stderr.count("\n") == 1


OWN = signature({"x": ("FP32", [-1, 8])}, {"y": ("FP32", [-1, 3])})
X, Y = {"x": ("FP32", [-1, 8])}, {"y": ("FP32", [-1, 3])}


@pytest.mark.parametrize(
    "promised",
    [
        OWN,
        signature({"x": ("FP32", [4, 8])}, Y),
        signature(X, {"y": ("FP32", [-1, -1])}),
        signature(X, {"y": ("FP32", [4, 3])}),
    ],
)
def test_a_promise_that_the_model_keeps(promised: Signature) -> None:
    check_signature(OWN, promised)


@pytest.mark.parametrize(
    "promised",
    [
        signature({"z": ("FP32", [-1, 8])}, Y),
        signature({**X, "z": ("FP32", [1])}, Y),
        signature({"x": ("FP64", [-1, 8])}, Y),
        signature({"x": ("FP32", [-1, 7])}, Y),
        signature({"x": ("FP32", [-1, -1])}, Y),
        signature({"x": ("FP32", [8])}, Y),
        signature(X, {"q": ("FP32", [-1, 3])}),
        signature(X, {"y": ("INT64", [-1, 3])}),
        signature(X, {"y": ("FP32", [-1, 4])}),
        signature(X, {"y": ("FP32", [-1])}),
    ],
)
def test_a_promise_that_the_model_breaks(promised: Signature) -> None:
    with pytest.raises(InvalidSpec, match="where its signature says"):
        check_signature(OWN, promised)


def test_a_gpu_is_used_where_onnx_runtime_and_the_machine_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert providers(gpu=False) == both[1:]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: both)
    for there in (True, False):
        monkeypatch.setattr(Path, "exists", lambda _, there=there: there)
        assert providers(gpu=True) == (both if there else both[1:])
        assert providers(gpu=False) == both[1:]
