"""Whatever bytes a client sends: arrays that the model takes, or one sentence."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.modelserver.calls import BadRequest, Call, Interface
from nacre.modelserver.grpc import inference, inference_messages, prediction, prediction_messages, wire
from nacre.modelserver.grpc.parse import parse
from nacre.modelserver.tensors import NUMPY
from nacre.schema.serving import Signature, TensorSpec

INTERFACES = [
    Interface(
        "m",
        "1",
        Signature(
            inputs=[
                TensorSpec(name="x", datatype=datatype, shape=shape),
                TensorSpec(name="b", datatype="BYTES", shape=[-1]),
            ],
            outputs=[TensorSpec(name="y", datatype="FP32", shape=[-1])],
        ),
    )
    for datatype, shape in [
        ("FP32", [-1, 2]),
        ("INT8", [-1]),
        ("FP16", []),
        ("BOOL", [2]),
        ("UINT64", [-1]),
    ]
]


def fits(call: Call, interface: Interface) -> None:
    for name, spec in interface.inputs.items():
        array = call.feed[name]
        assert array.dtype == NUMPY[spec.datatype]
        if spec.shape:
            assert len(array.shape) == len(spec.shape)
            assert all(want in (-1, size) for size, want in zip(array.shape, spec.shape, strict=True))


def valid_infer(raw: bool) -> bytes:
    request = inference_messages.ModelInferRequest(model_name="p/m", id="1")
    x = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    b = request.inputs.add(name="b", datatype="BYTES", shape=[1])
    if not raw:
        x.contents.fp32_contents.extend([1, 2])
        b.contents.bytes_contents.append(b"a")
    contents = [b"\0\0\0\0\0\0\0\0", b"\x01\0\0\0a"] if raw else []
    return wire.join(request.SerializeToString(), inference_messages.RAW_INPUT, contents)


def valid_predict() -> bytes:
    request = prediction_messages.PredictRequest(output_filter=["y"])
    request.model_spec.name = "p/m"
    x, b = request.inputs["x"], request.inputs["b"]
    x.dtype, x.tensor_content = 1, b"\0" * 8
    x.tensor_shape.dim.add(size=1)
    x.tensor_shape.dim.add(size=2)
    b.dtype = 7
    b.tensor_shape.dim.add(size=3)
    b.string_val.append(b"a")
    return bytes(request.SerializeToString())


def valid_classify() -> bytes:
    request = prediction_messages.ClassificationRequest()
    features = request.input.example_list.examples.add().features.feature
    features["x"].float_list.value.extend([1, 2])
    features["b"].bytes_list.value.append(b"a")
    return bytes(request.SerializeToString())


def infer(message: bytes, interface: Interface) -> Call:
    rest, raws = wire.take(message, inference_messages.RAW_INPUT)
    return inference.decode(parse(inference_messages.ModelInferRequest, rest), raws, interface)


def predict(message: bytes, interface: Interface) -> Call:
    return prediction._decode(parse(prediction_messages.PredictRequest, message), interface)


def classify(message: bytes, interface: Interface) -> Call:
    request = parse(prediction_messages.ClassificationRequest, message)
    return Call(prediction._feed(request.input, interface), ["y"])


CASES: list[tuple[Any, bytes]] = [
    (infer, valid_infer(raw=True)),
    (infer, valid_infer(raw=False)),
    (predict, valid_predict()),
    (classify, valid_classify()),
]
IDS = ["raw", "typed", "predict", "classify"]


@pytest.mark.parametrize(("decode", "valid"), CASES, ids=IDS)
def test_the_message_that_is_changed_is_good(decode: Any, valid: bytes) -> None:
    fits(decode(valid, INTERFACES[0]), INTERFACES[0])


@pytest.mark.parametrize(("decode", "valid"), CASES, ids=IDS)
@settings(max_examples=400)
@given(
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6),
    cut=st.none() | st.integers(0, 200),
    more=st.binary(max_size=20),
    which=st.integers(0, len(INTERFACES) - 1),
)
def test_changed_bytes(
    decode: Any, valid: bytes, changes: list[tuple[int, int]], cut: int | None, more: bytes, which: int
) -> None:
    message = bytearray(valid)
    for at, byte in changes:
        message[at % len(message)] = byte
    with contextlib.suppress(BadRequest):
        fits(decode(bytes(message[:cut]) + more, INTERFACES[which]), INTERFACES[which])
