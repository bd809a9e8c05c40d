"""Open Inference Protocol v2 over REST, with Triton's binary tensor extension.

Pure functions from the bytes of a request to arrays, and from arrays to the bytes of the answer.
A body is JSON, or JSON followed by raw tensors when the header ``Inference-Header-Content-Length``
gives the length of the JSON; a length of 0 means that the body is the only input, raw.
A batcher goes between :func:`decode` and :func:`encode`.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import orjson

from nacre.modelserver.tensors import (
    NUMPY,
    Array,
    TensorError,
    from_binary,
    from_json,
    to_binary,
    to_json_strings,
    to_json_values,
)
from nacre.schema.serving import Signature, TensorSpec

EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "onnxruntime_onnx"
_MAX_RANK = 64
_JSON = orjson.OPT_SERIALIZE_NUMPY


class BadRequest(Exception):
    """The request is at fault; the text is the sentence for its sender."""


class Interface:
    """A model's name, version and tensors, looked up by name for every request."""

    def __init__(self, model: str, version: str, signature: Signature) -> None:
        self.model = model
        self.version = version
        self.inputs: dict[str, TensorSpec] = {spec.name: spec for spec in signature.inputs}
        self.outputs: dict[str, TensorSpec] = {spec.name: spec for spec in signature.outputs}
        self.output_names: list[str] = list(self.outputs)

    def metadata(self) -> dict[str, Any]:
        """The body of ``GET /v2/models/{model}``."""
        return {
            "name": self.model,
            "versions": [self.version],
            "platform": PLATFORM,
            "inputs": [spec.model_dump() for spec in self.inputs.values()],
            "outputs": [spec.model_dump() for spec in self.outputs.values()],
        }


@dataclass(slots=True)
class Call:
    """One inference, decoded."""

    feed: dict[str, Array]
    outputs: list[str]
    binary: set[str] = field(default_factory=set)
    id: str | None = None


def decode(body: bytes, header_length: int | None, interface: Interface) -> Call:
    """What the request asks for. Raises :class:`BadRequest` naming what was expected."""
    if header_length == 0:
        return _raw(body, interface)
    if header_length is None:
        head, tail = body, memoryview(b"")
    elif header_length > len(body):
        raise BadRequest(
            f"Inference-Header-Content-Length is {header_length}, but the body has only {len(body)} bytes"
        )
    else:
        view = memoryview(body)
        head, tail = bytes(view[:header_length]), view[header_length:]
    request = _parse(head)
    feed = _inputs(request, tail, interface)
    call = Call(feed, interface.output_names, id=_id(request))
    _choose_outputs(request, interface, call)
    return call


def _parse(head: bytes) -> dict[str, Any]:
    try:
        request = orjson.loads(head)
    except orjson.JSONDecodeError as error:
        request = _parse_lenient(head, error)
    if not isinstance(request, dict):
        raise BadRequest('the body has to be a JSON object with a list "inputs"')
    return request


def _parse_lenient(head: bytes, error: orjson.JSONDecodeError) -> Any:
    """Once more for the bare NaN and Infinity tokens that Python and Triton clients write."""
    try:
        if b"NaN" in head or b"Infinity" in head:
            return json.loads(head)
    except (ValueError, RecursionError):
        pass
    raise BadRequest(
        f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}; binary "
        "tensors after the JSON need the header Inference-Header-Content-Length"
    ) from error


def _id(request: dict[str, Any]) -> str | None:
    value = request.get("id")
    if value is None or isinstance(value, str):
        return value
    raise BadRequest('"id" has to be text')


