"""TensorFlow Serving over gRPC: ``PredictionService`` and ``ModelService`` of ``tensorflow.serving``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from nacre.modelserver.asking import Encode, Make
from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import BadRequest, Call, Interface, expected
from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.grpc import prediction_messages as m
from nacre.modelserver.grpc import wire
from nacre.modelserver.grpc.caller import Caller
from nacre.modelserver.grpc.methods import Answer, Cancel, Method
from nacre.modelserver.grpc.parse import parse
from nacre.modelserver.grpc.tensor_proto import from_proto, to_proto
from nacre.modelserver.grpc.typed import strings
from nacre.modelserver.protocols import tfserving
from nacre.modelserver.protocols.examples import from_examples
from nacre.modelserver.tensors import Array, TensorError

_SIGNATURE = "serving_default"
_STATES = {"ready": m.AVAILABLE, "unloaded": m.AVAILABLE, "loading": m.LOADING, "failed": m.END}
_CLASSIFY, _REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


# ---- which model


def _version(spec: Any) -> str:
    if spec.version_label:
        raise BadRequest(
            f"there is no version label {spec.version_label[:60]!r}: versions have no labels here, the "
            "endpoint's traffic decides; leave it out or give a version"
        )
    return str(spec.version.value) if spec.HasField("version") else ""


def _run(
    caller: Caller,
    spec: Any,
    signatures: tuple[str, ...],
    make: Make,
    encode: Encode,
    size: int,
    answer: Answer,
) -> Cancel | None:
    """One inference of the model that ``spec`` names, by one of these signatures."""
    if spec.signature_name not in signatures:
        raise BadRequest(
            f"there is no signature {spec.signature_name[:60]!r}: this model has {_SIGNATURE!r}"
        )
    return caller.ask(caller.endpoint(spec.name), _version(spec), make, encode, size, answer)


def _answered(spec: Any, asked: Any, interface: Interface) -> None:
    """The ``model_spec`` of an answer."""
    spec.name, spec.signature_name = asked.name, asked.signature_name or _SIGNATURE
    spec.version.value = int(interface.version)


# ---- predict


def _decode(request: Any, interface: Interface) -> Call:
    feed: dict[str, Array] = {}
    for name, tensor in request.inputs.items():
        spec = interface.inputs.get(name)
        if spec is None:
            raise BadRequest(f"there is no input {name[:60]!r}; {expected(interface)}")
        feed[name] = from_proto(tensor, spec)
    if len(feed) != len(interface.inputs):
        missing = ", ".join(f"'{name}'" for name in interface.inputs if name not in feed)
        raise BadRequest(f"input {missing} is missing; {expected(interface)}")
    wanted = list(request.output_filter)
    for name in wanted:
        if name not in interface.outputs:
            there = ", ".join(f"'{one}'" for one in interface.outputs)
            raise BadRequest(f"there is no output {name[:60]!r}; the outputs are {there}")
    if len(set(wanted)) != len(wanted):
        raise BadRequest("output_filter names an output twice")
    return Call(feed, wanted or interface.output_names)


def predict(caller: Caller, message: bytes, answer: Answer) -> Cancel | None:
    """``Predict``."""
    request = parse(m.PredictRequest, message)
    spec = request.model_spec

    def encode(call: Call, interface: Interface, arrays: list[Array]) -> bytes:
        found = m.PredictResponse()
        _answered(found.model_spec, spec, interface)
        for name, array in zip(call.outputs, arrays, strict=True):
            to_proto(found.outputs[name], array, interface.outputs[name].datatype)
        return bytes(found.SerializeToString())

    def make(interface: Interface) -> Call:
        return _decode(request, interface)

    return _run(caller, spec, tfserving.PREDICT, make, encode, len(message), answer)


# ---- classify and regress


def _features(example: Any) -> dict[str, Any]:
    """The features of an ``Example`` as :func:`from_examples` takes them."""
    found: dict[str, Any] = {}
    for name, feature in example.features.feature.items():
        if feature.HasField("bytes_list"):
            try:
                found[name] = strings(feature.bytes_list.value).tolist()
            except TensorError as error:
                raise BadRequest(f"feature {name[:60]!r} {error}") from error
        elif feature.HasField("float_list"):
            found[name] = list(feature.float_list.value)
        else:
            found[name] = list(feature.int64_list.value)
    return found


def _feed(given: Any, interface: Interface) -> dict[str, Array]:
    if given.HasField("example_list_with_context"):
        listed = given.example_list_with_context
        context = _features(listed.context)
    else:
        listed, context = given.example_list, {}
    examples = [_features(example) for example in listed.examples]
    return from_examples({"examples": examples, "context": context}, interface)


Wrap = Callable[[Any, Interface], bytes]
"""Makes an answer's message of a ``ClassificationResult`` or ``RegressionResult``."""


