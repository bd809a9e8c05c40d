"""Open Inference Protocol v2 requests from plain JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nacre.errors import InvalidSpec
from nacre.schema.serving import Signature


def _shape(data: Any) -> list[int]:
    shape = []
    while isinstance(data, list):
        shape.append(len(data))
        data = data[0] if data else None
    return shape


def _is_ragged(data: Any, shape: list[int]) -> bool:
    """Whether some list in it is longer, shorter or deeper than the first one."""
    if not shape:
        return isinstance(data, list)
    wrong = not isinstance(data, list) or len(data) != shape[0]
    return wrong or any(_is_ragged(item, shape[1:]) for item in data)


def _flat(data: Any) -> Iterator[Any]:
    if isinstance(data, list):
        for item in data:
            yield from _flat(item)
    else:
        yield data


def build_request(signature: Signature, content: Any) -> dict[str, Any]:
    """A request from what somebody wrote into a file.

    ``content``: a whole request (``{"inputs": [...]}``), an object with one nested list per input, or a
    nested list for a model with one input. A single sample gets its batch dimension, and values that
    only lack a channel dimension get the model's shape.

    Raises:
        InvalidSpec: it does not fit; the sentence says what the model takes.
    """
    if _is_request(content):
        return dict(content)
    takes = ", ".join(f"{t.name}: {t.datatype}{t.shape}" for t in signature.inputs)
    if not isinstance(content, dict):
        if len(signature.inputs) != 1:
            raise InvalidSpec(f"the model takes several inputs ({takes}): give an object with each by name")
        content = {signature.inputs[0].name: content}
    unknown = set(content) - {t.name for t in signature.inputs}
    if unknown:
        raise InvalidSpec(f"the model has no input {sorted(unknown)[0]!r}: it takes {takes}")
    inputs = []
    for tensor in signature.inputs:
        if tensor.name not in content:
            raise InvalidSpec(f"the input {tensor.name!r} is missing: the model takes {takes}")
        data, given = list(_flat(content[tensor.name])), _shape(content[tensor.name])
        if _is_ragged(content[tensor.name], given):
            raise InvalidSpec(
                f"the lists of {tensor.name} differ in length: give each sample the same shape"
            )
        shape = _fit(given, tensor.shape, len(data))
        if shape is None:
            raise InvalidSpec(
                f"{tensor.name} has shape {given}: the model takes {tensor.datatype}{tensor.shape}"
            )
        inputs.append({"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": data})
    return {"inputs": inputs}


def _is_request(content: Any) -> bool:
    """Whether it is a request of the protocol: a list of tensors by name under ``inputs``."""
    inputs = content.get("inputs") if isinstance(content, dict) else None
    return isinstance(inputs, list) and bool(inputs) and all(isinstance(i, dict) for i in inputs)


def _fit(given: list[int], wanted: list[int], count: int) -> list[int] | None:
    """The request's shape: the given one where it agrees, with a batch of one before it, or the only one
    that as many samples, or a single one, can have."""
    for candidate in (given, [1, *given]):
        agrees = len(candidate) == len(wanted) and all(
            w in (-1, g) for g, w in zip(candidate, wanted, strict=True)
        )
        if agrees:
            return candidate
    fixed = 1
    for size in wanted:
        fixed *= size if size != -1 else 1
    if wanted.count(-1) <= 1 and fixed and count and count % fixed == 0:
        samples = count // fixed
        if samples == 1 or (wanted[:1] == [-1] and given[:1] == [samples]):
            return [samples if size == -1 else size for size in wanted]
    return None