def _inputs(request: dict[str, Any], tail: memoryview, interface: Interface) -> dict[str, Array]:
    given = request.get("inputs")
    if not isinstance(given, list):
        raise BadRequest(f'"inputs" has to be a list of tensors; {_expected(interface)}')
    feed: dict[str, Array] = {}
    at = 0
    for item in given:
        if not isinstance(item, dict):
            raise BadRequest(f'each of "inputs" has to be an object; {_expected(interface)}')
        name = item.get("name")
        spec = interface.inputs.get(name) if isinstance(name, str) else None
        if spec is None:
            raise BadRequest(f"there is no input {name!r}; {_expected(interface)}")
        if name in feed:
            raise BadRequest(f"input '{name}' is given twice")
        feed[spec.name], size = _tensor(item, spec, tail[at:])
        at += size
    if len(feed) != len(interface.inputs):
        missing = ", ".join(f"'{name}'" for name in interface.inputs if name not in feed)
        raise BadRequest(f"input {missing} is missing; {_expected(interface)}")
    if at != tail.nbytes:
        raise BadRequest(f"{tail.nbytes - at} bytes follow the tensors that binary_data_size announced")
    return feed


def _tensor(item: dict[str, Any], spec: TensorSpec, tail: memoryview) -> tuple[Array, int]:
    """The array of one input, and how many bytes of the binary part it took."""
    datatype = item.get("datatype")
    if datatype != spec.datatype:
        raise BadRequest(f"input '{spec.name}' has datatype {datatype!r} where {spec.datatype} is expected")
    shape = _shape(item, spec)
    count = math.prod(shape)
    size = _binary_size(item, spec)
    try:
        if size is None:
            if "data" not in item:
                raise BadRequest(f"input '{spec.name}' has no \"data\"")
            return from_json(item["data"], spec.datatype, count).reshape(shape), 0
        if "data" in item:
            raise BadRequest(f"input '{spec.name}' has both data and binary_data_size: send one")
        if size > tail.nbytes:
            raise BadRequest(f"input '{spec.name}' announces {size} bytes, but only {tail.nbytes} are left")
        return from_binary(tail[:size], spec.datatype, count).reshape(shape), size
    except TensorError as error:
        raise BadRequest(f"data of input '{spec.name}' {error}") from error


def _shape(item: dict[str, Any], spec: TensorSpec) -> list[int]:
    shape = item.get("shape")
    if not isinstance(shape, list) or any(type(size) is not int or size < 0 for size in shape):
        raise BadRequest(
            f"input '{spec.name}' needs a \"shape\", a list of whole numbers like {spec.shape}"
        )
    # An empty shape in the signature also stands for a rank that the model leaves open.
    if spec.shape and not fits(shape, spec.shape):
        raise BadRequest(
            f"input '{spec.name}' has shape {shape} where {spec.shape} is expected"
            + (" (-1 is any size)" if -1 in spec.shape else "")
        )
    if len(shape) > _MAX_RANK or math.prod(shape or [1]) > 2**48:
        raise BadRequest(f"input '{spec.name}' has a shape that is too large")
    return shape


def fits(shape: list[int], wanted: list[int]) -> bool:
    """Whether a shape is one of those that ``wanted`` (with -1 for any size) allows."""
    return len(shape) == len(wanted) and all(
        size == want or want < 0 for size, want in zip(shape, wanted, strict=True)
    )


def _binary_size(item: dict[str, Any], spec: TensorSpec) -> int | None:
    parameters = item.get("parameters")
    if parameters is None:
        return None
    if not isinstance(parameters, dict):
        raise BadRequest(f"parameters of input '{spec.name}' have to be an object")
    if "shared_memory_region" in parameters:
        raise BadRequest(f"input '{spec.name}' asks for shared memory, which is not offered here")
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise BadRequest(f"binary_data_size of input '{spec.name}' has to be a number of bytes")
    return size


def _choose_outputs(request: dict[str, Any], interface: Interface, call: Call) -> None:
    parameters = request.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise BadRequest('"parameters" have to be an object')
    binary = bool(parameters and _flag(parameters, "binary_data_output"))
    asked = request.get("outputs")
    if not asked:
        if asked is not None and not isinstance(asked, list):
            raise BadRequest('"outputs" has to be a list')
        call.binary = set(call.outputs) if binary else set()
        return
    if not isinstance(asked, list):
        raise BadRequest('"outputs" has to be a list')
    names: list[str] = []
    for item in asked:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name not in interface.outputs:
            raise BadRequest(f"there is no output {name!r}; the outputs are {_names(interface)}")
        if name in names:
            raise BadRequest(f"output '{name}' is asked for twice")
        names.append(name)
        own = item.get("parameters") or {}
        if not isinstance(own, dict):
            raise BadRequest(f"parameters of output '{name}' have to be an object")
        for unknown in ("classification", "shared_memory_region"):
            if own.get(unknown):
                raise BadRequest(f"output '{name}' asks for {unknown}, which is not offered here")
        if _flag(own, "binary_data") if "binary_data" in own else binary:
            call.binary.add(name)
    call.outputs = names


