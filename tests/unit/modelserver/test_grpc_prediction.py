"""TensorFlow Serving's gRPC services: predict, classify, regress, metadata and status.

TensorFlow's own client is in ``tests/e2e/test_grpc_clients.py``: it needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import modelserver_kit as kit
import numpy as np
import onnxruntime as ort
import pytest
from onnx import helper

from nacre.modelserver.grpc import prediction_messages as m
from nacre.modelserver.grpc.prediction_messages import _MESSAGES, DTYPES

METADATA = (("authorization", f"Bearer {kit.TOKEN}"),)
CODE = grpc.StatusCode


class Client:
    """Calls methods with messages of the server's own tables."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def __call__(self, method: str, message: Any, answer: Any, service: str = "PredictionService") -> Any:
        call = self.channel.unary_unary(f"/tensorflow.serving.{service}/{method}")
        return answer.FromString(call(message.SerializeToString(), metadata=METADATA))

    def predict(self, model: str, **inputs: np.ndarray) -> Any:
        return self("Predict", predict_request(model, **inputs), m.PredictResponse)


def predict_request(model: str, **inputs: np.ndarray) -> Any:
    request = m.PredictRequest()
    request.model_spec.name = model
    for name, array in inputs.items():
        tensor = request.inputs[name]
        tensor.dtype, tensor.tensor_content = DTYPES["FP32"], array.astype("f4").tobytes()
        for size in array.shape:
            tensor.tensor_shape.dim.add(size=size)
    return request


def scorer(path: Path, labels: bool) -> Path:
    """``x`` FP32 [-1, 2] to ``scores`` = x, ``total``, the sum of each row, and perhaps ``classes``."""
    nodes = [
        helper.make_node("Identity", ["x"], ["scores"]),
        helper.make_node("ReduceSum", ["x", "axes"], ["total"], keepdims=0),
    ]
    outputs = [kit.value("scores", "FP32", ["n", 2]), kit.value("total", "FP32", ["n"])]
    weights = [helper.make_tensor("axes", kit.ONNX_TYPES["INT64"], [1], [1])]
    if labels:
        nodes += [
            helper.make_node("Cast", ["x"], ["classes"], to=kit.ONNX_TYPES["BYTES"]),
        ]
        outputs.append(kit.value("classes", "BYTES", ["n", 2]))
    return kit.save(path, nodes, [kit.value("x", "FP32", ["n", 2])], outputs, tuple(weights))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kit.Server]:
    folder = tmp_path_factory.mktemp("serving")
    files = {
        "mlp": kit.mlp(folder / "mlp.onnx"),
        "two": kit.two_inputs(folder / "two.onnx"),
        "scores": scorer(folder / "scores.onnx", labels=False),
        "labels": scorer(folder / "labels.onnx", labels=True),
        "text": kit.identity(folder / "text.onnx", "BYTES"),
    }
    kit.write_routes(folder, {f"p/{name}": kit.revision(path) for name, path in files.items()})
    server = kit.Server(folder).wait()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def client(served: kit.Server) -> Iterator[Client]:
    made = Client(served.port)
    yield made
    made.channel.close()


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value.code(), raised.value.details()


def examples(*rows: dict[str, Any], context: dict[str, Any] | None = None) -> Any:
    given = _MESSAGES["Input"]()
    listed = given.example_list if context is None else given.example_list_with_context
    for row in rows:
        _fill(listed.examples.add(), row)
    if context is not None:
        _fill(given.example_list_with_context.context, context)
    return given


def _fill(example: Any, row: dict[str, Any]) -> None:
    for name, values in row.items():
        feature = example.features.feature[name]
        kind = {float: "float_list", int: "int64_list", bytes: "bytes_list"}[type(values[0])]
        getattr(feature, kind).value.extend(values)


# ---- predict


