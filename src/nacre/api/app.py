"""The API application: every noun's routes, one error shape, a bound on the body's size."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nacre.api import console, problems
from nacre.api.compat.mlflow.app import MlflowEdge
from nacre.api.compression import Compression
from nacre.api.downloads import HARMLESS
from nacre.api.routers import ALL
from nacre.errors import TooLarge
from nacre.services.registry import Services

MAX_JSON_BYTES = 16 * 2**20
MAX_BLOB_BYTES = 64 * 2**20
MAX_ARTIFACT_BYTES = 2**40
"""Of one file that a job leaves: launchers send it whole, and it goes to the disk as it comes."""


_DATA_HEADERS = [
    (name.lower().encode(), value.encode())
    for name, value in ({"Cache-Control": "no-store"} | HARMLESS).items()
]


class BodyLimit:
    """Refuses a request body over the limit with 413, before anything reads it into memory.

    Blobs and channels may be larger than JSON; ``Content-Length`` is believed first and then counted.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        raw = scope["path"]
        limit = MAX_BLOB_BYTES if "/blobs/" in raw or "/replicas/" in raw else MAX_JSON_BYTES
        if raw.startswith("/api/v1/attempts/") and "/blobs/" in raw:
            limit = MAX_ARTIFACT_BYTES
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        error = TooLarge(f"the request's body is over the limit of {limit} bytes", limit=limit)
        if declared.isdigit() and int(declared) > limit:
            await problems.problem_response(error)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise error
            return message

        await self.app(scope, counted, send)


class Harmless:
    """Answers of the API are data: opened in a browser they are no pages of the console's origin, other
    origins cannot embed them, and nothing keeps them unless they say so."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"] = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                headers += [one for one in _DATA_HEADERS if one[0] not in there]
            await send(message)

        await self.app(scope, receive, headed)


def make_app(services: Services, version: str) -> FastAPI:
    """The application for port 7373."""
    app = FastAPI(
        title="Nacre",
        version=version,
        summary="A deep-learning cloud that you own",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Harmless)
    app.add_middleware(Compression)
    app.add_middleware(MlflowEdge, services=services)
    for router in ALL:
        # as they are: include_router would build each once more, at the first request of each application
        app.router.routes.extend(router.routes)
    console.install(app)
    return app