def _flag(parameters: dict[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"parameter {name} has to be true or false")
    return value


def _raw(body: bytes, interface: Interface) -> Call:
    """A body without JSON: the one input, its shape from the signature and the length."""
    if len(interface.inputs) != 1:
        raise BadRequest(
            "Inference-Header-Content-Length 0 means that the body is the only input, but this "
            f"model has {len(interface.inputs)}; {_expected(interface)}"
        )
    (spec,) = interface.inputs.values()
    open_at = [at for at, size in enumerate(spec.shape) if size < 0]
    shape = [1 if size < 0 else size for size in spec.shape]
    if spec.datatype != "BYTES" and open_at:
        if len(open_at) > 2:
            raise BadRequest(
                f"the shape of input '{spec.name}', {spec.shape}, cannot be told from the number "
                "of bytes: send it as JSON with binary_data_size"
            )
        # As in Triton, a second open dimension in front is a batch of one.
        shape[open_at[-1]] = len(body) // (NUMPY[spec.datatype].itemsize * math.prod(shape) or 1)
    try:
        array = from_binary(memoryview(body), spec.datatype, math.prod(shape))
    except TensorError as error:
        raise BadRequest(f"data of input '{spec.name}' {error}") from error
    return Call({spec.name: array.reshape(shape)}, interface.output_names, set(interface.outputs))


def _expected(interface: Interface) -> str:
    listed = "; ".join(f"'{spec.name}' {spec.datatype} {spec.shape}" for spec in interface.inputs.values())
    return f"expected: {listed}"


def _names(interface: Interface) -> str:
    return ", ".join(f"'{name}'" for name in interface.outputs)


def encode(call: Call, arrays: list[Any], interface: Interface) -> tuple[bytes, int | None]:
    """The answer's body, and the length of its JSON when raw tensors follow it.

    Floats that are not finite are written as the strings ``"NaN"``, ``"Infinity"`` and
    ``"-Infinity"``: valid JSON, nothing lost, and NumPy, Python and Triton's clients read them.
    """
    outputs: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for name, array in zip(call.outputs, arrays, strict=True):
        datatype = interface.outputs[name].datatype
        tensor: dict[str, Any] = {"name": name, "datatype": datatype, "shape": array.shape}
        if name in call.binary:
            raw = to_binary(array, datatype)
            tail.append(raw)
            tensor["parameters"] = {"binary_data_size": len(raw)}
        elif datatype == "FP16":
            raise BadRequest(
                f"output '{name}' of datatype FP16 has no JSON form: ask for it with the "
                'parameter "binary_data": true'
            )
        else:
            tensor["data"] = to_json_values(array, datatype)
        outputs.append(tensor)
    answer: dict[str, Any] = {"model_name": interface.model, "model_version": interface.version}
    if call.id is not None:
        answer["id"] = call.id
    answer["outputs"] = outputs
    head = _dump(answer)
    if not call.binary:
        return head, None
    return b"".join((head, *tail)), len(head)


def _dump(answer: dict[str, Any]) -> bytes:
    text = orjson.dumps(answer, option=_JSON)
    # orjson writes null for a float that is not finite; a name with "null" costs only time.
    if b"null" not in text:
        return text
    for tensor in answer["outputs"]:
        data = tensor.get("data")
        if tensor["datatype"] in {"FP32", "FP64"} and data is not None:
            tensor["data"] = to_json_strings(data)
    return orjson.dumps(answer, option=_JSON)
