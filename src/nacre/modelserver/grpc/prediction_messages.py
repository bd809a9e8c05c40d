"""Messages of ``tensorflow.serving.PredictionService`` and ``ModelService``.

Numbers from TensorFlow Serving's ``apis/*.proto`` and TensorFlow's ``tensor.proto``, ``types.proto``,
``example.proto``, ``feature.proto`` and ``meta_graph.proto``.
"""

from __future__ import annotations

from nacre.modelserver.grpc.messages import build

_MESSAGES = build(
    "tensorflow.serving",
    """
    Int64Value
      1 int64 value
    Any
      1 string type_url
      2 bytes value
    ModelSpec
      1 string name
      2 Int64Value version
      3 string signature_name
      4 string version_label

    Dim
      1 int64 size
    TensorShapeProto
      2 repeated Dim dim
      3 bool unknown_rank
    TensorProto
      1 int32 dtype
      2 TensorShapeProto tensor_shape
      4 bytes tensor_content
      5 repeated float float_val
      6 repeated double double_val
      7 repeated int32 int_val
      8 repeated bytes string_val
      10 repeated int64 int64_val
      11 repeated bool bool_val
      13 repeated int32 half_val
      16 repeated uint32 uint32_val
      17 repeated uint64 uint64_val
    PredictRequest
      1 ModelSpec model_spec
      2 map TensorProto inputs
      3 repeated string output_filter
    PredictResponse
      1 map TensorProto outputs
      2 ModelSpec model_spec

    BytesList
      1 repeated bytes value
    FloatList
      1 repeated float value
    Int64List
      1 repeated int64 value
    Feature
      1 BytesList bytes_list
      2 FloatList float_list
      3 Int64List int64_list
    Features
      1 map Feature feature
    Example
      1 Features features
    ExampleList
      1 repeated Example examples
    ExampleListWithContext
      1 repeated Example examples
      2 Example context
    Input
      1 ExampleList example_list
      2 ExampleListWithContext example_list_with_context

    Class
      1 string label
      2 float score
    Classifications
      1 repeated Class classes
    ClassificationResult
      1 repeated Classifications classifications
    ClassificationRequest
      1 ModelSpec model_spec
      2 Input input
    ClassificationResponse
      1 ClassificationResult result
      2 ModelSpec model_spec

    Regression
      1 float value
    RegressionResult
      1 repeated Regression regressions
    RegressionRequest
      1 ModelSpec model_spec
      2 Input input
    RegressionResponse
      1 RegressionResult result
      2 ModelSpec model_spec

    InferenceTask
      1 ModelSpec model_spec
      2 string method_name
    InferenceResult
      1 ModelSpec model_spec
      2 ClassificationResult classification_result
      3 RegressionResult regression_result
    MultiInferenceRequest
      1 repeated InferenceTask tasks
      2 Input input
    MultiInferenceResponse
      1 repeated InferenceResult results

    TensorInfo
      1 string name
      2 int32 dtype
      3 TensorShapeProto tensor_shape
    SignatureDef
      1 map TensorInfo inputs
      2 map TensorInfo outputs
      3 string method_name
    SignatureDefMap
      1 map SignatureDef signature_def
    GetModelMetadataRequest
      1 ModelSpec model_spec
      2 repeated string metadata_field
    GetModelMetadataResponse
      1 ModelSpec model_spec
      2 map Any metadata

    StatusProto
      1 int32 error_code
      2 string error_message
    ModelVersionStatus
      1 int64 version
      2 int32 state
      3 StatusProto status
    GetModelStatusRequest
      1 ModelSpec model_spec
    GetModelStatusResponse
      1 repeated ModelVersionStatus model_version_status
    """,
)

PredictRequest = _MESSAGES["PredictRequest"]
PredictResponse = _MESSAGES["PredictResponse"]
ClassificationRequest = _MESSAGES["ClassificationRequest"]
ClassificationResponse = _MESSAGES["ClassificationResponse"]
ClassificationResult = _MESSAGES["ClassificationResult"]
RegressionRequest = _MESSAGES["RegressionRequest"]
RegressionResponse = _MESSAGES["RegressionResponse"]
RegressionResult = _MESSAGES["RegressionResult"]
MultiInferenceRequest = _MESSAGES["MultiInferenceRequest"]
MultiInferenceResponse = _MESSAGES["MultiInferenceResponse"]
InferenceResult = _MESSAGES["InferenceResult"]
RESULTS = 1
"""Number of ``results`` in ``MultiInferenceResponse``."""
SignatureDefMap = _MESSAGES["SignatureDefMap"]
GetModelMetadataRequest = _MESSAGES["GetModelMetadataRequest"]
GetModelMetadataResponse = _MESSAGES["GetModelMetadataResponse"]
GetModelStatusRequest = _MESSAGES["GetModelStatusRequest"]
GetModelStatusResponse = _MESSAGES["GetModelStatusResponse"]

SIGNATURES_URL = "type.googleapis.com/tensorflow.serving.SignatureDefMap"

DTYPES = {
    "FP32": 1,
    "FP64": 2,
    "INT32": 3,
    "UINT8": 4,
    "INT16": 5,
    "INT8": 6,
    "BYTES": 7,
    "INT64": 9,
    "BOOL": 10,
    "UINT16": 17,
    "FP16": 19,
    "UINT32": 22,
    "UINT64": 23,
}
"""TensorFlow's ``DataType``."""
FIELDS = {
    "FP32": "float_val",
    "FP64": "double_val",
    "INT32": "int_val",
    "UINT8": "int_val",
    "INT16": "int_val",
    "INT8": "int_val",
    "BYTES": "string_val",
    "INT64": "int64_val",
    "BOOL": "bool_val",
    "UINT16": "int_val",
    "FP16": "half_val",
    "UINT32": "uint32_val",
    "UINT64": "uint64_val",
}
"""The field of ``TensorProto`` for each datatype."""
PACKED = {"FP32": 5, "FP64": 6, "BOOL": 11}
"""Numbers of the fields whose packed form is the tensor's bytes."""

START, LOADING, AVAILABLE, END = 10, 20, 30, 50
"""Of ``ModelVersionStatus.State``."""
UNKNOWN = 2
"""Of ``tensorflow.error.Code``."""