def test_predict_answers_as_in_process(served: kit.Server, client: Client) -> None:
    x = np.random.default_rng(3).normal(size=(4, 8)).astype("f4")
    session = ort.InferenceSession(str(served.folder / "mlp.onnx"), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(["y"], {"x": x})
    answer = client.predict("p/mlp", x=x)
    y = answer.outputs["y"]
    assert [dim.size for dim in y.tensor_shape.dim] == [4, 3]
    assert list(y.float_val) == wanted.ravel().tolist()
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("p/mlp", 1, "serving_default")


def test_values_in_the_field_of_the_datatype(client: Client) -> None:
    request = m.PredictRequest()
    request.model_spec.name = "text"
    tensor = request.inputs["x"]
    tensor.dtype = DTYPES["BYTES"]
    tensor.string_val.extend([b"a", "é".encode()])
    for size in (1, 2):
        tensor.tensor_shape.dim.add(size=size)
    answer = client("Predict", request, m.PredictResponse)
    assert list(answer.outputs["y"].string_val) == [b"a", "é".encode()]


def test_the_output_filter_and_a_version(client: Client) -> None:
    request = predict_request("p/two", a=np.array([[3, 4]]), b=np.array([[1, 2]]))
    request.model_spec.version.value = 1
    request.model_spec.signature_name = "serving_default"
    request.output_filter.append("difference")
    answer = client("Predict", request, m.PredictResponse)
    assert {name: list(tensor.float_val) for name, tensor in answer.outputs.items()} == {
        "difference": [2.0, 2.0]
    }


def test_requests_that_are_wrong(client: Client) -> None:
    x = np.zeros((1, 8))
    version, label, signature, unknown, twice, dtype, cut = (
        predict_request("p/mlp", x=x) for _ in range(7)
    )
    version.model_spec.version.value = 7
    label.model_spec.version_label = "stable"
    signature.model_spec.signature_name = "other"
    unknown.output_filter.append("z")
    twice.output_filter.extend(["y", "y"])
    dtype.inputs["x"].dtype = DTYPES["FP64"]
    cut.inputs["x"].tensor_content = b"\0" * 31
    for wrong, code, sentence in [
        (version, CODE.NOT_FOUND, "serves version 1"),
        (label, CODE.INVALID_ARGUMENT, "no version label 'stable'"),
        (signature, CODE.INVALID_ARGUMENT, "no signature 'other'"),
        (unknown, CODE.INVALID_ARGUMENT, "no output 'z'"),
        (twice, CODE.INVALID_ARGUMENT, "names an output twice"),
        (dtype, CODE.INVALID_ARGUMENT, "datatype FP64 where FP32"),
        (cut, CODE.INVALID_ARGUMENT, "has 31 bytes where"),
        (predict_request("p/mlp"), CODE.INVALID_ARGUMENT, "input 'x' is missing"),
        (predict_request("p/mlp", w=x), CODE.INVALID_ARGUMENT, "no input 'w'"),
        (predict_request("p/mlp", x=np.zeros((1, 9))), CODE.INVALID_ARGUMENT, "shape [1, 9] where"),
        (predict_request("p/nothing", x=x), CODE.NOT_FOUND, "no endpoint 'nothing'"),
        (predict_request("q/mlp", x=x), CODE.NOT_FOUND, "project 'q' has no endpoint"),
    ]:
        found, text = refusal(lambda wrong=wrong: client("Predict", wrong, m.PredictResponse))
        assert found is code, text
        assert sentence in text


def test_a_message_that_is_none(client: Client) -> None:
    for method in ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"):
        call = client.channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")
        code, text = refusal(lambda call=call: call(b"\x0a\xff", metadata=METADATA))
        assert code is CODE.INVALID_ARGUMENT
        assert "the message is not a" in text


# ---- classify and regress


def classify(client: Client, model: str, given: Any) -> list[list[tuple[str, float]]]:
    request = m.ClassificationRequest(input=given)
    request.model_spec.name = model
    answer = client("Classify", request, m.ClassificationResponse)
    return [[(one.label, one.score) for one in row.classes] for row in answer.result.classifications]


def test_classes_have_their_column_as_label(client: Client) -> None:
    given = examples({"x": [0.25, 0.75]}, {"x": [1, 0]})
    assert classify(client, "p/scores", given) == [[("0", 0.25), ("1", 0.75)], [("0", 1.0), ("1", 0.0)]]


def test_classes_have_the_models_labels(client: Client) -> None:
    assert classify(client, "p/labels", examples({"x": [0.5, 2.0]})) == [[("0.5", 0.5), ("2", 2.0)]]


def test_regress(client: Client) -> None:
    request = m.RegressionRequest(input=examples({"x": [0.25, 0.5]}, {"x": [1.0, 2.0]}))
    request.model_spec.name = "p/scores"
    answer = client("Regress", request, m.RegressionResponse)
    assert [one.value for one in answer.result.regressions] == [0.75, 3.0]
    assert answer.model_spec.version.value == 1


def test_features_of_the_context_belong_to_every_example(client: Client) -> None:
    request = m.RegressionRequest(input=examples({}, {}, context={"x": [1.0, 2.0]}))
    request.model_spec.name = "p/scores"
    answer = client("Regress", request, m.RegressionResponse)
    assert [one.value for one in answer.result.regressions] == [3.0, 3.0]


def test_both_on_the_same_examples(client: Client) -> None:
    request = m.MultiInferenceRequest(input=examples({"x": [0.25, 0.5]}))
    for method in ("classify", "regress"):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name = "p/scores"
    answer = client("MultiInference", request, m.MultiInferenceResponse)
    first, second = answer.results
    assert [one.score for one in first.classification_result.classifications[0].classes] == [0.25, 0.5]
    assert [one.value for one in second.regression_result.regressions] == [0.75]
    request.tasks[0].method_name = "tensorflow/serving/predict"
    code, text = refusal(lambda: client("MultiInference", request, m.MultiInferenceResponse))
    assert (code, "no method 'tensorflow/serving/predict'" in text) == (CODE.INVALID_ARGUMENT, True)


def test_examples_that_are_wrong(client: Client) -> None:
    for given, sentence in [
        (examples(), '"examples" is empty'),
        (examples({"x": [1.0]}), "1 values"),
        (examples({"w": [1.0, 2.0]}), "which is no input"),
        (examples({}), "lacks feature 'x'"),
        (examples({"x": [b"a", b"b"]}), "data of input 'x'"),
        (examples({"x": [b"\xff", b"b"]}), "not UTF-8"),
    ]:
        code, text = refusal(lambda given=given: classify(client, "p/scores", given))
        assert code is CODE.INVALID_ARGUMENT, text
        assert sentence in text


# ---- about models


def test_metadata(client: Client) -> None:
    request = m.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "p/mlp"
    answer = client("GetModelMetadata", request, m.GetModelMetadataResponse)
    packed = answer.metadata["signature_def"]
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    signature = m.SignatureDefMap.FromString(packed.value).signature_def["serving_default"]
    x = signature.inputs["x"]
    assert (x.dtype, [dim.size for dim in x.tensor_shape.dim]) == (DTYPES["FP32"], [-1, 8])
    assert list(signature.outputs) == ["y"]
    assert signature.method_name == "tensorflow/serving/predict"


def test_metadata_of_another_kind(client: Client) -> None:
    request = m.GetModelMetadataRequest(metadata_field=["other"])
    request.model_spec.name = "p/mlp"
    code, _ = refusal(lambda: client("GetModelMetadata", request, m.GetModelMetadataResponse))
    assert code is CODE.INVALID_ARGUMENT


def test_status(client: Client) -> None:
    request = m.GetModelStatusRequest()
    request.model_spec.name = "p/mlp"
    answer = client("GetModelStatus", request, m.GetModelStatusResponse, "ModelService")
    (status,) = answer.model_version_status
    assert (status.version, status.state, status.status.error_code) == (1, m.AVAILABLE, 0)
    request.model_spec.version.value = 9
    code, text = refusal(
        lambda: client("GetModelStatus", request, m.GetModelStatusResponse, "ModelService")
    )
    assert (code, "serves version 1, not '9'" in text) == (CODE.NOT_FOUND, True)


def test_the_status_of_a_revision_that_failed(tmp_path: Path, start: Callable[..., kit.Server]) -> None:
    revision = kit.revision(kit.mlp(tmp_path / "m.onnx"), version=4)
    (tmp_path / "m.onnx").unlink()
    kit.write_routes(tmp_path, {"p/gone": revision})
    made = Client(start().wait().port)
    request = m.GetModelStatusRequest()
    request.model_spec.name = "gone"
    answer = made("GetModelStatus", request, m.GetModelStatusResponse, "ModelService")
    (status,) = answer.model_version_status
    assert (status.version, status.state) == (4, m.END)
    assert "is not there" in status.status.error_message
    code, _ = refusal(lambda: made.predict("gone", x=np.zeros((1, 8))))
    assert code is CODE.UNAVAILABLE


def test_configuration_is_not_taken(client: Client) -> None:
    code, text = refusal(
        lambda: client(
            "HandleReloadConfigRequest", m.GetModelStatusRequest(), m.GetModelStatusResponse, "ModelService"
        )
    )
    assert (code, "nacre deploy" in text) == (CODE.UNIMPLEMENTED, True)
