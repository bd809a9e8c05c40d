"""The Open Inference Protocol over gRPC: ``inference.GRPCInferenceService``, with Triton's additions.

Tensors come and go as raw bytes (``raw_input_contents``, ``raw_output_contents``) or as typed numbers:
the answer has the form of the request, which is what KServe's and Triton's clients expect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import BadRequest, Call, Interface, expected
from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.grpc import inference_messages as m
from nacre.modelserver.grpc import repeated, wire
from nacre.modelserver.grpc.caller import Caller
from nacre.modelserver.grpc.methods import Answer, Cancel, Method
from nacre.modelserver.grpc.parse import check_shape, parse
from nacre.modelserver.grpc.typed import encoded, numbers, octets, strings
from nacre.modelserver.protocols import v2
from nacre.modelserver.tensors import Array, TensorError, from_binary, to_binary
from nacre.schema.serving import TensorSpec

_EXTENSIONS = ["model_configuration", "model_repository"]
_FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_STATES = {"ready": "READY", "unloaded": "READY", "loading": "LOADING", "failed": "UNAVAILABLE"}


class InferCall(Call):
    """An inference. ``raw``: its tensors came as raw bytes."""

    __slots__ = ("raw",)

    def __init__(self, feed: dict[str, Array], outputs: list[str], raw: bool) -> None:
        super().__init__(feed, outputs)
        self.raw = raw


# ---- requests


def decode(request: Any, raws: Sequence[memoryview], interface: Interface) -> InferCall:
    """The arrays of a request whose raw tensors have been taken out. Raises :class:`BadRequest`."""
    given = request.inputs
    raw = bool(raws)
    if raw and len(raws) != len(given):
        raise BadRequest(
            f"raw_input_contents has {len(raws)} tensors where inputs has {len(given)}; "
            f"{expected(interface)}"
        )
    feed: dict[str, Array] = {}
    for at, tensor in enumerate(given):
        spec = interface.inputs.get(tensor.name)
        if spec is None:
            raise BadRequest(f"there is no input {tensor.name!r}; {expected(interface)}")
        if spec.name in feed:
            raise BadRequest(f"input '{spec.name}' is given twice")
        feed[spec.name] = _array(tensor, raws[at] if raw else None, spec)
    if len(feed) != len(interface.inputs):
        missing = ", ".join(f"'{name}'" for name in interface.inputs if name not in feed)
        raise BadRequest(f"input {missing} is missing; {expected(interface)}")
    return InferCall(feed, _outputs(request, interface), raw)


def _array(tensor: Any, raw: memoryview | None, spec: TensorSpec) -> Array:
    if tensor.datatype != spec.datatype:
        raise BadRequest(
            f"input '{spec.name}' has datatype {tensor.datatype!r} where {spec.datatype} is expected"
        )
    if tensor.parameters and "shared_memory_region" in tensor.parameters:
        raise BadRequest(f"input '{spec.name}' asks for shared memory, which is not offered here")
    shape = check_shape(list(tensor.shape), spec)
    count = math.prod(shape)
    try:
        if raw is None:
            array = _typed(tensor.contents, spec, count)
        elif tensor.HasField("contents"):
            raise BadRequest(f"input '{spec.name}' has both contents and raw_input_contents: send one")
        else:
            array = from_binary(raw, spec.datatype, count)
    except TensorError as error:
        raise BadRequest(f"data of input '{spec.name}' {error}") from error
    return array.reshape(shape)


def _typed(contents: Any, spec: TensorSpec, count: int) -> Array:
    field = _FIELDS.get(spec.datatype)
    if field is None:
        raise TensorError(f"of datatype {spec.datatype} has no typed form: send it in raw_input_contents")
    for other, _ in contents.ListFields():
        if other.name != field:
            raise TensorError(f"is in {other.name}, but {spec.datatype} belongs in {field}")
    values = getattr(contents, field)
    if len(values) != count:
        raise TensorError(f"has {len(values)} elements in {field} where its shape asks for {count}")
    return strings(values) if spec.datatype == "BYTES" else numbers(values, spec.datatype)


def _outputs(request: Any, interface: Interface) -> list[str]:
    if not request.outputs:
        return interface.output_names
    names: list[str] = []
    for output in request.outputs:
        name = output.name
        if name not in interface.outputs:
            there = ", ".join(f"'{one}'" for one in interface.outputs)
            raise BadRequest(f"there is no output {name!r}; the outputs are {there}")
        if name in names:
            raise BadRequest(f"output '{name}' is asked for twice")
        for unknown in ("classification", "shared_memory_region"):
            if output.parameters and unknown in output.parameters:
                raise BadRequest(f"output '{name}' asks for {unknown}, which is not offered here")
        names.append(name)
    return names


# ---- answers


def encode(request: Any, call: InferCall, arrays: Sequence[Array], interface: Interface) -> bytes:
    """The answer's message."""
    datatypes = [interface.outputs[name].datatype for name in call.outputs]
    if call.raw and not request.id and "BYTES" not in datatypes:
        return repeated.answer(call.outputs, request.model_name, arrays, interface)
    answer = m.ModelInferResponse(
        model_name=request.model_name, model_version=interface.version, id=request.id
    )
    # A datatype without a typed form makes the whole answer raw: the two do not mix.
    raw = call.raw or "FP16" in datatypes
    contents: list[memoryview | bytes] = []
    for name, array, datatype in zip(call.outputs, arrays, datatypes, strict=True):
        tensor = answer.outputs.add(name=name, datatype=datatype)
        tensor.shape.extend(array.shape)
        if not raw:
            values = encoded(array) if datatype == "BYTES" else array.ravel().tolist()
            getattr(tensor.contents, _FIELDS[datatype]).extend(values)
        elif datatype == "BYTES":
            contents.append(to_binary(array, datatype))
        else:
            contents.append(octets(array, datatype))
    return wire.join(answer.SerializeToString(), m.RAW_OUTPUT, contents)