@dataclass(frozen=True)
class _Task:
    """What is asked of examples. ``result`` makes a message of the outputs that ``outputs`` chooses."""

    signatures: tuple[str, ...]
    outputs: Callable[[Interface], list[str]]
    result: Callable[[Call, list[Array]], Any]


def _classes(call: Call, arrays: list[Array]) -> Any:
    scores, labels = tfserving.classes(call.outputs, arrays)
    result = m.ClassificationResult()
    for row, names in zip(scores.tolist(), labels, strict=True):
        classes = result.classifications.add().classes
        for label, score in zip(names, row, strict=True):
            classes.add(label=label, score=score)
    return result


def _values(call: Call, arrays: list[Array]) -> Any:
    result = m.RegressionResult()
    for value in tfserving.values(call.outputs, arrays).tolist():
        result.regressions.add(value=value)
    return result


_CLASSIFICATION = _Task(tfserving.CLASSIFY, tfserving.classify_outputs, _classes)
_REGRESSION = _Task(tfserving.REGRESS, lambda interface: [tfserving.regress_output(interface)], _values)


def _examples(
    caller: Caller, task: _Task, spec: Any, given: Any, size: int, wrap: Wrap, answer: Answer
) -> Cancel | None:
    """A task on the examples of a request."""

    def make(interface: Interface) -> Call:
        return Call(_feed(given, interface), task.outputs(interface))

    def encode(call: Call, interface: Interface, arrays: list[Array]) -> bytes:
        return wrap(task.result(call, arrays), interface)

    return _run(caller, spec, task.signatures, make, encode, size, answer)


def _alone(
    caller: Caller, task: _Task, request: Any, response: Any, size: int, answer: Answer
) -> Cancel | None:
    """A task that is a call by itself; ``response`` is the class of its answer."""
    spec = request.model_spec

    def wrap(result: Any, interface: Interface) -> bytes:
        found = response(result=result)
        _answered(found.model_spec, spec, interface)
        return bytes(found.SerializeToString())

    return _examples(caller, task, spec, request.input, size, wrap, answer)


def classify(caller: Caller, message: bytes, answer: Answer) -> Cancel | None:
    """``Classify``."""
    request = parse(m.ClassificationRequest, message)
    return _alone(caller, _CLASSIFICATION, request, m.ClassificationResponse, len(message), answer)


def regress(caller: Caller, message: bytes, answer: Answer) -> Cancel | None:
    """``Regress``."""
    request = parse(m.RegressionRequest, message)
    return _alone(caller, _REGRESSION, request, m.RegressionResponse, len(message), answer)


_TASKS = {_CLASSIFY: _CLASSIFICATION, _REGRESS: _REGRESSION}


class _Several:
    """Inferences whose answers are one message. The first that fails is the answer for all."""

    def __init__(self, count: int, answer: Answer) -> None:
        self._answer = answer
        self._parts: list[bytes] = [b""] * count
        self._left = count
        self.asked: list[Cancel | None] = []

    def take(self, at: int, outcome: bytes | Exception) -> None:
        """One of them has ended."""
        if self._left <= 0:
            return
        if isinstance(outcome, Exception):
            self._left = 0
            self.cancel()
            self._answer(outcome)
            return
        self._parts[at] = outcome
        self._left -= 1
        if not self._left:
            self._answer(wire.join(b"", m.RESULTS, self._parts))

    def cancel(self) -> None:
        """Nobody waits for them any more."""
        for one in self.asked:
            if one is not None:
                one.cancel()


