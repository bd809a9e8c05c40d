"""Open Inference Protocol v2 over REST, with Triton's binary tensor extension.

Pure functions from the bytes of a request to arrays; ``v2_answer`` writes the answer.
A body is JSON, or JSON followed by raw tensors when the header ``Inference-Header-Content-Length``
gives the length of the JSON; a length of 0 means that the body is the only input, raw.
"""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from nacre.modelserver.calls import (
    NO_TENSORS,
    BadRequest,
    Call,
    Interface,
    Parameters,
    Route,
    View,
    expected,
)
from nacre.modelserver.messages import Request, Response, error
from nacre.modelserver.numbers import List, Object, has_lists, numbers, read
from nacre.modelserver.protocols import v2_floats
from nacre.modelserver.protocols.v2_answer import encode
from nacre.modelserver.protocols.v2_binary import Plan, remember
from nacre.modelserver.tensors import (
    NUMPY,
    Array,
    TensorError,
    from_binary,
    from_json,
)
from nacre.schema.serving import TensorSpec

EXTENSIONS = ["binary_tensor_data"]
PLATFORM = "onnxruntime_onnx"
_MAX_RANK = 64
_NONE: frozenset[str] = frozenset()
_BINARY = "application/octet-stream"
_SERVER = orjson.dumps({"name": "nacre", "version": "2", "extensions": EXTENSIONS})
_READY = orjson.dumps({"live": True, "ready": True})
_WAITING = orjson.dumps({"live": True, "ready": False})


class InferCall(Call):
    """A v2 inference. ``binary``: the outputs that are wanted as raw tensors."""

    __slots__ = ("binary", "id")

    def __init__(self, feed: dict[str, Array], outputs: list[str]) -> None:
        super().__init__(feed, outputs)
        self.binary: frozenset[str] = _NONE
        self.id: str | None = None

    def encode(self, arrays: list[Array], interface: Interface) -> Response:
        text, length = encode(self.outputs, self.binary, self.id, arrays, interface)
        if length is None:
            return Response(200, text)
        return Response(200, text, _BINARY, f"Inference-Header-Content-Length: {length}\r\n")


def decode(body: bytes, header_length: int | None, interface: Interface) -> InferCall:
    """What the request asks for. Raises :class:`BadRequest` naming what was expected."""
    if header_length == 0:
        return _raw(body, interface)
    if header_length is None:
        call = _floats(body, interface) or _numbers(body, interface)
        if call is not None:
            return call
        head, tail = body, memoryview(b"")
    elif header_length > len(body):
        raise BadRequest(
            f"Inference-Header-Content-Length is {header_length}, but the body has only {len(body)} bytes"
        )
    else:
        head, tail = body[:header_length], memoryview(body)[header_length:]
        known = _known(head, body, interface)
        if known is not None:
            return known
    request = _parse(head)
    feed = _inputs(request, tail, interface)
    call = InferCall(feed, interface.output_names)
    call.id = _id(request)
    _choose_outputs(request, interface, call)
    if (
        header_length is not None
        and call.id is None
        and all("data" not in one for one in request["inputs"])
    ):
        remember(head, feed, call.outputs, call.binary, interface)
    return call


def _known(head: bytes, body: bytes, interface: Interface) -> InferCall | None:
    plan: Plan | None = interface.plans.get(head)
    if plan is None or (feed := plan.feed(body, len(head))) is None:
        return None
    call = InferCall(feed, plan.outputs)
    call.binary = plan.binary
    return call


def _floats(body: bytes, interface: Interface) -> InferCall | None:
    """A body like one before, but for its numbers."""
    found = v2_floats.known(body, interface)
    if found is None:
        return None
    plan, array = found
    call = InferCall({plan.name: array}, plan.outputs)
    call.binary = plan.binary
    return call


def _numbers(body: bytes, interface: Interface) -> InferCall | None:
    """A body with nothing but numbers in it, as most are; null for all others, right or wrong."""
    request = read(body)
    if request is None:
        return None
    try:
        call = _numeric(request, body, interface)
    except (BadRequest, KeyError, ValueError, TypeError, AttributeError):
        return None
    if call is not None and call.id is None:
        v2_floats.remember(body, call.feed, call.outputs, call.binary, interface)
    return call


def _numeric(request: Any, body: bytes, interface: Interface) -> InferCall | None:
    given = request["inputs"]
    if len(given) != len(interface.inputs):
        return None
    feed: dict[str, Array] = {}
    brackets = 1
    for item in given:
        # Four keys, and these four: so none is given twice.
        name, datatype, shape = item["name"], item["datatype"], item["shape"].as_list()
        spec = interface.inputs[name]
        if len(item) != 4 or datatype != spec.datatype or name in feed or not _allowed(shape, spec.shape):
            return None
        found = numbers(item["data"], datatype, shape)
        if found is None:
            return None
        feed[spec.name], lists = found
        brackets += 1 + lists
    call = InferCall(feed, interface.output_names)
    if len(request) > 1:
        rest = {key: _plain(request[key]) for key in ("id", "outputs", "parameters") if key in request}
        if len(rest) != len(request) - 1:
            return None
        brackets += "outputs" in rest
        call.id = _id(rest)
        _choose_outputs(rest, interface, call)
    return call if has_lists(body, brackets) else None


