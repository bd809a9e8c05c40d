"""Vertex AI's predict: ``instances`` to ``predictions``, on Google's path and on ``predict``.

Source: cloud.google.com, ``projects.locations.endpoints.predict`` and ``PredictResponse``. Google's values
have no NaN: floats that are not finite are written as protobuf does, as strings. ``parameters`` are for
models that take some, which none does here: they are ignored.
"""

from __future__ import annotations

from typing import Any

import orjson

from nacre.modelserver.calls import BadRequest, Call, Interface, Parameters, Route, expected
from nacre.modelserver.messages import Request, Response
from nacre.modelserver.messages import error as plain_error
from nacre.modelserver.protocols.answers import dump, named
from nacre.modelserver.protocols.rows import from_rows, parse_object, quick
from nacre.modelserver.tensors import Array

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error(status: int, text: str) -> Response:
    """``{"error": {"code", "message", "status"}}``, the shape of Google's errors."""
    response = plain_error(status, text)
    code = _CODES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    response.body = orjson.dumps({"error": {"code": status, "message": text, "status": code}})
    return response


class PredictionCall(Call):
    """``parent``: ``projects/…/locations/…``, where the path has it."""

    __slots__ = ("parent",)

    def __init__(self, feed: dict[str, Array], outputs: list[str], parent: str) -> None:
        super().__init__(feed, outputs)
        self.parent = parent

    def encode(self, arrays: list[Array], interface: Interface) -> Response:
        answer: dict[str, Any] = {
            "predictions": named(self.outputs, arrays, interface, rows=True),
            "deployedModelId": f"{interface.model}@{interface.version}",
            "model": f"{self.parent}models/{interface.model}",
            "modelDisplayName": interface.model,
            "modelVersionId": interface.version,
        }
        return Response(200, dump(answer, tokens=False))


def _predict(request: Request, interface: Interface, parameters: Parameters) -> Call:
    parent = ""
    if "location" in parameters:
        parent = f"projects/{parameters['project']}/locations/{parameters['location']}/"
    found = quick(request.body, interface, "instances")
    feed = found[1] if found is not None else _instances(request.body, interface)
    return PredictionCall(feed, interface.output_names, parent)


def _instances(raw: bytes, interface: Interface) -> dict[str, Array]:
    body = parse_object(raw, '"instances"')
    if "instances" not in body:
        raise BadRequest(f'the body has no "instances"; {expected(interface)}')
    if not isinstance(body.get("parameters"), dict | None):
        raise BadRequest('"parameters" has to be an object')
    return from_rows(body["instances"], interface, "instances")


ROUTES = [
    Route("POST", "predict", decode=_predict, error=error, raw=True),
    Route(
        "POST",
        "v1/projects/{project}/locations/{location}/endpoints/{endpoint}:predict",
        decode=_predict,
        error=error,
    ),
]
