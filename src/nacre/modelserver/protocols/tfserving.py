"""TensorFlow Serving's REST API: predict by rows and columns, classify, regress, status and metadata.

Source: tensorflow/serving, ``g3doc/api_rest.md`` and ``util/json_tensor.cc``. Whole numbers make floats,
but ``1.0`` makes no integer. A whole number with too many digits for FP32 is rounded, where TensorFlow
Serving refuses it.
"""

from __future__ import annotations

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
from nacre.modelserver.protocols.answers import dump, named, plain
from nacre.modelserver.protocols.examples import from_examples
from nacre.modelserver.protocols.rows import from_columns, from_rows, parse_object, quick, short
from nacre.modelserver.tensors import Array
from nacre.schema.serving import TensorSpec

PREDICT = ("", "serving_default", "predict", "tensorflow/serving/predict")
CLASSIFY = ("", "serving_default", "classification", "tensorflow/serving/classify")
REGRESS = ("", "serving_default", "regression", "tensorflow/serving/regress")
_FLOATS = ("FP16", "FP32", "FP64")
_DTYPES = {
    "BOOL": "DT_BOOL",
    "UINT8": "DT_UINT8",
    "UINT16": "DT_UINT16",
    "UINT32": "DT_UINT32",
    "UINT64": "DT_UINT64",
    "INT8": "DT_INT8",
    "INT16": "DT_INT16",
    "INT32": "DT_INT32",
    "INT64": "DT_INT64",
    "FP16": "DT_HALF",
    "FP32": "DT_FLOAT",
    "FP64": "DT_DOUBLE",
    "BYTES": "DT_STRING",
}
_STATES = {"loading": "LOADING", "ready": "AVAILABLE", "unloaded": "AVAILABLE", "failed": "END"}
_RANK = ("END", "LOADING", "AVAILABLE")


class PredictCall(Call):
    """``rows``: the request had ``instances``, so that the answer goes by rows."""

    __slots__ = ("rows",)

    def __init__(self, feed: dict[str, Array], outputs: list[str], rows: bool) -> None:
        super().__init__(feed, outputs)
        self.rows = rows

    def encode(self, arrays: list[Array], interface: Interface) -> Response:
        value = named(self.outputs, arrays, interface, self.rows)
        return Response(200, dump({"predictions" if self.rows else "outputs": value}))


class ClassifyCall(Call):
    """Pairs of label and score for each example. ``outputs`` are the scores and perhaps the labels."""

    def encode(self, arrays: list[Array], interface: Interface) -> Response:
        scores, labels = classes(self.outputs, arrays)
        results = [list(zip(*row, strict=True)) for row in zip(labels, scores, strict=True)]
        return Response(200, dump({"results": results}))


class RegressCall(Call):
    """One number for each example."""

    def encode(self, arrays: list[Array], interface: Interface) -> Response:
        return Response(200, dump({"results": values(self.outputs, arrays)}))


def classes(outputs: list[str], arrays: list[Array]) -> tuple[Array, list[list[str]]]:
    """Scores and labels of each example, from the arrays of :func:`classify_outputs`."""
    scores = arrays[0]
    if scores.ndim != 2 or (len(arrays) > 1 and arrays[1].shape != scores.shape):
        raise BadRequest(f"output '{outputs[0]}' has no score for each class of each example: use :predict")
    if len(arrays) > 1:
        return scores, plain(arrays[1], "", "BYTES")
    return scores, [[str(at) for at in range(scores.shape[1])]] * len(scores)


def values(outputs: list[str], arrays: list[Array]) -> Array:
    """The number of each example, from the array of :func:`regress_output`."""
    (found,) = arrays
    if found.ndim not in (1, 2) or found.size != len(found):
        raise BadRequest(f"output '{outputs[0]}' has not one number for each example: use :predict")
    return found.reshape(-1)


def decode_predict(body: dict[str, Any], interface: Interface) -> PredictCall:
    """A predict request's inputs, from the parsed body."""
    by_rows, by_columns = "instances" in body, "inputs" in body
    if by_rows and by_columns:
        raise BadRequest('"instances" and "inputs" are both given: send one of them')
    if by_rows:
        return PredictCall(
            from_rows(body["instances"], interface, "instances"), interface.output_names, True
        )
    if by_columns:
        return PredictCall(from_columns(body["inputs"], interface, "inputs"), interface.output_names, False)
    raise BadRequest(f'the body has neither "instances" nor "inputs"; {expected(interface)}')


def _predict(request: Request, interface: Interface, _: Parameters) -> Call:
    found = quick(request.body, interface, "instances", "inputs")
    if found is not None:
        return PredictCall(found[1], interface.output_names, found[0] == "instances")
    body = parse_object(request.body, '"instances" or "inputs"')
    _check_signature(body, PREDICT)
    return decode_predict(body, interface)


def _classify(request: Request, interface: Interface, _: Parameters) -> Call:
    body = parse_object(request.body, '"examples"')
    _check_signature(body, CLASSIFY)
    return ClassifyCall(from_examples(body, interface), classify_outputs(interface))


