"""Interfaces and requests for the tests of the REST dialects, without a server."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from nacre.modelserver.calls import BadRequest, Call, Interface, View
from nacre.modelserver.messages import Request, Response
from nacre.modelserver.table import TABLE
from nacre.schema.serving import Signature, TensorSpec

Tensor = tuple[str, str, list[int]]


def interface(inputs: list[Tensor], outputs: list[Tensor] | None = None) -> Interface:
    """A model ``m`` of version 3."""
    listed = [
        [TensorSpec(name=name, datatype=datatype, shape=shape) for name, datatype, shape in tensors]  # type: ignore[arg-type]
        for tensors in (inputs, outputs or [("y", "FP32", [-1, 2])])
    ]
    return Interface("m", "3", Signature(inputs=listed[0], outputs=listed[1]))


ROWS = interface([("x", "FP32", [-1, 3])])
"""One input of three numbers a row."""
TWO = interface(
    [("a", "FP32", [-1, 2]), ("b", "INT64", [-1])], [("sum", "FP32", [-1, 2]), ("label", "BYTES", [-1])]
)
"""Two inputs and two outputs."""
TEXT = interface([("t", "BYTES", [-1])], [("t_bytes", "BYTES", [-1])])


def one(datatype: str, shape: list[int]) -> Interface:
    return interface([("x", datatype, shape)])


def request(body: object, **headers: str) -> Request:
    """``body``: bytes as they are, anything else as JSON. Headers with ``_`` for ``-``."""
    made = Request()
    made.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    made.headers = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return made


def decode(path: str, body: object, to: Interface = ROWS, **headers: str) -> Call:
    """What the route of this path makes of a POST."""
    routes, parameters = TABLE.find(path.split("/"))
    decode = routes["POST"].decode
    assert decode is not None
    return decode(request(body, **headers), to, parameters)


def refused(path: str, body: object, to: Interface = ROWS, **headers: str) -> str:
    """The sentence that a POST is refused with."""
    with pytest.raises(BadRequest) as caught:
        decode(path, body, to, **headers)
    said = str(caught.value)
    assert len(said) < 500, said
    assert "\n" not in said
    return said


def get(path: str, view: View, method: str = "GET") -> tuple[int, Any]:
    """Status and JSON of what the route of this path answers; "" is the endpoint's base address."""
    routes, parameters = TABLE.find(path.split("/") if path else [])
    answer = routes[method].answer
    assert answer is not None
    response = answer(request(b""), view, parameters)
    return response.status, json.loads(response.body) if response.body.strip() else None


def view(to: Interface | None = ROWS, versions: list[tuple[str, str]] | None = None) -> View:
    """An endpoint ``digits`` with the model ``m``."""
    return View(
        "p", "digits", to, to is not None, None if to else "it is loading", versions or [("3", "ready")]
    )


def encode(call: Call, arrays: list[Any], to: Interface = ROWS) -> Any:
    """The JSON of the answer."""
    response = call.encode([np.asarray(array) for array in arrays], to)
    assert response.status == 200
    return json.loads(response.body)


def raw(call: Call, arrays: list[Any], to: Interface = ROWS) -> Response:
    return call.encode([np.asarray(array) for array in arrays], to)


def same(feed: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Equal names, types, shapes and values; NaN equals NaN."""
    assert feed.keys() == wanted.keys()
    for name, array in feed.items():
        other = np.asarray(wanted[name])
        assert array.dtype == other.dtype, name
        assert array.shape == other.shape, name
        if array.dtype.kind == "O":
            assert array.tolist() == other.tolist(), name
        else:
            np.testing.assert_array_equal(array, other)
