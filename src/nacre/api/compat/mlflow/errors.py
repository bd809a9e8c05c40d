"""Errors as MLflow's client expects them: ``{"error_code", "message"}``."""

from __future__ import annotations

import orjson

from nacre.errors import (
    Conflict,
    InvalidSpec,
    NacreError,
    NotFound,
    PermissionDenied,
    PluginError,
    QuotaExceeded,
    RateLimited,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

_STATUS = {
    "INVALID_PARAMETER_VALUE": 400,
    "BAD_REQUEST": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_CONFLICT": 409,
    # MLflow answers 500 here, which its client repeats for minutes; it knows the error by the code
    "INVALID_STATE": 409,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "INTERNAL_ERROR": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
}

_CODES: tuple[tuple[type[NacreError], str, int], ...] = (
    (InvalidSpec, "INVALID_PARAMETER_VALUE", 400),
    (Unauthenticated, "UNAUTHENTICATED", 401),
    (PermissionDenied, "PERMISSION_DENIED", 403),
    (NotFound, "RESOURCE_DOES_NOT_EXIST", 404),
    (Conflict, "RESOURCE_CONFLICT", 409),
    (QuotaExceeded, "RESOURCE_CONFLICT", 409),
    (TooLarge, "INVALID_PARAMETER_VALUE", 413),
    (RateLimited, "REQUEST_LIMIT_EXCEEDED", 429),
    (Unavailable, "TEMPORARILY_UNAVAILABLE", 503),
    (PluginError, "INTERNAL_ERROR", 502),
    (NacreError, "INTERNAL_ERROR", 500),
)


class MlflowError(Exception):
    """An error with MLflow's own code, where the text or the code matters to its client.

    ``status`` follows from the code, as MLflow's does.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = _STATUS[code]


def invalid(message: str) -> MlflowError:
    """What the request says is impossible."""
    return MlflowError("INVALID_PARAMETER_VALUE", message)


def missing(message: str) -> MlflowError:
    """There is no such thing."""
    return MlflowError("RESOURCE_DOES_NOT_EXIST", message)


def exists(message: str) -> MlflowError:
    """There is such a thing already."""
    return MlflowError("RESOURCE_ALREADY_EXISTS", message)


def answer(error: MlflowError | NacreError) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Status, body and further headers that stand for the error."""
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, MlflowError):
        code, message, status = error.code, error.message, error.status
    else:
        code, status = next((c, s) for kind, c, s in _CODES if isinstance(error, kind))
        message = error.detail
        if (wait := error.extra.get("retry_after_s")) is not None:
            headers.append((b"retry-after", str(wait).encode()))
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer, Basic realm="nacre"'))
    return status, orjson.dumps({"error_code": code, "message": message}), headers
