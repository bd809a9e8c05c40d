"""``examples`` and ``context`` of TensorFlow Serving's classify and regress: inputs from flat features."""

from __future__ import annotations

import math
from typing import Any

from nacre.modelserver.calls import BadRequest, Interface, expected
from nacre.modelserver.protocols.rows import check_shape, elements, is_object, short
from nacre.modelserver.tensors import Array
from nacre.schema.serving import TensorSpec

_MAX_SHARED = 16 * 1024 * 1024
"""Values of a context feature, all examples together: a small body could stand for any number of them."""


def from_examples(body: dict[str, Any], interface: Interface) -> dict[str, Array]:
    """The inputs from one object of features per example; those of ``context`` belong to every example.

    A feature is named like an input and is a value or a flat list of values, which fills the input's shape
    in row-major order, as a feature of fixed length does in TensorFlow. Raises :class:`BadRequest`.
    """
    examples, context = body.get("examples"), body.get("context", {})
    if "examples" not in body:
        raise BadRequest(f'the body has no "examples"; {expected(interface)}')
    if not isinstance(examples, list):
        raise BadRequest('"examples" has to be a list of objects')
    if not examples:
        raise BadRequest('"examples" is empty: it needs at least one')
    if not is_object(context):
        raise BadRequest('"context" has to be an object of features')
    own = interface.inputs.keys() - context.keys()
    _check_names(context, interface, '"context"')
    for at, example in enumerate(examples):
        where = f'entry {at} of "examples"'
        if not is_object(example):
            raise BadRequest(f"{where} has to be an object of features")
        if example.keys() != own:
            _check_names(example, interface, where)
            _explain(example, context, own, where)
    feed: dict[str, Array] = {}
    for name, spec in interface.inputs.items():
        if name in context:
            feature = context[name]
            if isinstance(feature, list) and len(feature) * len(examples) > _MAX_SHARED:
                raise BadRequest(
                    f"feature '{name}' of \"context\" is too long for {len(examples)} examples"
                )
            values = [feature] * len(examples)
        else:
            values = [example[name] for example in examples]
        feed[name] = _feature(values, spec)
    return feed


def _check_names(features: dict[str, Any], interface: Interface, where: str) -> None:
    for name in features:
        if name not in interface.inputs:
            raise BadRequest(f"{where} names {short(name)}, which is no input; {expected(interface)}")


def _explain(example: dict[str, Any], context: dict[str, Any], own: set[str], where: str) -> None:
    for name in example:
        if name in context:
            raise BadRequest(f'{where} has feature {short(name)}, which "context" has already')
    missing = ", ".join(repr(name) for name in sorted(own) if name not in example)
    raise BadRequest(f"{where} lacks feature {missing}")


def _feature(values: list[Any], spec: TensorSpec) -> Array:
    rows = [value if isinstance(value, list) else [value] for value in values]
    width = len(rows[0])
    if any(isinstance(value, list) for value in rows[0]):
        raise BadRequest(f"feature '{spec.name}' has to be a value or a flat list of values")
    shape = _shape(len(rows), width, spec)
    check_shape(shape, spec)
    return elements(rows, [len(rows), width], spec).reshape(shape)


def _shape(count: int, width: int, spec: TensorSpec) -> list[int]:
    """The shape of ``count`` examples of ``width`` values each."""
    if not spec.shape:
        return [count, width]
    inner = list(spec.shape[1:])
    if inner.count(-1) > 1:
        raise BadRequest(
            f"the shape of input '{spec.name}', {spec.shape}, cannot be told from a flat list: use :predict"
        )
    fixed = math.prod(size for size in inner if size != -1)
    if -1 in inner and fixed:
        inner[inner.index(-1)] = width // fixed
    if math.prod(inner) != width:
        raise BadRequest(
            f"feature '{spec.name}' has {width} values for one example, which do not fill {spec.shape[1:]}"
        )
    return [count, *inner]
