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
    if isinstance(content, dict) and isinstance(content.get("inputs"), list):
        return content
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
        data = list(_flat(content[tensor.name]))
        shape = _fit(_shape(content[tensor.name]), tensor.shape, len(data))
        if shape is None:
            given = _shape(content[tensor.name])
            raise InvalidSpec(
                f"{tensor.name} has shape {given}: the model takes {tensor.datatype}{tensor.shape}"
            )
        inputs.append({"name": tensor.name, "shape": shape, "datatype": tensor.datatype, "data": data})
    return {"inputs": inputs}


def _fit(given: list[int], wanted: list[int], count: int) -> list[int] | None:
    """The request's shape: the given one where it agrees, else the only one that the count allows."""
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
        filled = [count // fixed if size == -1 else size for size in wanted]
        return filled if -1 in wanted or count == fixed else None
    return None