def multi_inference(caller: Caller, message: bytes, answer: Answer) -> Cancel | None:
    """``MultiInference``: classify and regress on the same examples."""
    request = parse(m.MultiInferenceRequest, message)
    if not request.tasks:
        raise BadRequest("there is no task")
    for task in request.tasks:
        if task.method_name not in _TASKS:
            raise BadRequest(
                f"there is no method {task.method_name[:60]!r} for a task: {_CLASSIFY} or {_REGRESS}"
            )
    several = _Several(len(request.tasks), answer)
    for at, task in enumerate(request.tasks):
        try:
            asked = _examples(
                *(caller, _TASKS[task.method_name], task.model_spec, request.input, len(message)),
                *(partial(_told, task), partial(several.take, at)),
            )
        except (BadRequest, Refused) as wrong:
            several.take(at, wrong)
            break
        several.asked.append(asked)
    return several


def _told(task: Any, result: Any, interface: Interface) -> bytes:
    """The ``InferenceResult`` of a task."""
    found = m.InferenceResult()
    if task.method_name == _CLASSIFY:
        found.classification_result.CopyFrom(result)
    else:
        found.regression_result.CopyFrom(result)
    _answered(found.model_spec, task.model_spec, interface)
    return bytes(found.SerializeToString())


# ---- about models


def model_metadata(caller: Caller, message: bytes) -> bytes:
    """``GetModelMetadata``: the one field that there is, ``signature_def``."""
    request = parse(m.GetModelMetadataRequest, message)
    if list(request.metadata_field) != ["signature_def"]:
        raise BadRequest('metadata_field has to be "signature_def"')
    asked = request.model_spec
    interface = caller.interface(caller.endpoint(asked.name), _version(asked))
    signatures = m.SignatureDefMap()
    signature = signatures.signature_def[_SIGNATURE]
    signature.method_name = "tensorflow/serving/predict"
    for specs, tensors in ((interface.inputs, signature.inputs), (interface.outputs, signature.outputs)):
        for spec in specs.values():
            info = tensors[spec.name]
            info.name, info.dtype = f"{spec.name}:0", m.DTYPES[spec.datatype]
            info.tensor_shape.unknown_rank = not spec.shape
            for size in spec.shape:
                info.tensor_shape.dim.add(size=size)
    answer = m.GetModelMetadataResponse()
    answer.model_spec.name = asked.name
    answer.model_spec.version.value = int(interface.version)
    packed = answer.metadata["signature_def"]
    packed.type_url, packed.value = m.SIGNATURES_URL, signatures.SerializeToString()
    return bytes(answer.SerializeToString())


def model_status(caller: Caller, message: bytes) -> bytes:
    """``GetModelStatus``: of every version, or of the one asked for."""
    spec = parse(m.GetModelStatusRequest, message).model_spec
    version = _version(spec)
    endpoint = caller.endpoint(spec.name)
    states = _states(endpoint)
    if version and version not in states:
        raise Refused(
            404, f"endpoint {endpoint.name!r} serves version {', '.join(states)}, not {version!r}"
        )
    answer = m.GetModelStatusResponse()
    for number, state in states.items():
        if version in ("", number):
            told = answer.model_version_status.add(version=int(number), state=state)
            told.status.SetInParent()
            if state == m.END:
                told.status.error_code, told.status.error_message = m.UNKNOWN, endpoint.trouble()
    return bytes(answer.SerializeToString())


def _states(endpoint: Endpoint) -> dict[str, int]:
    """The best state of each version's revisions, the newest version first."""
    states: dict[str, int] = {}
    for version, state in endpoint.view(None).versions:
        states[version] = max(_STATES[state], states.get(version, m.END), key=_RANK.index)
    return states


_RANK = (m.END, m.LOADING, m.AVAILABLE)


def reload_config(_: Caller, __: bytes) -> bytes:
    """``HandleReloadConfigRequest``: refused."""
    raise Refused(501, "models are not configured here: an endpoint is deployed with nacre deploy")


SERVICES = {
    "tensorflow.serving.PredictionService": {
        "Predict": Method(ask=predict),
        "Classify": Method(ask=classify),
        "Regress": Method(ask=regress),
        "MultiInference": Method(ask=multi_inference),
        "GetModelMetadata": Method(tell=model_metadata),
    },
    "tensorflow.serving.ModelService": {
        "GetModelStatus": Method(tell=model_status),
        "HandleReloadConfigRequest": Method(tell=reload_config),
    },
}
