"""Blobs: asking what is missing, sending, reading."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response

from nacre.api.bodies import blob_response, take_bytes, take_stream
from nacre.api.routes import Allowed, Routes, Wired
from nacre.ports.blobs import PART_BYTES
from nacre.schema.data import BlobParts, BlobQuery, BlobsMissing, BlobsStored, PartStored
from nacre.schema.manifests import frame, frames
from nacre.services.blobs import MAX_BATCH_BYTES, BlobLedger

routes = Routes()

BlobDigest = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="BLAKE3 of the blob")]
Size = Annotated[int, Query(ge=1, le=2**50, description="length in bytes of the whole blob")]


def _ledger(wired: Wired) -> BlobLedger:
    return wired.blobs


Ledger = Annotated[BlobLedger, Depends(_ledger)]
_BYTES = {"requestBody": {"content": {"application/octet-stream": {}}, "required": True}}


@routes.operation("blobs.missing")
def missing(query: BlobQuery, caller: Allowed, ledger: Ledger) -> BlobsMissing:
    return ledger.missing(caller, query.digests)


@routes.operation("blobs.put", status=201, openapi_extra=_BYTES)
async def put(digest: BlobDigest, request: Request, caller: Allowed, ledger: Ledger) -> BlobsStored:
    await take_stream(request, lambda body: ledger.put(caller, digest, body))
    return BlobsStored(stored=1)


@routes.operation("blobs.put_many", status=201, openapi_extra=_BYTES)
async def put_many(request: Request, caller: Allowed, ledger: Ledger) -> BlobsStored:
    """Frames, one after another: 32 bytes of digest, 8 bytes of length (big-endian), the blob's bytes."""
    return await take_bytes(
        request, MAX_BATCH_BYTES, lambda body: ledger.put_many(caller, list(frames(bytes(body))))
    )


@routes.operation("blobs.parts")
def parts(digest: BlobDigest, size: Size, caller: Allowed, ledger: Ledger) -> BlobParts:
    return ledger.parts(caller, digest, size)


@routes.operation("blobs.put_part", openapi_extra=_BYTES)
async def put_part(
    digest: BlobDigest,
    offset: Annotated[int, Path(ge=0)],
    size: Size,
    request: Request,
    caller: Allowed,
    ledger: Ledger,
) -> PartStored:
    return await take_bytes(
        request, PART_BYTES, lambda body: ledger.put_part(caller, digest, size, offset, body)
    )


@routes.operation("blobs.get_many", response_class=Response)
def get_many(query: BlobQuery, caller: Allowed, ledger: Ledger) -> Response:
    """Frames as in ``blobs.put_many``, in the order asked for."""
    body = b"".join(frame(digest, data) for digest, data in ledger.open_many(caller, query.digests))
    return Response(body, media_type="application/octet-stream")


@routes.operation("blobs.get", response_class=Response)
def get(digest: BlobDigest, request: Request, caller: Allowed, ledger: Ledger) -> Response:
    return blob_response(request, ledger.open(caller, digest), digest)
