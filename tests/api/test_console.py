"""The console's files from the API's listener, and the page in their place where it was not built."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.api.conftest import Http, services_of
from tests.identity_kit import Identity

from nacre.api.app import make_app

PAGE = "<!doctype html><title>Nacre</title>" + " " * 2000
SCRIPT = "console.log('here');" * 100


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small console, built, with a file beside its folder that is not its own."""
    root = tmp_path / "built"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text(PAGE)
    (root / "icon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (root / ".sources").write_text("digest")
    (root / "assets" / ".hidden.js").write_text("hidden")
    (root / "assets" / "a-1.js").write_text(SCRIPT)
    (root / "assets" / "a-1.js.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (root / "assets" / "a-1.js.br").write_bytes(b"brotli")
    (root / "assets" / "h.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret.key").write_text("the key")
    (root / "assets" / "out.js").symlink_to(tmp_path / "secret.key")
    monkeypatch.setenv("NACRE_CONSOLE_DIR", str(root))
    return root


@pytest.fixture
def http(identity: Identity, built: Path) -> Iterator[Http]:
    found = Http(make_app(services_of(identity), "0"))
    yield found
    found.close()


@pytest.fixture
def unbuilt(identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Http]:
    monkeypatch.setenv("NACRE_CONSOLE_DIR", str(tmp_path / "nothing"))
    found = Http(make_app(services_of(identity), "0"))
    yield found
    found.close()


class TestPages:
    @pytest.mark.parametrize(
        "path",
        ["/", "/sign-in?code=x", "/p/default/runs/abc", "/p/a.b/models/net.v2", "/index.html", "/account/"],
    )
    def test_every_address_that_is_no_file_is_the_page(self, http: Http, path: str) -> None:
        answer = http.request("GET", path)
        assert (answer.status_code, answer.text) == (200, PAGE)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-cache"
        policy = answer.headers["content-security-policy"]
        for rule in (
            "default-src 'none'",
            "frame-ancestors 'none'",
            "connect-src 'self'",
            "base-uri 'none'",
        ):
            assert rule in policy
        assert "script-src 'self' 'wasm-unsafe-eval';" in policy  # nothing inline, no eval
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "same-origin"

    def test_an_upgrade_is_seen_at_once(self, http: Http, built: Path) -> None:
        http.request("GET", "/")
        (built / "index.html").write_text("new")
        assert http.request("GET", "/").text == "new"

    def test_head(self, http: Http) -> None:
        answer = http.request("HEAD", "/p/default/runs")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(PAGE))

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_pages_take_nothing(self, http: Http, method: str) -> None:
        answer = http.request(method, "/p/default/runs")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


class TestFiles:
    def test_hashed_names_are_kept_for_ever_and_others_asked_for_again(self, http: Http) -> None:
        script = http.request("GET", "/assets/a-1.js", headers={"Accept-Encoding": "identity"})
        assert (script.text, script.headers["content-type"]) == (SCRIPT, "text/javascript; charset=utf-8")
        assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
        icon = http.request("GET", "/icon.svg")
        assert icon.headers["cache-control"] == "no-cache"
        assert icon.headers["content-type"] == "image/svg+xml"
        for answer in (script, icon):
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert http.request("GET", "/assets/h.wasm").headers["content-type"] == "application/wasm"

    @pytest.mark.parametrize(
        ("accepted", "encoding"),
        [
            ("gzip, deflate, br, zstd", "br"),
            ("GZIP", "gzip"),
            ("br;q=1.0, gzip;q=0.5", "br"),
            ("br;q=0, gzip", "gzip"),
            ("br; q=0.0", None),
            ("brotli, gzipped", None),
            ("identity", None),
            ("", None),
        ],
    )
    def test_the_smallest_form_that_is_accepted(
        self, http: Http, accepted: str, encoding: str | None
    ) -> None:
        request = http._client.build_request("GET", "/assets/a-1.js", headers={"Accept-Encoding": accepted})
        answer = http._runner.run(http._client.send(request, stream=True))
        raw = http._runner.run(answer.aread()) if encoding != "br" else b""
        assert answer.headers.get("content-encoding") == encoding
        assert answer.headers["vary"] == "Accept-Encoding"
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        if encoding != "br":
            assert raw.decode() == SCRIPT
        http._runner.run(answer.aclose())

    @pytest.mark.parametrize(
        "path",
        [
            "/assets/nothing.js",
            "/assets/",
            "/assets",
            "/favicon.ico",
            "/robots.txt",
            "/.sources",
            "/assets/.hidden.js",
            "/assets/out.js",
            "/assets/..%2f..%2fsecret.key",
            "/assets/%2e%2e/%2e%2e/secret.key",
            "/assets/a%00.js",
            "/assets/" + "a" * 5000,
            "/assets/a-1.js/more",
        ],
    )
    def test_what_is_not_there_is_a_problem(self, http: Http, path: str) -> None:
        answer = http.request("GET", path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert "the key" not in answer.text

    @pytest.mark.parametrize(
        "path", ["/..%2fsecret.key", "/%2e%2e/secret.key", "//etc/passwd", "/..%5csecret.key", "/%00"]
    )
    def test_nothing_outside_of_the_folder_is_read(self, http: Http, path: str) -> None:
        answer = http.request("GET", path)
        assert "the key" not in answer.text
        assert "root:" not in answer.text
        assert answer.status_code in (200, 404)
        assert answer.status_code == 404 or answer.text == PAGE


class TestTheApiBesideIt:
    @pytest.mark.parametrize(
        "path", ["/api", "/api/", "/api/v1/nothing", "/api/v2", "/ajax-api/x", "/v1/models", "/v2/health"]
    )
    def test_unknown_paths_stay_problems(self, http: Http, path: str) -> None:
        for method in ("GET", "HEAD", "POST"):
            answer = http.request(method, path)
            assert answer.status_code == 404, method
            assert answer.headers["content-type"] == "application/problem+json"

    def test_a_wrong_method_stays_one(self, http: Http) -> None:
        for method, path in (("GET", "/api/v1/sessions"), ("DELETE", "/api/v1"), ("PUT", "/api/v1/me")):
            answer = http.request(method, path)
            assert answer.status_code == 405, path
            assert answer.headers["content-type"] == "application/problem+json"

    def test_the_live_connection_still_asks_for_an_upgrade(self, http: Http, identity: Identity) -> None:
        assert http.request("GET", "/api/v1/live").status_code == 401
        token = identity.sign_up("ada").secret
        answer = http.request("GET", "/api/v1/live", token=token)
        assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")

    def test_answers_of_the_api_are_no_pages(self, http: Http) -> None:
        for path in ("/api/v1/me", "/api/v1/openapi.json", "/api/v1/nothing"):
            answer = http.request("GET", path)
            assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"


class TestWithoutTheConsole:
    @pytest.mark.parametrize("path", ["/", "/sign-in?code=x"])
    def test_the_page_names_the_command_that_signs_in_here(self, unbuilt: Http, path: str) -> None:
        answer = unbuilt.request("GET", path, headers={"Host": "gpu-box:7373"})
        assert answer.status_code == 200
        assert "nacre login http://gpu-box:7373" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert unbuilt.request("HEAD", path).status_code == 200

    def test_a_host_name_cannot_put_markup_into_it(self, unbuilt: Http) -> None:
        answer = unbuilt.request("GET", "/", headers={"Host": "<script>alert(1)</script>"})
        assert "<script>" not in answer.text

    @pytest.mark.parametrize("path", ["/p/default/runs", "/api/v1/nothing", "/index.html"])
    def test_nothing_else_is_there(self, unbuilt: Http, path: str) -> None:
        answer = unbuilt.request("GET", path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
