"""Routes of launchers: what they report, and the blobs of their attempt."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Path, Query, Request
from starlette.responses import Response

from nacre.api.bodies import blob_response, take_stream
from nacre.api.routes import Allowed, Routes, Wired
from nacre.errors import TooLarge
from nacre.schema.base import Digest
from nacre.schema.data import BlobQuery, BlobsMissing
from nacre.schema.launch import Channel, ChannelAck
from nacre.services.channels import MAX_BODY_BYTES

routes = Routes()


@routes.operation("attempts.report")
async def report(
    *,
    attempt: str,
    rank: Annotated[int, Path(ge=0)],
    channel: Channel,
    request: Request,
    caller: Allowed,
    services: Wired,
    offset: Annotated[int, Query(ge=0)],
) -> ChannelAck:
    """Take the bytes from ``offset`` on that were not taken before; at most 1 MiB."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"send at most {MAX_BODY_BYTES} bytes at once", limit=MAX_BODY_BYTES)
    return await asyncio.to_thread(
        services.attempts.report, attempt, rank, channel, offset=offset, body=bytes(body)
    )


@routes.operation("attempts.missing")
def missing(attempt: str, body: BlobQuery, caller: Allowed, services: Wired) -> BlobsMissing:
    """Which blobs of its artifacts a launcher must send."""
    return services.attempts.missing(caller, attempt, body.digests)


@routes.operation("attempts.put_blob", status=204)
async def put_blob(
    attempt: str, digest: Digest, request: Request, caller: Allowed, services: Wired
) -> None:
    """Take a blob of any length."""
    await take_stream(request, lambda body: services.attempts.put_blob(caller, attempt, digest, body))


@routes.operation("attempts.get_blob", response_class=Response, response_model=None)
def get_blob(attempt: str, digest: Digest, request: Request, caller: Allowed, services: Wired) -> Response:
    """A blob of the attempt's code or inputs."""
    return blob_response(request, services.attempts.get_blob(caller, attempt, digest), digest)