def _regress(request: Request, interface: Interface, _: Parameters) -> Call:
    body = parse_object(request.body, '"examples"')
    _check_signature(body, REGRESS)
    return RegressCall(from_examples(body, interface), [regress_output(interface)])


def classify_outputs(interface: Interface) -> list[str]:
    """The names of the scores and, where there is one, of the labels. Raises :class:`BadRequest`."""
    scores = _output(
        interface, "scores", _FLOATS, lambda shape: len(shape) in (0, 2), "score for each class"
    )
    labels = [
        spec.name
        for spec in interface.outputs.values()
        if spec.datatype == "BYTES" and len(spec.shape) == 2
    ]
    return [scores, *labels[:1]]


def regress_output(interface: Interface) -> str:
    """The name of the output with the numbers. Raises :class:`BadRequest`."""
    return _output(interface, "outputs", _FLOATS, _single, "number for each example")


def _single(shape: list[int]) -> bool:
    return len(shape) < 2 or (len(shape) == 2 and shape[1] in (-1, 1))


def _output(interface: Interface, name: str, datatypes: tuple[str, ...], fitting: Any, what: str) -> str:
    """The output of TensorFlow's name for it, or the only one of the kind."""
    found = [
        spec.name
        for spec in interface.outputs.values()
        if spec.datatype in datatypes and fitting(spec.shape)
    ]
    if name in found:
        return name
    if len(found) != 1:
        raise BadRequest(
            f"this model has {len(found) or 'no'} outputs with one {what}, and none called '{name}': "
            "use :predict"
        )
    return found[0]


def _check_signature(body: dict[str, Any], known: tuple[str, ...]) -> None:
    name = body.get("signature_name", "")
    if not isinstance(name, str):
        raise BadRequest('"signature_name" has to be text')
    if name not in known:
        raise BadRequest(f"there is no signature {short(name)}: this model has 'serving_default'")


def _labelled(_: Request, interface: Interface, parameters: Parameters) -> Call:
    raise BadRequest(_no_label(parameters))


def _labelled_answer(_: Request, view: View, parameters: Parameters) -> Response:
    return error(400, _no_label(parameters))


def _no_label(parameters: Parameters) -> str:
    return (
        f"there is no version label {short(parameters['label'])}: versions have no labels here, the "
        "endpoint's traffic decides; leave it out or ask for versions/{number}"
    )


def _status(_: Request, view: View, parameters: Parameters) -> Response:
    """The state of every version, with what KServe's clients look for in the same place."""
    states: dict[str, str] = {}
    for version, state in view.versions:
        if parameters.get("version", version) == version:
            states[version] = max(_STATES[state], states.get(version, "END"), key=_RANK.index)
    listed = [
        {"version": version, "state": state, "status": _told(state, view)}
        for version, state in states.items()
    ]
    answer = {"model_version_status": listed, "name": _name(view), "ready": view.ready}
    return Response(200, orjson.dumps(answer))


def _told(state: str, view: View) -> dict[str, str]:
    if state != "END":
        return {"error_code": "OK", "error_message": ""}
    return {"error_code": "UNKNOWN", "error_message": view.message or "it could not be loaded"}


def _name(view: View) -> str:
    return view.interface.model if view.interface is not None else view.name


def _metadata(_: Request, view: View, __: Parameters) -> Response:
    interface = view.interface
    if interface is None:
        if view.ready:
            return error(404, NO_TENSORS)
        return error(503, view.message or "the endpoint is loading: try again in a moment")
    signature = {
        "inputs": {spec.name: _tensor_info(spec) for spec in interface.inputs.values()},
        "outputs": {spec.name: _tensor_info(spec) for spec in interface.outputs.values()},
        "method_name": "tensorflow/serving/predict",
    }
    answer = {
        "model_spec": {"name": interface.model, "signature_name": "", "version": interface.version},
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
    }
    return Response(200, orjson.dumps(answer))


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    """A ``TensorInfo`` as protobuf writes it in JSON: sizes are 64-bit, hence texts."""
    dim = [{"size": str(size), "name": ""} for size in spec.shape]
    shape = {"dim": dim, "unknown_rank": not spec.shape}
    return {"dtype": _DTYPES[spec.datatype], "tensor_shape": shape, "name": f"{spec.name}:0"}


_MODELS = ("v1/models/{model}", "v1/models/{model}/versions/{version}")
_LABELS = "v1/models/{model}/labels/{label}"
_VERBS = {"predict": _predict, "classify": _classify, "regress": _regress}
ROUTES = [
    *(
        Route("POST", f"{path}:{verb}", decode=decode)
        for path in _MODELS
        for verb, decode in _VERBS.items()
    ),
    *(Route("POST", f"{_LABELS}:{verb}", decode=_labelled) for verb in _VERBS),
    *(Route("GET", path, answer=_status) for path in _MODELS),
    *(Route("GET", f"{path}/metadata", answer=_metadata) for path in _MODELS),
    Route("GET", _LABELS, answer=_labelled_answer),
    Route("GET", f"{_LABELS}/metadata", answer=_labelled_answer),
]
