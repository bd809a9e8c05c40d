"""Who may call what."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import modelserver_kit as kit
import pytest

from nacre.schema.serving import TokenGrant

READY = "/endpoints/p/mlp/v2/health/ready"


@pytest.fixture
def server(start: Callable[..., kit.Server], tmp_path: kit.Path) -> kit.Server:
    revision = kit.revision(kit.mlp(tmp_path / "m.onnx"))
    now = int(time.time() * 1000)
    tokens = {
        "every": TokenGrant(projects=["*"]),
        "one": TokenGrant(projects=["p"]),
        "other": TokenGrant(projects=["q"]),
        "none": TokenGrant(projects=[]),
        "late": TokenGrant(projects=["*"], expires_ms=now - 1000),
        "soon": TokenGrant(projects=["*"], expires_ms=now + 3600_000),
    }
    kit.write_routes(tmp_path, {"p/mlp": revision, "p/more": revision, "q/own": revision}, tokens)
    return start().wait()


def test_tokens(server: kit.Server) -> None:
    expected = {"every": 200, "one": 200, "soon": 200, "other": 403, "none": 403, "late": 401}
    found = {token: server.get(READY, token).status_code for token in expected}
    assert found == expected
    unknown = server.get(READY, "nobody's")
    assert (unknown.status_code, unknown.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "not known" in unknown.json()["error"]
    assert "expired" in server.get(READY, "late").json()["error"]
    assert "'p'" in server.get(READY, "other").json()["error"]
    assert server.get(READY, None).status_code == 401


def test_only_a_bearer_token_counts(server: kit.Server) -> None:
    for header, status in [
        ("bearer every", 200),
        ("Bearer  every ", 200),
        ("Basic every", 401),
        ("every", 401),
        ("Bearer", 401),
        ("Bearer " + kit.key("every"), 401),
    ]:
        raw = server.connect()
        raw.send(f"GET {READY} HTTP/1.1\r\nHost: x\r\nAuthorization: {header}\r\n\r\n".encode())
        assert raw.answer()[0] == status, header
        raw.close()


def test_an_unknown_endpoint_names_what_there_is_only_to_who_may_know(server: kit.Server) -> None:
    path = "/endpoints/p/nothing/v2"
    allowed = server.get(path, "one")
    assert allowed.status_code == 404
    assert "'mlp', 'more'" in allowed.json()["error"]
    assert "own" not in allowed.json()["error"]
    for token, status in [("other", 403), ("nobody's", 401), (None, 401)]:
        refused = server.get(path, token)
        assert refused.status_code == status
        assert "mlp" not in refused.text
    assert "there is none" in server.get("/endpoints/r/x/v2", "every").json()["error"]


def test_the_probe_needs_no_token(server: kit.Server) -> None:
    assert server.get("/healthz", None).json() == {"status": "ok"}
    assert server.get("/", None).status_code == 404


def test_the_base_address_of_an_endpoint_answers_its_callers(server: kit.Server) -> None:
    for path in ("/endpoints/p/mlp", "/endpoints/p/mlp/"):
        assert server.get(path, "one").json()["status"] == "alive"
        assert [server.get(path, token).status_code for token in ("other", None)] == [403, 401]
    headers = {"Authorization": "Bearer one"}
    told = httpx.head(
        server.url("/endpoints/p/mlp"), headers=headers, timeout=kit.DEADLINE, trust_env=False
    )
    assert (told.status_code, told.content) == (200, b"")
    posted = server.post("/endpoints/p/mlp", {}, "one")
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


def test_a_new_token_is_valid_before_any_reload(server: kit.Server) -> None:
    assert server.get(READY, "fresh").status_code == 401
    kit.write_tokens(server.folder, {"fresh": TokenGrant(projects=["p"])})
    assert server.get(READY, "fresh").status_code == 200
    assert server.get(READY, "every").status_code == 401


def test_a_revoked_token_is_refused_within_seconds(server: kit.Server) -> None:
    assert server.get(READY, "one").status_code == 200
    kit.write_tokens(server.folder, {"every": TokenGrant(projects=["*"])})
    kit.until(lambda: server.get(READY, "one").status_code == 401, "it is refused", 5.0)
    assert server.get(READY, "every").status_code == 200


def test_a_rate_beyond_the_token_s_is_refused(start: Callable[..., kit.Server], tmp_path: kit.Path) -> None:
    revision = kit.revision(kit.mlp(tmp_path / "m.onnx"))
    slow = TokenGrant(projects=["*"], rate_per_s=0.01, burst=3)
    kit.write_routes(tmp_path, {"p/mlp": revision}, {"slow": slow, "free": TokenGrant(projects=["*"])})
    server = start().wait()
    ask = {"inputs": [kit.tensor("x", "FP32", [1, 8], [0.0] * 8)]}
    answers = [server.infer("p/mlp", ask, token="slow") for _ in range(5)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429, 429]
    assert int(answers[-1].headers["retry-after"]) > 10
    assert "rate" in answers[-1].json()["error"]
    assert server.infer("p/mlp", ask, token="free").status_code == 200
    assert server.get(READY, "slow").status_code == 200


def test_workers_grant_a_rate_together(start: Callable[..., kit.Server], tmp_path: kit.Path) -> None:
    revision = kit.revision(kit.mlp(tmp_path / "m.onnx"))
    slow = TokenGrant(projects=["*"], rate_per_s=0.01, burst=5)
    kit.write_routes(tmp_path, {"p/mlp": revision}, {"slow": slow})
    server = start("--workers", "2").wait()
    ask = {"inputs": [kit.tensor("x", "FP32", [1, 8], [0.0] * 8)]}
    # Each on a connection of its own, which the kernel gives to one worker or the other.
    found = [server.infer("p/mlp", ask, token="slow").status_code for _ in range(40)]
    assert found == [200] * 5 + [429] * 35


def test_broken_tokens_change_nothing(server: kit.Server) -> None:
    (server.folder / "tokens.json").write_text('{"tokens": 2')
    assert server.get(READY, "fresh").status_code == 401
    assert server.get(READY, "every").status_code == 200


def test_a_large_body_without_a_right_to_send_it_is_refused_unread(server: kit.Server) -> None:
    for token, status in [("nobody's", 401), ("other", 403)]:
        raw = server.connect()
        raw.send(
            f"POST /endpoints/p/mlp/v2/models/m/infer HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: 1000000\r\n\r\n".encode()
        )
        found, headers, _ = raw.answer()
        assert (found, headers["connection"]) == (status, "close")
        assert raw.closed()
        raw.close()
