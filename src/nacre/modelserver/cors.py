"""Pages of other origins: what a browser is told (the CORS protocol of the Fetch standard)."""

from __future__ import annotations

from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.messages import Request, Response, error

_ALLOWED = (
    "Access-Control-Allow-Methods: GET, POST\r\n"
    "Access-Control-Allow-Headers: authorization, content-type, inference-header-content-length\r\n"
    "Access-Control-Max-Age: 600\r\n"
)


def asks(request: Request) -> bool:
    """Whether a browser asks if it may call; it sends no token with that."""
    return request.method == b"OPTIONS" and b"origin" in request.headers


def preflight(endpoint: Endpoint | None, request: Request) -> Response:
    """The answer to a browser that asks; ``endpoint`` is that of the request's path."""
    allowed = lines(endpoint, request) if endpoint is not None else ""
    if not allowed:
        return error(403, "this endpoint may not be called from pages of this origin: see cors_origins")
    return Response(204, b"", extra=allowed + _ALLOWED)


def lines(endpoint: Endpoint, request: Request) -> str:
    """The header lines that let a page of the request's origin read the answer; none where it may not."""
    origin = request.headers.get(b"origin", b"").decode("latin-1")
    origins = endpoint.config.cors_origins
    if not origin or ("*" not in origins and origin not in origins):
        return ""
    return (
        f"Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n"
        "Access-Control-Expose-Headers: inference-header-content-length\r\n"
    )