# ---- methods


def infer(caller: Caller, message: bytes, answer: Answer) -> Cancel | None:
    """``ModelInfer``."""
    rest, raws = wire.take(message, m.RAW_INPUT)
    request = repeated.parsed(rest)
    endpoint = caller.endpoint(request.model_name)

    def make(interface: Interface) -> InferCall:
        plan = repeated.plan(rest, interface)
        feed = plan.feed(raws) if plan is not None else None
        if plan is not None and feed is not None:
            return InferCall(feed, plan.outputs, True)
        call = decode(request, raws, interface)
        if call.raw:
            repeated.remember(rest, request, call, interface)
        return call

    def finish(call: InferCall, interface: Interface, arrays: list[Array]) -> bytes:
        return encode(request, call, arrays, interface)

    return caller.ask(endpoint, request.model_version, make, finish, len(message), answer)


def stream_infer(caller: Caller, message: bytes, answer: Answer) -> Cancel | None:
    """``ModelStreamInfer``: an error is an answer too, after which the stream goes on."""

    def wrapped(outcome: bytes | Exception) -> None:
        if isinstance(outcome, BadRequest | Refused):
            outcome = _failed(message, str(outcome))
        elif isinstance(outcome, bytes):
            outcome = wire.join(b"", m.INFER_RESPONSE, [outcome])
        answer(outcome)

    try:
        return infer(caller, message, wrapped)
    except (BadRequest, Refused) as wrong:
        wrapped(wrong)
        return None


def _failed(message: bytes, text: str) -> bytes:
    """With the request's id, by which the client tells which one it was."""
    try:
        request = parse(m.ModelInferRequest, wire.take(message, m.RAW_INPUT)[0])
        response = m.ModelInferResponse(id=request.id, model_name=request.model_name).SerializeToString()
    except BadRequest:
        response = b""
    return wire.join(
        m.ModelStreamInferResponse(error_message=text).SerializeToString(), m.INFER_RESPONSE, [response]
    )


def server_live(_: Caller, __: bytes) -> bytes:
    """``ServerLive``."""
    return bytes(m.ServerLiveResponse(live=True).SerializeToString())


