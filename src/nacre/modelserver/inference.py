"""The application behind the inference listener: who calls which endpoint, and the answer."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import unquote_to_bytes

import orjson
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from nacre.modelserver.host import Endpoint, Host
from nacre.modelserver.limits import Limits
from nacre.modelserver.messages import Request, Response, error
from nacre.modelserver.models import Served
from nacre.modelserver.protocols.v2 import EXTENSIONS, BadRequest, Call, decode, encode
from nacre.modelserver.signature import sentence

log = logging.getLogger(__name__)

_SERVER = orjson.dumps({"name": "nacre", "version": "2", "extensions": EXTENSIONS})
_READY = orjson.dumps({"live": True, "ready": True})
_LOADING = orjson.dumps({"live": True, "ready": False})
_HEALTH = orjson.dumps({"status": "ok"})
_BINARY = "application/octet-stream"
_CODINGS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


class _TooLarge(Exception):
    pass


class Inference:
    """Routes ``/endpoints/{project}/{name}/v2/…`` to the revisions that :class:`Host` holds.

    A small model answers on the event loop; a larger one, or a large body, on one thread, while the
    loop goes on. ``handle`` is where a batcher would collect calls.
    """

    def __init__(self, host: Host, limits: Limits) -> None:
        self._host = host
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="infer")
        self._queued = 0

    def refuse(self, request: Request) -> Response | None:
        found = self._resolve(request)
        return found if isinstance(found, Response) and found.status >= 400 else None

    def handle(self, request: Request) -> Response | asyncio.Future[Response]:
        found = self._resolve(request)
        if isinstance(found, Response):
            return found
        endpoint, served = found
        start = time.perf_counter()
        model = served.model
        if not model.slow and len(request.body) <= model.inline_body:
            response = answer(served, request, self._limits.max_body)
            took = time.perf_counter() - start
            endpoint.stats.add(took, response.status, response.samples)
            model.took(took)
            return response
        if self._queued >= self._limits.max_queued:
            endpoint.stats.add(0.0, 503)
            return error(503, f"{self._queued} requests are waiting already: try again later")
        self._queued += 1
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, answer, served, request, self._limits.max_body)
        future.add_done_callback(partial(self._done, endpoint, start))
        return future

    def _done(self, endpoint: Endpoint, start: float, future: asyncio.Future[Response]) -> None:
        self._queued -= 1
        response = future.result()
        endpoint.stats.add(time.perf_counter() - start, response.status, response.samples)

    def _resolve(self, request: Request) -> Response | tuple[Endpoint, Served]:
        """The answer to anything but an inference; for that, the revision to ask."""
        parts = _split(request.target)
        if parts == ["healthz"]:
            return _get(request, Response(200, _HEALTH))
        if len(parts) < 3 or parts[0] != "endpoints":
            return error(404, "there is nothing here: endpoints are /endpoints/{project}/{name}/v2")
        project, name = parts[1], parts[2]
        refused = self._host.access.check(request.headers.get(b"authorization"), project)
        if refused is not None:
            return error(refused.status, refused.detail)
        endpoint = self._host.endpoints.get(f"{project}/{name}")
        if endpoint is None:
            return self._unknown(project, name)
        return self._within(request, endpoint, name, parts[3:])

    def _unknown(self, project: str, name: str) -> Response:
        there = ", ".join(repr(other) for other in self._host.names(project))
        rest = f"there are {there}" if there else "there is none: deploy one with nacre deploy"
        return error(404, f"project {project!r} has no endpoint {name!r}; {rest}")

    def _within(
        self, request: Request, endpoint: Endpoint, name: str, rest: list[str]
    ) -> Response | tuple[Endpoint, Served]:
        """``rest`` is what follows ``/endpoints/{project}/{name}``."""
        served = endpoint.served
        if len(rest) < 3 or rest[:2] != ["v2", "models"]:
            return _of_server(request, served, rest)
        if served is None:
            return error(503, endpoint.failure or "the endpoint is loading: try again in a moment")
        wrong = _other_model(served, name, rest)
        if wrong is not None:
            return wrong
        action = rest[5:] if rest[3:4] == ["versions"] else rest[3:]
        if action == ["infer"]:
            if request.method != b"POST":
                return error(405, "infer takes POST", extra="Allow: POST\r\n")
            return endpoint, served
        return _of_model(request, served, action)


def _of_server(request: Request, served: Served | None, rest: list[str]) -> Response:
    if rest == ["v2"]:
        return _get(request, Response(200, _SERVER))
    if rest == ["v2", "health", "live"]:
        return _get(request, Response(200, _READY if served else _LOADING))
    if rest == ["v2", "health", "ready"]:
        return _get(request, Response(200, _READY) if served else Response(503, _LOADING))
    return error(404, "there is nothing here: ask for v2/models/{model}/infer")


def _of_model(request: Request, served: Served, action: list[str]) -> Response:
    if not action:
        return _get(request, Response(200, served.metadata))
    if action == ["ready"]:
        return _get(request, Response(200, _READY))
    return error(404, "there is nothing here: a model has infer, ready and its metadata")


def _split(target: bytes) -> list[str]:
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        # The absolute form that proxies use: scheme://host/path
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    parts = path.strip(b"/").split(b"/")
    if b"%" in path:
        parts = [unquote_to_bytes(part) for part in parts]
    return [part.decode("utf-8", "replace") for part in parts]


def _get(request: Request, response: Response) -> Response:
    if request.method in (b"GET", b"HEAD"):
        return response
    return error(405, "this takes GET", extra="Allow: GET, HEAD\r\n")


def _other_model(served: Served, name: str, rest: list[str]) -> Response | None:
    """Why ``v2/models/{m}[/versions/{v}]`` is not what this endpoint serves."""
    interface = served.interface
    if rest[2] not in (interface.model, name):
        return error(404, f"endpoint {name!r} serves model {interface.model!r}, there is no {rest[2]!r}")
    if rest[3:4] == ["versions"] and rest[4:5] != [interface.version]:
        asked = rest[4] if len(rest) > 4 else ""
        return error(
            404,
            f"endpoint {name!r} serves version {interface.version} of model "
            f"{interface.model!r}, not {asked!r}",
        )
    return None


def answer(served: Served, request: Request, max_body: int) -> Response:
    """Decode, run, encode. Never raises: what goes wrong is the answer."""
    try:
        return _infer(served, request, max_body)
    except BadRequest as wrong:
        return error(400, str(wrong))
    except _TooLarge:
        return error(413, f"the body is over the limit of {max_body} bytes when decompressed")
    except ort_errors.InvalidArgument as wrong:
        return error(400, f"the model refuses this input: {sentence(wrong)}")
    except MemoryError:
        return error(503, "there was not enough memory for this request")
    except Exception as wrong:
        log.warning("%s: %s: %s", served.revision.model, type(wrong).__name__, sentence(wrong))
        return error(500, f"the model failed on this input: {sentence(wrong)}")


def _infer(served: Served, request: Request, max_body: int) -> Response:
    body, headers = request.body, request.headers
    if b"content-encoding" in headers:
        body = _decompress(body, headers[b"content-encoding"], max_body)
    call = decode(body, _header_length(headers), served.interface)
    arrays = served.model.run(call.outputs, call.feed)
    text, length = encode(call, arrays, served.interface)
    if length is None:
        response = Response(200, text)
    else:
        response = Response(200, text, _BINARY, f"Inference-Header-Content-Length: {length}\r\n")
    response.samples = _samples(call, served)
    return response


def _samples(call: Call, served: Served) -> int:
    """Rows of the first input, where its first dimension is left open."""
    for name, spec in served.interface.inputs.items():
        return len(call.feed[name]) if spec.shape[:1] == [-1] else 1
    return 1


def _header_length(headers: dict[bytes, bytes]) -> int | None:
    value = headers.get(b"inference-header-content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 12:
        raise BadRequest("Inference-Header-Content-Length has to be a number of bytes")
    return int(value)


def _decompress(body: bytes, coding: bytes, max_body: int) -> bytes:
    coding = coding.strip().lower()
    if coding == b"identity":
        return body
    if coding not in _CODINGS:
        raise BadRequest(f"Content-Encoding {coding.decode('latin-1')!r} is not known: gzip or deflate")
    stream = zlib.decompressobj(_CODINGS[coding])
    try:
        plain = stream.decompress(body, max_body + 1)
    except zlib.error as wrong:
        raise BadRequest(f"the body is not {coding.decode()}: {wrong}") from wrong
    if len(plain) > max_body:
        raise _TooLarge
    if not stream.eof:
        raise BadRequest(f"the {coding.decode()} body is cut short")
    return plain
