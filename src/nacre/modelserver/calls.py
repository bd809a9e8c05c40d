"""What protocols make of a request and of its answer: the meeting point of dialects and models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nacre.modelserver.messages import Request, Response
from nacre.modelserver.tensors import Array
from nacre.schema.serving import Signature, TensorSpec


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
        self.plans: dict[Any, Any] = {}
        """What ``protocols.v2_binary`` and ``grpc.repeated`` remember of requests."""
        self.lists: dict[bytes, Any] = {}
        """What ``protocols.v2_floats`` remembers of them."""
        self.templates: dict[Any, Any] = {}
        """What ``protocols.v2_answer`` and ``grpc.repeated`` remember of answers."""


class Call:
    """One inference, decoded. Dialects subclass it.

    ``feed``: input name → array of the model's datatype and of a shape that it allows. ``outputs``: names
    that are wanted, in their order.
    """

    __slots__ = ("feed", "outputs")

    def __init__(self, feed: dict[str, Array], outputs: list[str]) -> None:
        self.feed = feed
        self.outputs = outputs

    def encode(self, arrays: list[Array], interface: Interface) -> Response:
        """The answer, from the arrays of ``outputs``. Raises :class:`BadRequest` where it has none."""
        raise NotImplementedError


@dataclass(frozen=True)
class View:
    """An endpoint, as the metadata and health routes of dialects see it.

    ``interface`` is that of the revision that answers, null before there is one; ``versions`` has the model
    version and state (``loading``, ``ready``, ``unloaded``, ``failed``) of every revision.
    """

    project: str
    name: str
    interface: Interface | None
    ready: bool
    message: str | None = None
    versions: list[tuple[str, str]] = field(default_factory=list)


NO_TENSORS = (
    "the model has code of its own and no signature: POST what that code takes to predict or invocations "
    "below the endpoint's address"
)
Parameters = dict[str, str]
Decode = Callable[[Request, Interface, Parameters], Call]
"""Raises :class:`BadRequest` naming what was expected."""
Answer = Callable[[Request, View, Parameters], Response]
ErrorShape = Callable[[int, str], Response]


@dataclass(frozen=True)
class Route:
    """A path below ``/endpoints/{project}/{name}/``, such as ``v1/models/{model}:predict``.

    Parts are literals, ``{model}`` or ``{version}``, the last one perhaps with a literal suffix. One of
    ``decode`` (an inference) and ``answer`` (anything else) is given. ``error`` makes its errors.
    ``raw``: a model's own code answers instead, where it has some.
    """

    method: str
    path: str
    decode: Decode | None = None
    answer: Answer | None = None
    error: ErrorShape | None = None
    raw: bool = False


def expected(interface: Interface) -> str:
    """``expected: 'x' FP32 [-1, 784]``, for the sentences of :class:`BadRequest`."""
    listed = "; ".join(f"'{spec.name}' {spec.datatype} {spec.shape}" for spec in interface.inputs.values())
    return f"expected: {listed}"


def rows(call: Call, interface: Interface) -> int:
    """Rows of the first input, where its first dimension is left open; else 1."""
    for name, spec in interface.inputs.items():
        return len(call.feed[name]) if spec.shape[:1] == [-1] else 1
    return 1


Outcome = list[Any] | Exception