def server_ready(_: Caller, __: bytes) -> bytes:
    """``ServerReady``: it answers, so it is."""
    return bytes(m.ServerReadyResponse(ready=True).SerializeToString())


def server_metadata(_: Caller, __: bytes) -> bytes:
    """``ServerMetadata``."""
    answer = m.ServerMetadataResponse(name="nacre", version="2", extensions=_EXTENSIONS)
    return bytes(answer.SerializeToString())


def model_ready(caller: Caller, message: bytes) -> bytes:
    """``ModelReady``: no model of that name or version is one that is not ready."""
    request = parse(m.ModelReadyRequest, message)
    try:
        caller.interface(caller.endpoint(request.name), request.version)
        ready = True
    except Refused as wrong:
        if wrong.status not in (404, 503):
            raise
        ready = False
    return bytes(m.ModelReadyResponse(ready=ready).SerializeToString())


def model_metadata(caller: Caller, message: bytes) -> bytes:
    """``ModelMetadata``."""
    request = parse(m.ModelMetadataRequest, message)
    endpoint = caller.endpoint(request.name)
    interface = caller.interface(endpoint, request.version)
    answer = m.ModelMetadataResponse(
        name=request.name, platform=v2.PLATFORM, versions=_versions(endpoint, interface)
    )
    for specs, tensors in ((interface.inputs, answer.inputs), (interface.outputs, answer.outputs)):
        for spec in specs.values():
            tensors.add(name=spec.name, datatype=spec.datatype, shape=spec.shape)
    return bytes(answer.SerializeToString())


def _versions(endpoint: Endpoint, interface: Interface) -> list[str]:
    answering = {
        version for version, state in endpoint.view(None).versions if state in ("ready", "unloaded")
    }
    return sorted({interface.version, *answering}, key=int)


def model_config(caller: Caller, message: bytes) -> bytes:
    """``ModelConfig``, of Triton: where ``max_batch_size`` is not 0, ``dims`` lack the first dimension."""
    request = parse(m.ModelConfigRequest, message)
    endpoint = caller.endpoint(request.name)
    interface = caller.interface(endpoint, request.version)
    specs = [*interface.inputs.values(), *interface.outputs.values()]
    batched = all(spec.shape[:1] == [-1] for spec in specs)
    answer = m.ModelConfigResponse()
    config = answer.config
    config.name, config.platform, config.backend = request.name, v2.PLATFORM, "onnxruntime"
    config.max_batch_size = _max_batch(endpoint) if batched else 0
    for own, tensors in ((interface.inputs, config.input), (interface.outputs, config.output)):
        for spec in own.values():
            dims = spec.shape[1:] if batched else spec.shape
            tensors.add(name=spec.name, data_type=m.CONFIG_TYPES[spec.datatype], dims=dims)
    return bytes(answer.SerializeToString())


def _max_batch(endpoint: Endpoint) -> int:
    return max(one.bounds()["max_batch"] for one in endpoint.revisions.values())


def repository_index(caller: Caller, message: bytes) -> bytes:
    """``RepositoryIndex``: the endpoints that the token may call, with their versions."""
    request = parse(m.RepositoryIndexRequest, message)
    answer = m.RepositoryIndexResponse()
    for endpoint in caller.all():
        view = endpoint.view(endpoint.pick())
        for version, state in view.versions:
            told = _STATES[state]
            if told == "READY" or not request.ready:
                reason = (view.message or "") if told == "UNAVAILABLE" else ""
                answer.models.add(name=endpoint.key, version=version, state=told, reason=reason)
    return bytes(answer.SerializeToString())


SERVICES = {
    "inference.GRPCInferenceService": {
        "ServerLive": Method(tell=server_live, open=True),
        "ServerReady": Method(tell=server_ready, open=True),
        "ServerMetadata": Method(tell=server_metadata, open=True),
        "ModelReady": Method(tell=model_ready),
        "ModelMetadata": Method(tell=model_metadata),
        "ModelInfer": Method(ask=infer),
        "ModelStreamInfer": Method(ask=stream_infer, many=True),
        "ModelConfig": Method(tell=model_config),
        "RepositoryIndex": Method(tell=repository_index),
    }
}
