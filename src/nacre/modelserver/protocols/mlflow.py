"""MLflow's scoring protocol, from version 2 on: ``/invocations``, ``/ping``, ``/health`` and ``/version``.

Source: ``mlflow.pyfunc.scoring_server``. The path ``invocations`` is also SageMaker's, so its route is in
:mod:`nacre.modelserver.protocols.sagemaker`; what is here decodes its JSON objects.
"""

from __future__ import annotations

from typing import Any

import orjson

from nacre.modelserver.calls import BadRequest, Interface, Parameters, Route, View, expected
from nacre.modelserver.messages import Request, Response
from nacre.modelserver.messages import error as plain_error
from nacre.modelserver.protocols.dataframes import from_records, from_split, from_table
from nacre.modelserver.protocols.rows import from_columns, from_rows, is_object
from nacre.modelserver.tensors import Array

PROTOCOL = b"2.0.0"
"""The version of MLflow whose scoring protocol this is; later ones speak the same."""
_FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


def error(status: int, text: str) -> Response:
    """``{"error_code": …, "message": …}``, the shape of MLflow's errors."""
    response = plain_error(status, text)
    code = _CODES.get(status, "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR")
    response.body = orjson.dumps({"error_code": code, "message": text})
    return response


def decode_object(body: dict[str, Any], interface: Interface) -> tuple[dict[str, Array], bool]:
    """The inputs of a JSON request, and whether they came as whole columns.

    ``params`` are for models that take some, which none does here: as in MLflow they are then ignored.
    Raises :class:`BadRequest`.
    """
    given = [key for key in _FORMATS if key in body]
    if len(given) != 1:
        told = f"has {', '.join(given)}" if given else "has none of them"
        raise BadRequest(
            f"exactly one of {', '.join(_FORMATS)} is wanted, and the body {told}; {expected(interface)}"
        )
    if not isinstance(body.get("params", {}), dict | None):
        raise BadRequest('"params" has to be an object')
    (key,) = given
    value = body[key]
    if key == "dataframe_split":
        return from_split(value, interface), False
    if key == "dataframe_records":
        return from_records(value, interface), False
    if key == "instances":
        return _instances(value, interface), False
    return _inputs(value, interface), True


def _instances(value: object, interface: Interface) -> dict[str, Array]:
    if isinstance(value, list) and value and is_object(value[0]):
        return from_records(value, interface, "instances")
    return from_rows(value, interface, "instances")


def _inputs(value: object, interface: Interface) -> dict[str, Array]:
    """Whole tensors by name, or columns of a table, or the only input's whole tensor."""
    if isinstance(value, list) and value and is_object(value[0]):
        return from_records(value, interface, "inputs")
    if is_object(value) and value.keys() != interface.inputs.keys():
        columns = list(value.values())
        if all(isinstance(column, list) for column in columns) and len({len(one) for one in columns}) == 1:
            rows = [list(row) for row in zip(*columns, strict=True)]
            return from_table(list(value), rows, interface)
    return from_columns(value, interface, "inputs")


def _health(_: Request, view: View, __: Parameters) -> Response:
    return Response(200, b"\n") if view.ready else Response(503, b"\n")


def _version(_: Request, view: View, __: Parameters) -> Response:
    return Response(200, PROTOCOL)


ROUTES = [
    Route("GET", "ping", answer=_health, error=error),
    Route("GET", "health", answer=_health, error=error),
    Route("GET", "version", answer=_version, error=error),
]
