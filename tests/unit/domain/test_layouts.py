"""What other servers are told of a model, as their own readers read it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from nacre.domain.layouts import MAX_BATCH, mlmodel, triton_config
from nacre.domain.mlmodel import recognise
from nacre.schema.serving import Signature


def tensor(name: str, datatype: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def parsed(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]], name: str = "net") -> Any:
    """The configuration as Triton's own reader has it."""
    text = triton_config(name, Signature.model_validate({"inputs": inputs, "outputs": outputs}))
    return text_format.Parse(text, model_config_pb2.ModelConfig())


class TestTritonConfig:
    def test_an_open_first_dimension_is_the_batch(self) -> None:
        found = parsed(
            [tensor("x", "FP32", -1, 8, -1)], [tensor("y", "INT64", -1), tensor("p", "FP16", -1, 3)]
        )
        assert (found.name, found.backend, found.max_batch_size) == ("net", "onnxruntime", MAX_BATCH)
        assert found.HasField("dynamic_batching")
        assert list(found.input[0].dims) == [8, -1]
        assert found.input[0].data_type == model_config_pb2.TYPE_FP32
        label, score = found.output
        assert (list(label.dims), label.HasField("reshape"), list(label.reshape.shape)) == ([1], True, [])
        assert (list(score.dims), score.HasField("reshape")) == ([3], False)
        assert (label.data_type, score.data_type) == (
            model_config_pb2.TYPE_INT64,
            model_config_pb2.TYPE_FP16,
        )

    def test_one_closed_first_dimension_closes_the_batch(self) -> None:
        found = parsed([tensor("x", "FP32", -1, 8), tensor("k", "INT32", 1)], [tensor("y", "FP32", -1, 2)])
        assert (found.max_batch_size, found.HasField("dynamic_batching")) == (0, False)
        assert [list(t.dims) for t in [*found.input, *found.output]] == [[-1, 8], [1], [-1, 2]]

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [("BYTES", "TYPE_STRING"), ("BOOL", "TYPE_BOOL"), ("UINT8", "TYPE_UINT8"), ("FP64", "TYPE_FP64")],
    )
    def test_datatypes(self, ours: str, theirs: str) -> None:
        found = parsed([tensor("x", ours, -1, 2)], [tensor("y", "FP32", -1, 1)])
        assert model_config_pb2.DataType.Name(found.input[0].data_type) == theirs

    @pytest.mark.parametrize("name", ['a "b"', "back\\slash", "Häuser № 1", "tab\there", "it's"])
    def test_any_name_comes_through(self, name: str) -> None:
        found = parsed([tensor(name, "FP32", -1, 1)], [tensor("y", "FP32", -1, 1)], name)
        assert (found.name, found.input[0].name) == (name, name)


class TestMlmodel:
    def test_what_is_written_is_read_as_an_mlflow_model(self) -> None:
        described = {"inputs": [tensor("x", "FP32", -1, 2)], "outputs": [tensor("y", "INT64", -1)]}
        signature = Signature.model_validate(described)
        text = mlmodel(signature, "model.onnx")
        found = recognise(text.encode(), {"MLmodel", "model.onnx"})
        assert (found.framework, found.entry, found.why) == ("onnx", "model.onnx", None)
        assert list(found.inputs) == signature.inputs
        told = yaml.safe_load(text)
        assert told["flavors"]["python_function"] == {"loader_module": "mlflow.onnx", "data": "model.onnx"}
        assert json.loads(told["signature"]["outputs"]) == [
            {"name": "y", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}
        ]
