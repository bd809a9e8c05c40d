"""TensorFlow Serving's own client against an endpoint: prints what it got as JSON.

Arguments: address, model, token. Runs where ``tensorflow-serving-api`` is.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf import descriptor_pool
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from nacre.modelserver.grpc import prediction_messages

PACKAGES = ("tensorflow.serving", "tensorflow", "google.protobuf")
ENUM, INT32 = 14, 5


def differences() -> list[str]:
    """Where the server's tables are not what TensorFlow's descriptors say."""
    found = []
    for name, ours in prediction_messages._MESSAGES.items():
        theirs = published(name)
        for field in ours.DESCRIPTOR.fields:
            other = theirs.fields_by_name[field.name]
            kind = INT32 if other.type == ENUM else other.type
            if (field.number, field.type, field.is_repeated) != (other.number, kind, other.is_repeated):
                found.append(field.full_name)
    for name, number in prediction_messages.DTYPES.items():
        tensorflow = {"BYTES": "STRING", "FP16": "HALF", "FP32": "FLOAT", "FP64": "DOUBLE"}.get(name, name)
        if types_pb2.DataType.Value(f"DT_{tensorflow}") != number:
            found.append(name)
    return found


def published(name: str) -> Any:
    """TensorFlow's own message of this name."""
    pool = descriptor_pool.Default()
    full = {"Dim": "TensorShapeProto.Dim"}.get(name, name)
    for package in PACKAGES:
        try:
            return pool.FindMessageTypeByName(f"{package}.{full}")
        except KeyError:
            continue
    raise AssertionError(f"TensorFlow has no {name}")


def main(address: str, model: str, token: str) -> dict[str, Any]:
    channel = grpc.insecure_channel(address)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    metadata = [("authorization", f"Bearer {token}")]
    told: dict[str, Any] = {"differences": differences()}

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    x = tf.constant([[1.5, -2.0], [0.25, 3e38]], tf.float32)
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(x))
    assert request.inputs["x"].tensor_content
    answer = stub.Predict(request, 20, metadata=metadata)
    told["predict"] = tf.make_ndarray(answer.outputs["y"]).astype(float).tolist()
    told["version"] = answer.model_spec.version.value

    request.inputs["x"].CopyFrom(tf.make_tensor_proto(7.0, shape=[1, 2]))  # one value for both
    assert len(request.inputs["x"].float_val) == 1
    answer = stub.Predict(request, 20, metadata=metadata)
    told["repeated"] = tf.make_ndarray(answer.outputs["y"]).tolist()

    features = {"x": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5, 4.0]))}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    classify = classification_pb2.ClassificationRequest()
    classify.model_spec.name = model
    classify.input.example_list.examples.append(example)
    result = stub.Classify(classify, 20, metadata=metadata).result
    told["classify"] = [[(one.label, one.score) for one in row.classes] for row in result.classifications]

    many = inference_pb2.MultiInferenceRequest(input=classify.input)
    many.tasks.add(method_name="tensorflow/serving/classify").model_spec.name = model
    results = stub.MultiInference(many, 20, metadata=metadata).results
    told["multi"] = [one.score for one in results[0].classification_result.classifications[0].classes]

    about = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    about.model_spec.name = model
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert stub.GetModelMetadata(about, 20, metadata=metadata).metadata["signature_def"].Unpack(signatures)
    info = signatures.signature_def["serving_default"].inputs["x"]
    told["metadata"] = [tf.as_dtype(info.dtype).name, [dim.size for dim in info.tensor_shape.dim]]

    models = model_service_pb2_grpc.ModelServiceStub(channel)
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = model
    told["status"] = [
        (one.version, get_model_status_pb2.ModelVersionStatus.State.Name(one.state), one.status.error_code)
        for one in models.GetModelStatus(status, 20, metadata=metadata).model_version_status
    ]

    regress = regression_pb2.RegressionRequest(input=classify.input)
    regress.model_spec.name = model
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([[1, 2]], tf.int32))
    told["refused"] = {
        "regress": refused(lambda: stub.Regress(regress, 20, metadata=metadata)),
        "datatype": refused(lambda: stub.Predict(request, 20, metadata=metadata)),
        "token": refused(lambda: stub.Predict(request, 20)),
        "reload": refused(
            lambda: models.HandleReloadConfigRequest(
                model_management_pb2.ReloadConfigRequest(), 20, metadata=metadata
            )
        ),
    }
    return told


def refused(call: Any) -> list[str]:
    try:
        call()
    except grpc.RpcError as error:
        return [error.code().name, error.details()]
    raise AssertionError("it was answered")


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
