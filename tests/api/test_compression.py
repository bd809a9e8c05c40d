"""What of the API's answers is compressed, and what must not be."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from tests.api.conftest import Http
from tests.identity_kit import Identity

from nacre.api import compression
from nacre.api.bodies import blob_response
from nacre.api.compression import LEAST, Compression
from nacre.api.waiting import log_response
from nacre.services.signals import Signals

TEXT = "loss 0.12345 accuracy 0.98765\n" * 1000
BIG = "loss 0.12345 accuracy 0.98765\n" * 100_000


class Client:
    """An application with the middleware around it; answers come as they were sent, not unpacked."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.app.add_middleware(Compression)
        self._http = Http(self.app)

    def serve(self, make: Callable[..., Any], path: str = "/api/v1/things") -> None:
        self.app.add_api_route(path, make, methods=["GET", "HEAD"], response_class=Response)

    def get(
        self, path: str = "/api/v1/things", accept: str | None = "gzip, br", **more: Any
    ) -> httpx.Response:
        return self._http.request(
            more.pop("method", "GET"), path, headers={"Accept-Encoding": accept or "", **more}
        )

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client()
    yield made
    made.close()


def plain(answer: httpx.Response) -> bool:
    return "content-encoding" not in answer.headers


class TestWholeAnswers:
    def test_are_compressed_for_who_takes_gzip(self, client: Client) -> None:
        client.serve(lambda: JSONResponse({"text": TEXT}))
        answer = client.get()
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert int(answer.headers["content-length"]) < len(TEXT) / 10
        assert answer.json() == {"text": TEXT}

    @pytest.mark.parametrize("accept", ["", "br", "gzip;q=0", "identity, gzip; q=0.0"])
    def test_are_plain_for_who_does_not(self, client: Client, accept: str) -> None:
        client.serve(lambda: JSONResponse({"text": TEXT}))
        answer = client.get(accept=accept)
        assert plain(answer)
        assert answer.headers["vary"] == "Accept-Encoding"  # a cache must not give it to others
        assert int(answer.headers["content-length"]) == len(answer.content)

    @pytest.mark.parametrize("length", [0, 10, LEAST - 1])
    def test_that_are_small_stay_plain(self, client: Client, length: int) -> None:
        client.serve(lambda: PlainTextResponse("x" * length))
        answer = client.get()
        assert plain(answer)
        assert (answer.headers["content-length"], answer.text) == (str(length), "x" * length)

    def test_that_are_large_are_compressed_beside_the_loop(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads: list[int] = []

        class Told:
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                self._inner = zlib.compressobj(*args, **kwargs)

            def compress(self, body: bytes) -> bytes:
                threads.append(threading.get_ident())
                return self._inner.compress(body)

            def flush(self, mode: int) -> bytes:
                return self._inner.flush(mode)

        fake = type("zlib", (), {"compressobj": Told, "Z_FINISH": zlib.Z_FINISH})
        monkeypatch.setattr(compression, "zlib", fake)
        client.serve(lambda: PlainTextResponse(TEXT[:20_000]))
        client.serve(lambda: PlainTextResponse(BIG), "/api/v1/large")
        assert client.get().text == TEXT[:20_000]
        assert client.get("/api/v1/large").text == BIG
        assert threads[0] == threading.get_ident()
        assert threads[1] != threading.get_ident()

    def test_keep_their_other_headers_and_state(self, client: Client) -> None:
        client.serve(
            lambda: JSONResponse({"text": TEXT}, 422, {"Vary": "Origin", "Cache-Control": "no-store"})
        )
        answer = client.get()
        assert (answer.status_code, answer.headers["vary"]) == (422, "Origin, Accept-Encoding")
        assert answer.headers["cache-control"] == "no-store"


class TestLeftAlone:
    @pytest.mark.parametrize("status", [204, 206, 304])
    def test_answers_without_a_body_and_parts(self, client: Client, status: int) -> None:
        body = TEXT if status == 206 else None
        client.serve(lambda: Response(body, status, media_type="text/plain"))
        answer = client.get()
        assert plain(answer)
        assert answer.text == (body or "")

    @pytest.mark.parametrize(
        "headers",
        [
            {"ETag": '"abc"'},
            {"Accept-Ranges": "bytes"},
            {"Content-Encoding": "identity"},
            {"Cache-Control": "private, no-transform"},
            {"Content-Type": "text/event-stream"},
            {"Content-Type": "application/zip"},
            {"Content-Type": "image/png"},
        ],
    )
    def test_what_has_a_validator_ranges_a_coding_or_is_no_text(
        self, client: Client, headers: dict[str, str]
    ) -> None:
        client.serve(lambda: Response(TEXT, headers={"Content-Type": "text/plain", **headers}))
        answer = client.get()
        assert answer.headers.get("content-encoding", "identity") == "identity"
        assert answer.text == TEXT
        assert "vary" not in answer.headers

    def test_head(self, client: Client) -> None:
        client.serve(lambda: PlainTextResponse(TEXT))
        answer = client.get(method="HEAD")
        assert plain(answer)
        assert answer.headers["content-length"] == str(len(TEXT))

    @pytest.mark.parametrize(
        "path", ["/api/2.0/mlflow/runs/search", "/assets/a.js", "/api/v1/sessions", "/api/v1/tokens/x"]
    )
    def test_other_paths_and_secrets(self, client: Client, path: str) -> None:
        client.serve(lambda: PlainTextResponse(TEXT), path)
        assert plain(client.get(path))

    def test_blobs_and_their_ranges(self, client: Client, tmp_path: Any) -> None:
        (tmp_path / "log.txt").write_text(TEXT)

        def blob(request: Any) -> Response:
            return blob_response(request, (tmp_path / "log.txt").open("rb"), "d1", path="log.txt")

        client.app.add_route("/api/v1/blobs/d1", blob)
        whole = client.get("/api/v1/blobs/d1")
        assert plain(whole)
        assert (whole.text, whole.headers["content-length"]) == (TEXT, str(len(TEXT)))
        part = client.get("/api/v1/blobs/d1", Range="bytes=10-2999")
        assert plain(part)
        assert (part.status_code, part.text) == (206, TEXT[10:3000])
        again = client.get("/api/v1/blobs/d1", **{"If-None-Match": '"d1"'})
        assert (again.status_code, again.headers["etag"]) == (304, '"d1"')


class TestStreams:
    def test_each_piece_can_be_read_as_it_comes(self) -> None:
        pieces = [b"run,loss\r\n", b"a,0.1\r\n" * 9000, b"", b"b,0.2\r\n"]
        sent: list[dict[str, Any]] = []

        async def body() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await StreamingResponse(body(), media_type="text/csv")(scope, receive, send)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/api/v1/projects/p/run-export",
            "headers": [(b"accept-encoding", b"gzip")],
            "asgi": {"spec_version": "2.4"},
        }
        asyncio.run(Compression(app)(scope, None, send))  # type: ignore[arg-type]
        headers = dict(sent[0]["headers"])
        assert headers[b"content-encoding"] == b"gzip"
        assert b"content-length" not in headers
        reader = zlib.decompressobj(wbits=31)
        read = [reader.decompress(one["body"]) for one in sent[1:]]
        assert read[: len(pieces)] == pieces
        assert reader.eof
        assert not sent[-1]["more_body"]

    @pytest.mark.parametrize("follow", [False, True])
    def test_a_log_is_compressed_unless_it_is_followed(self, client: Client, follow: bool) -> None:
        log = TEXT.encode()

        def logs() -> Response:
            return log_response(
                Signals(), ("t",), lambda at: (log[at : at + 10_000], True), offset=5, follow=follow
            )

        client.serve(logs)
        answer = client.get()
        assert plain(answer) == follow
        assert answer.content == log[5:]
        assert answer.headers["nacre-offset"] == "5"


class TestApi:
    def test_the_document_of_the_api(self, api: Http) -> None:
        packed = api.request("GET", "/api/v1/openapi.json", headers={"Accept-Encoding": "gzip"})
        bare = api.request("GET", "/api/v1/openapi.json", headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.json() == bare.json()
        assert int(packed.headers["content-length"]) < len(bare.content) / 5

    def test_every_operation_that_answers_with_a_secret_is_left_out(
        self, api: Http, identity: Identity
    ) -> None:
        document = api.request("GET", "/api/v1/openapi.json").json()
        models = document["components"]["schemas"]
        found = set()
        for path, methods in document["paths"].items():
            for operation in methods.values():
                for status, answer in operation["responses"].items():
                    content = answer.get("content", {}).get("application/json", {}) if status < "3" else {}
                    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                    if {"secret", "code", "token"} & set(models.get(name, {}).get("properties", {})):
                        found.add((operation["operationId"], path))
        assert {"tokens.create", "users.sign_in", "sessions.link", "invitations.create"} <= {
            n for n, _ in found
        }
        compressed = {name for name, path in found if compression._may_be(path)}
        assert compressed == set()
