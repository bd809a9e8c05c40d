"""Messages of ``inference.GRPCInferenceService``.

Numbers from KServe's ``grpc_predict_v2.proto`` and, for what that lacks, Triton's
``grpc_service.proto`` and ``model_config.proto``.
"""

from __future__ import annotations

from nacre.modelserver.grpc.messages import build

_MESSAGES = build(
    "inference",
    """
    ServerLiveResponse
      1 bool live
    ServerReadyResponse
      1 bool ready
    ModelReadyRequest
      1 string name
      2 string version
    ModelReadyResponse
      1 bool ready
    ServerMetadataResponse
      1 string name
      2 string version
      3 repeated string extensions
    ModelMetadataRequest
      1 string name
      2 string version
    TensorMetadata
      1 string name
      2 string datatype
      3 repeated int64 shape
    ModelMetadataResponse
      1 string name
      2 repeated string versions
      3 string platform
      4 repeated TensorMetadata inputs
      5 repeated TensorMetadata outputs

    InferParameter
      1 bool bool_param
      2 int64 int64_param
      3 string string_param
      4 double double_param
      5 uint64 uint64_param
    InferTensorContents
      1 repeated bool bool_contents
      2 repeated int32 int_contents
      3 repeated int64 int64_contents
      4 repeated uint32 uint_contents
      5 repeated uint64 uint64_contents
      6 repeated float fp32_contents
      7 repeated double fp64_contents
      8 repeated bytes bytes_contents
    InferTensor
      1 string name
      2 string datatype
      3 repeated int64 shape
      4 map InferParameter parameters
      5 InferTensorContents contents
    InferRequestedOutputTensor
      1 string name
      2 map InferParameter parameters
    ModelInferRequest
      1 string model_name
      2 string model_version
      3 string id
      4 map InferParameter parameters
      5 repeated InferTensor inputs
      6 repeated InferRequestedOutputTensor outputs
    ModelInferResponse
      1 string model_name
      2 string model_version
      3 string id
      4 map InferParameter parameters
      5 repeated InferTensor outputs
    ModelStreamInferResponse
      1 string error_message

    ModelConfigRequest
      1 string name
      2 string version
    ModelInput
      1 string name
      2 int32 data_type
      4 repeated int64 dims
    ModelOutput
      1 string name
      2 int32 data_type
      3 repeated int64 dims
    ModelConfig
      1 string name
      2 string platform
      4 int32 max_batch_size
      5 repeated ModelInput input
      6 repeated ModelOutput output
      17 string backend
    ModelConfigResponse
      1 ModelConfig config

    RepositoryIndexRequest
      1 string repository_name
      2 bool ready
    ModelIndex
      1 string name
      2 string version
      3 string state
      4 string reason
    RepositoryIndexResponse
      1 repeated ModelIndex models
    """,
)

ServerLiveResponse = _MESSAGES["ServerLiveResponse"]
ServerReadyResponse = _MESSAGES["ServerReadyResponse"]
ModelReadyRequest = _MESSAGES["ModelReadyRequest"]
ModelReadyResponse = _MESSAGES["ModelReadyResponse"]
ServerMetadataResponse = _MESSAGES["ServerMetadataResponse"]
ModelMetadataRequest = _MESSAGES["ModelMetadataRequest"]
ModelMetadataResponse = _MESSAGES["ModelMetadataResponse"]
ModelInferRequest = _MESSAGES["ModelInferRequest"]
ModelInferResponse = _MESSAGES["ModelInferResponse"]
ModelStreamInferResponse = _MESSAGES["ModelStreamInferResponse"]
ModelConfigRequest = _MESSAGES["ModelConfigRequest"]
ModelConfigResponse = _MESSAGES["ModelConfigResponse"]
RepositoryIndexRequest = _MESSAGES["RepositoryIndexRequest"]
RepositoryIndexResponse = _MESSAGES["RepositoryIndexResponse"]

RAW_INPUT = 7
"""``ModelInferRequest.raw_input_contents``: read by :mod:`.wire`, so that tensors are not copied."""
RAW_OUTPUT = 6
"""``ModelInferResponse.raw_output_contents``: written by :mod:`.wire`."""
INFER_RESPONSE = 2
"""``ModelStreamInferResponse.infer_response``: written by :mod:`.wire`."""

CONFIG_TYPES = {
    "BOOL": 1,
    "UINT8": 2,
    "UINT16": 3,
    "UINT32": 4,
    "UINT64": 5,
    "INT8": 6,
    "INT16": 7,
    "INT32": 8,
    "INT64": 9,
    "FP16": 10,
    "FP32": 11,
    "FP64": 12,
    "BYTES": 13,
}
"""Triton's ``DataType``."""