def _allowed(shape: list[Any], wanted: list[int]) -> bool:
    if len(shape) != len(wanted):
        return False
    for size, want in zip(shape, wanted, strict=True):
        if type(size) is not int or size < 0 or (size != want and want >= 0):
            return False
    return True


def _plain(value: Any) -> Any:
    if type(value) is List:
        return value.as_list()
    return value.as_dict() if type(value) is Object else value


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
            request = json.loads(head.decode(), parse_float=_finite)
            json.dumps(request, ensure_ascii=False).encode()  # refuses halves of characters, as orjson does
            return request
    except (ValueError, RecursionError):
        pass
    raise BadRequest(
        f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}; binary "
        "tensors after the JSON need the header Inference-Header-Content-Length"
    ) from error


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("too large")
    return value


def _id(request: dict[str, Any]) -> str | None:
    value = request.get("id")
    if value is None or isinstance(value, str):
        return value
    raise BadRequest('"id" has to be text')


def _inputs(request: dict[str, Any], tail: memoryview, interface: Interface) -> dict[str, Array]:
    given = request.get("inputs")
    if not isinstance(given, list):
        raise BadRequest(f'"inputs" has to be a list of tensors; {expected(interface)}')
    feed: dict[str, Array] = {}
    at = 0
    for item in given:
        if not isinstance(item, dict):
            raise BadRequest(f'each of "inputs" has to be an object; {expected(interface)}')
        name = item.get("name")
        spec = interface.inputs.get(name) if isinstance(name, str) else None
        if spec is None:
            raise BadRequest(f"there is no input {name!r}; {expected(interface)}")
        if name in feed:
            raise BadRequest(f"input '{name}' is given twice")
        feed[spec.name], size = _tensor(item, spec, tail[at:])
        at += size
    if len(feed) != len(interface.inputs):
        missing = ", ".join(f"'{name}'" for name in interface.inputs if name not in feed)
        raise BadRequest(f"input {missing} is missing; {expected(interface)}")
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


def _choose_outputs(request: dict[str, Any], interface: Interface, call: InferCall) -> None:
    parameters = request.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise BadRequest('"parameters" have to be an object')
    binary = bool(parameters and _flag(parameters, "binary_data_output"))
    asked = request.get("outputs")
    if not asked:
        if asked is not None and not isinstance(asked, list):
            raise BadRequest('"outputs" has to be a list')
        call.binary = frozenset(call.outputs) if binary else _NONE
        return
    if not isinstance(asked, list):
        raise BadRequest('"outputs" has to be a list')
    names: list[str] = []
    chosen: set[str] = set()
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
            chosen.add(name)
    call.outputs, call.binary = names, frozenset(chosen)


def _flag(parameters: dict[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"parameter {name} has to be true or false")
    return value


def _raw(body: bytes, interface: Interface) -> InferCall:
    """A body without JSON: the one input, its shape from the signature and the length."""
    if len(interface.inputs) != 1:
        raise BadRequest(
            "Inference-Header-Content-Length 0 means that the body is the only input, but this "
            f"model has {len(interface.inputs)}; {expected(interface)}"
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
    call = InferCall({spec.name: array.reshape(shape)}, interface.output_names)
    call.binary = frozenset(interface.outputs)
    return call


def _names(interface: Interface) -> str:
    return ", ".join(f"'{name}'" for name in interface.outputs)


def _infer(request: Request, interface: Interface, _: Parameters) -> Call:
    return decode(request.body, _header_length(request), interface)


def _header_length(request: Request) -> int | None:
    value = request.headers.get(b"inference-header-content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 12:
        raise BadRequest("Inference-Header-Content-Length has to be a number of bytes")
    return int(value)


def _server(_: Request, view: View, __: Parameters) -> Response:
    return Response(200, _SERVER)


def _live(_: Request, view: View, __: Parameters) -> Response:
    return Response(200, _READY if view.ready else _WAITING)


def _ready(_: Request, view: View, __: Parameters) -> Response:
    return Response(200, _READY) if view.ready else Response(503, _WAITING)


def metadata(interface: Interface) -> dict[str, Any]:
    """The body of ``GET /v2/models/{model}``."""
    return {
        "name": interface.model,
        "versions": [interface.version],
        "platform": PLATFORM,
        "inputs": [spec.model_dump() for spec in interface.inputs.values()],
        "outputs": [spec.model_dump() for spec in interface.outputs.values()],
    }


def _metadata(_: Request, view: View, __: Parameters) -> Response:
    if view.interface is None:
        if view.ready:
            return error(404, NO_TENSORS)
        return error(503, view.message or "the endpoint is loading: try again in a moment")
    return Response(200, orjson.dumps(metadata(view.interface)))


_MODELS = ("v2/models/{model}", "v2/models/{model}/versions/{version}")
ROUTES = [
    Route("GET", "v2", answer=_server),
    Route("GET", "v2/health/live", answer=_live),
    Route("GET", "v2/health/ready", answer=_ready),
    *(Route("POST", f"{path}/infer", decode=_infer) for path in _MODELS),
    *(Route("GET", f"{path}/ready", answer=_ready) for path in _MODELS),
    *(Route("GET", path, answer=_metadata) for path in _MODELS),
]
