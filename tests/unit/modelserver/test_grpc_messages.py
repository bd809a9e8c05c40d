"""Our tables have the numbers and types of the published protos; raw tensors pass without the runtime."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pool
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2, service_pb2

from nacre.modelserver.calls import BadRequest
from nacre.modelserver.grpc import inference_messages, prediction_messages, wire
from nacre.modelserver.grpc.messages import build

# Where one message of ours stands for several of theirs, or a nested one has no prefix here.
THEIRS = {
    "TensorMetadata": ["ModelMetadataResponse.TensorMetadata"],
    "InferTensor": ["ModelInferRequest.InferInputTensor", "ModelInferResponse.InferOutputTensor"],
    "InferRequestedOutputTensor": ["ModelInferRequest.InferRequestedOutputTensor"],
    "ModelIndex": ["RepositoryIndexResponse.ModelIndex"],
}
ENUM, INT32 = 14, 5


def same(ours: object, theirs: object) -> None:
    for field in ours.fields:
        other = theirs.fields_by_name[field.name]
        assert field.number == other.number, field.full_name
        assert field.is_repeated == other.is_repeated, field.full_name
        assert field.type == (INT32 if other.type == ENUM else other.type), field.full_name


@pytest.mark.parametrize("name", sorted(inference_messages._MESSAGES))
def test_the_fields_are_those_of_tritons_client(name: str) -> None:
    pool = service_pb2.DESCRIPTOR.pool
    for theirs in THEIRS.get(name, [name]):
        same(
            inference_messages._MESSAGES[name].DESCRIPTOR, pool.FindMessageTypeByName(f"inference.{theirs}")
        )


def test_the_fields_that_pass_by_the_runtime() -> None:
    request, response = service_pb2.ModelInferRequest, service_pb2.ModelInferResponse
    assert request.RAW_INPUT_CONTENTS_FIELD_NUMBER == inference_messages.RAW_INPUT
    assert response.RAW_OUTPUT_CONTENTS_FIELD_NUMBER == inference_messages.RAW_OUTPUT
    stream = service_pb2.ModelStreamInferResponse
    assert stream.INFER_RESPONSE_FIELD_NUMBER == inference_messages.INFER_RESPONSE


def test_the_types_of_tritons_configuration() -> None:
    for datatype, number in inference_messages.CONFIG_TYPES.items():
        name = "TYPE_STRING" if datatype == "BYTES" else f"TYPE_{datatype}"
        assert model_config_pb2.DataType.Value(name) == number


def test_our_messages_are_not_in_the_pool_that_all_share() -> None:
    shared = descriptor_pool.Default()
    assert shared.FindMessageTypeByName("inference.ModelInferRequest").file.name != "nacre/inference.proto"
    with pytest.raises(KeyError):
        shared.FindMessageTypeByName("tensorflow.serving.PredictRequest")
    assert prediction_messages.PredictRequest.DESCRIPTOR.full_name == "tensorflow.serving.PredictRequest"


def test_a_table_with_a_map_and_a_list() -> None:
    one = build("test.tables", "Inner\n  1 int32 x\nOuter\n  3 map Inner named\n  4 repeated string words")
    outer = one["Outer"](words=["a", "b"])
    outer.named["k"].x = 7
    again = one["Outer"].FromString(outer.SerializeToString())
    assert (again.named["k"].x, list(again.words)) == (7, ["a", "b"])


@given(
    name=st.text(max_size=300),
    shape=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    raws=st.lists(st.binary(max_size=400), max_size=4),
)
def test_raw_tensors_are_taken_out_of_what_the_runtime_wrote(
    name: str, shape: list[int], raws: list[bytes]
) -> None:
    theirs = service_pb2.ModelInferRequest(model_name=name, raw_input_contents=raws)
    theirs.inputs.add(name="x", shape=shape)
    rest, taken = wire.take(theirs.SerializeToString(), inference_messages.RAW_INPUT)
    assert [bytes(raw) for raw in taken] == raws
    ours = inference_messages.ModelInferRequest.FromString(rest)
    assert (ours.model_name, list(ours.inputs[0].shape)) == (name, shape)
    assert service_pb2.ModelInferRequest.FromString(wire.join(rest, 7, taken)) == theirs


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_apart_or_refused(message: bytes) -> None:
    try:
        rest, taken = wire.take(message, 7)
    except BadRequest:
        return
    assert len(rest) + sum(map(len, taken)) <= len(message)
    if not taken:
        assert rest == message


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (b"\x3a", "ends inside a number"),
        (b"\x3a\x05ab", "cut short"),
        (b"\x3b", "field of kind 3"),
        (b"\x38\x01", "has to be bytes"),
        (b"\x3a" + b"\xff" * 10 + b"\x01", "number without end"),
    ],
)
def test_what_is_not_protobuf_is_refused(message: bytes, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        wire.take(message, 7)
