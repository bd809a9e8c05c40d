"""Request bodies that are read as they come, and blobs that are sent as they are read."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from nacre.api.downloads import HARMLESS, file_headers
from nacre.errors import InvalidSpec, RequestError, TooLarge

_CHUNK = 2**20
_SILENCE_S = 60.0
_TRANSFERS = 16
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
T = TypeVar("T")

_limiters: dict[int, anyio.CapacityLimiter] = {}


def _limiter() -> anyio.CapacityLimiter:
    """Transfers have threads of their own, so that slow senders do not keep other requests waiting."""
    key = id(anyio.lowlevel.current_token())
    if key not in _limiters:
        _limiters.clear()
        _limiters[key] = anyio.CapacityLimiter(_TRANSFERS)
    return _limiters[key]


class Body(io.RawIOBase):
    """A request's body as a stream for one thread, about a MiB at a time. Not seekable.

    Raises, from ``read``:
        RequestError: the sender went away, or was silent for a minute.
    """

    def __init__(self, request: Request) -> None:
        self._chunks = request.stream()
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        if not self._rest and not self._ended:
            self._rest = anyio.from_thread.run(self._more)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    async def _more(self) -> bytes:
        collected = bytearray()
        try:
            with anyio.fail_after(_SILENCE_S):
                while len(collected) < _CHUNK:
                    chunk = await anext(self._chunks, None)
                    if chunk is None:
                        self._ended = True
                        break
                    collected += chunk
        except TimeoutError:
            raise RequestError(f"no bytes came for {_SILENCE_S:.0f} seconds: send them again") from None
        except ClientDisconnect:
            raise RequestError("the sender went away in the middle of the body") from None
        return bytes(collected)


async def take_stream(request: Request, work: Callable[[BinaryIO], T]) -> T:
    """Run ``work(body)`` in a thread while the body comes in; a MiB of it is held at a time."""
    body = Body(request)
    return await anyio.to_thread.run_sync(lambda: work(body), limiter=_limiter())  # type: ignore[arg-type]


async def take_bytes(request: Request, limit: int, work: Callable[[bytes], T]) -> T:
    """Run ``work(bytes)`` in a thread with the whole body, of at most ``limit`` bytes.

    At most ``_TRANSFERS`` bodies are held at once, whatever the number of requests.

    Raises:
        TooLarge: the body is longer.
    """
    async with _limiter():
        declared = request.headers.get("content-length", "")
        held = bytearray(min(limit, int(declared)) if declared.isdecimal() else 0)
        size = 0
        chunks = request.stream()
        try:
            while True:
                with anyio.fail_after(_SILENCE_S):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    break
                held[size : size + len(chunk)] = chunk
                size += len(chunk)
                if size > limit:
                    raise TooLarge(f"the body is over {limit} bytes: send less at once", limit=limit)
        except TimeoutError:
            raise RequestError(f"no bytes came for {_SILENCE_S:.0f} seconds: send them again") from None
        except ClientDisconnect:
            raise RequestError("the sender went away in the middle of the body") from None
        del held[size:]
        one = anyio.CapacityLimiter(1)  # our place among the transfers is taken already
        return await anyio.to_thread.run_sync(lambda: work(held), limiter=one)  # type: ignore[arg-type]


def blob_response(request: Request, stream: BinaryIO, digest: str, *, path: str | None = None) -> Response:
    """The blob as an answer that supports ``Range``; closes the stream in the end.

    It is an attachment of no particular type, or, as the file at ``path``, what
    :func:`nacre.api.downloads.file_headers` says, and asked for again each time, for a path may get other
    bytes. Either way a browser runs nothing of it in the console's origin.
    """
    size = stream.seek(0, io.SEEK_END)
    headers = {
        **HARMLESS,
        "Content-Type": "application/octet-stream",
        "Accept-Ranges": "bytes",
        "ETag": f'"{digest}"',
        "Cache-Control": "private, immutable, max-age=31536000",
        "Content-Disposition": "attachment",
    }
    if path is not None:
        headers |= file_headers(path) | {"Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        stream.close()
        return Response(status_code=304, headers=headers)
    try:
        wanted = _range(request.headers.get("range"), size)
    except InvalidSpec:
        stream.close()
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    start, end = wanted or (0, size)
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(
        _pieces(stream, start, end),
        status_code=206 if wanted else 200,
        headers=headers,
    )


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, end) of a single range; null when there is none that we understand (then all is sent)."""
    match = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    if start >= end:
        raise InvalidSpec("the range is outside of the blob")
    return start, end


def _pieces(stream: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with stream:
        stream.seek(start)
        while start < end and (piece := stream.read(min(_CHUNK, end - start))):
            start += len(piece)
            yield piece
