"""Identity over HTTP: signing up, in and out, tokens, projects, secrets, and the shape of errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.api.conftest import Http
from tests.identity_kit import PASSWORD, Identity

from nacre.api.app import MAX_JSON_BYTES

A = "/api/v1"


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, after checking its shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert set(body) == {"type", "title", "status", "code", "detail", "extra"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["type"] == f"urn:nacre:error:{code}"
    return body


@pytest.fixture
def owner(identity: Identity) -> str:
    return identity.users.ensure_owner()[1]


@pytest.fixture
def ada(identity: Identity) -> str:
    return identity.sign_up("ada").secret


@pytest.fixture
def bob(identity: Identity) -> str:
    return identity.sign_up("bob").secret


class TestSessions:
    def test_invited_signed_up_in_and_out(self, api: Http, owner: str) -> None:
        invitation = api.request("POST", f"{A}/invitations", token=owner, json={"project": "default"})
        assert invitation.status_code == 201
        body = {"name": "ada", "password": PASSWORD, "invitation": invitation.json()["secret"]}
        made = api.request("POST", f"{A}/users", json=body)
        assert made.status_code == 201
        signed_in = api.request("POST", f"{A}/sessions", json={"name": "ada", "password": PASSWORD})
        assert signed_in.status_code == 201
        token = signed_in.json()["secret"]
        me = api.request("GET", f"{A}/me", token=token)
        assert made.json()["user"] == signed_in.json()["user"]
        assert me.json() == made.json()["user"] | {"has_password": True}
        projects = api.request("GET", f"{A}/projects", token=token).json()["items"]
        assert {p["name"]: p["role"] for p in projects} == {"ada": "owner", "default": "editor"}
        assert api.request("DELETE", f"{A}/sessions/current", token=token).status_code == 204
        problem(api.request("GET", f"{A}/me", token=token), 401, "unauthenticated")

    def test_sign_up_needs_an_invitation_until_it_is_opened(self, api: Http, owner: str) -> None:
        body = {"name": "ada", "password": PASSWORD}
        problem(api.request("POST", f"{A}/users", json=body), 403, "permission_denied")
        changed = api.request("PATCH", f"{A}/settings", token=owner, json={"sign_up": "open"})
        assert changed.json()["sign_up"] == "open"
        assert api.request("POST", f"{A}/users", json=body).status_code == 201
        problem(api.request("POST", f"{A}/users", json=body), 409, "conflict")

    def test_wrong_password_and_unknown_user_get_the_same_answer(self, api: Http, ada: str) -> None:
        answers = [
            api.request("POST", f"{A}/sessions", json={"name": name, "password": "wrong password"})
            for name in ("ada", "nobody")
        ]
        assert problem(answers[0], 401, "unauthenticated") == answers[1].json()
        assert answers[0].headers["www-authenticate"] == "Bearer"

    def test_guessing_is_told_when_to_come_back(self, api: Http, ada: str) -> None:
        guess = {"name": "ada", "password": "wrong password"}
        for _ in range(5):
            problem(api.request("POST", f"{A}/sessions", json=guess), 401, "unauthenticated")
        limited = api.request("POST", f"{A}/sessions", json=guess)
        assert problem(limited, 429, "rate_limited")["extra"] == {"retry_after_s": 1}
        assert limited.headers["retry-after"] == "1"

    def test_a_new_password_ends_other_sessions(self, api: Http, identity: Identity, ada: str) -> None:
        other = identity.sign_in("ada").secret
        body = {"old": PASSWORD, "new": "another password"}
        assert api.request("POST", f"{A}/me/password", token=ada, json=body).status_code == 204
        assert api.request("GET", f"{A}/me", token=ada).status_code == 200
        problem(api.request("GET", f"{A}/me", token=other), 401, "unauthenticated")


class TestTokens:
    @pytest.mark.parametrize(
        "header",
        [
            "Bearer nacre_wrong",
            "Bearer ",
            "Bearer",
            "Basic YWRhOng=",
            "nacre_wrong",
            b"Bearer \xff\xfe",
            "Bearer " + "x" * 5000,
        ],
    )
    def test_a_wrong_token(self, api: Http, ada: str, header: str | bytes) -> None:
        response = api.request("GET", f"{A}/me", headers={"Authorization": header})
        body = problem(response, 401, "unauthenticated")
        assert "nacre login" in body["detail"]

    def test_an_expired_token(self, api: Http, identity: Identity, ada: str) -> None:
        body = {"name": "short", "lifetime_s": 60}
        token = api.request("POST", f"{A}/tokens", token=ada, json=body).json()["secret"]
        assert api.request("GET", f"{A}/me", token=token).status_code == 200
        identity.clock.advance(60)
        problem(api.request("GET", f"{A}/me", token=token), 401, "unauthenticated")

    def test_scopes(self, api: Http, ada: str) -> None:
        body = {"name": "reader", "scopes": ["projects:read"]}
        token = api.request("POST", f"{A}/tokens", token=ada, json=body).json()["secret"]
        assert api.request("GET", f"{A}/projects", token=token).status_code == 200
        refused = api.request("POST", f"{A}/projects", token=token, json={"name": "speech"})
        assert problem(refused, 403, "permission_denied")["extra"] == {"scope": "projects:write"}
        widened = api.request("POST", f"{A}/tokens", token=token, json={"name": "more"})
        problem(widened, 403, "permission_denied")

    def test_listed_without_secrets_and_revoked(self, api: Http, ada: str) -> None:
        made = api.request("POST", f"{A}/tokens", token=ada, json={"name": "ci"}).json()
        listed = api.request("GET", f"{A}/tokens", token=ada)
        assert made["token"]["id"] in [token["id"] for token in listed.json()["items"]]
        assert made["secret"] not in listed.text
        assert api.request("DELETE", f"{A}/tokens/ci", token=ada).status_code == 204
        problem(api.request("GET", f"{A}/me", token=made["secret"]), 401, "unauthenticated")
        problem(api.request("DELETE", f"{A}/tokens/ci", token=ada), 404, "not_found")

    def test_disabling_a_user_stops_their_tokens(self, api: Http, owner: str, ada: str) -> None:
        assert api.request("GET", f"{A}/me", token=ada).status_code == 200
        changed = api.request("PATCH", f"{A}/users/ada", token=owner, json={"disabled": True})
        assert changed.json()["disabled"] is True
        problem(api.request("GET", f"{A}/me", token=ada), 401, "unauthenticated")


class TestProjects:
    def test_a_stranger_is_told_that_there_is_none(self, api: Http, ada: str, bob: str) -> None:
        foreign = problem(api.request("GET", f"{A}/projects/ada", token=bob), 404, "not_found")
        missing = problem(api.request("GET", f"{A}/projects/nothing", token=bob), 404, "not_found")
        assert foreign == missing

    def test_a_viewer_reads_and_changes_nothing(self, api: Http, ada: str, bob: str) -> None:
        url = f"{A}/projects/ada"
        added = api.request("PUT", f"{url}/members/bob", token=ada, json={"role": "viewer"})
        assert (added.json()["user"], added.json()["role"]) == ("bob", "viewer")
        assert api.request("GET", url, token=bob).json()["role"] == "viewer"
        for method, path, body in (
            ("PATCH", "", {"description": "mine"}),
            ("DELETE", "", None),
            ("PUT", "/secrets/TOKEN", {"value": "x"}),
            ("PUT", "/members/bob", {"role": "owner"}),
        ):
            refused = api.request(method, url + path, token=bob, json=body)
            assert problem(refused, 403, "permission_denied")["extra"]["role"] in ("editor", "owner")
        assert api.request("DELETE", f"{url}/members/bob", token=ada).status_code == 204
        problem(api.request("GET", url, token=bob), 404, "not_found")

    def test_made_changed_and_deleted(self, api: Http, ada: str) -> None:
        made = api.request("POST", f"{A}/projects", token=ada, json={"name": "speech"})
        assert (made.status_code, made.json()["role"]) == (201, "owner")
        url = f"{A}/projects/{made.json()['id']}"
        changed = api.request("PATCH", url, token=ada, json={"network": "full"})
        assert changed.json()["network"] == "full"
        events = api.request("GET", f"{url}/events", token=ada).json()["items"]
        assert {(e["verb"], e["user"]) for e in events} == {
            ("projects.create", "ada"),
            ("projects.update", "ada"),
        }
        assert api.request("DELETE", url, token=ada).status_code == 204
        problem(api.request("GET", url, token=ada), 404, "not_found")

    def test_pages_follow_each_other(self, api: Http, ada: str) -> None:
        for name in ("p1", "p2", "p3"):
            api.request("POST", f"{A}/projects", token=ada, json={"name": name})
        first = api.request("GET", f"{A}/projects", token=ada, params={"limit": 3}).json()
        query = {"limit": 3, "cursor": first["next"]}
        rest = api.request("GET", f"{A}/projects", token=ada, params=query).json()
        names = [p["name"] for p in first["items"] + rest["items"]]
        assert sorted(names) == ["ada", "p1", "p2", "p3"]
        assert rest["next"] is None
        for limit in ("0", "1001", "many"):
            refused = api.request("GET", f"{A}/projects", token=ada, params={"limit": limit})
            problem(refused, 422, "invalid_spec")


class TestSecrets:
    def test_the_value_is_in_no_answer(self, api: Http, identity: Identity, ada: str) -> None:
        url, value = f"{A}/projects/ada", "hf_very_s3cret"
        answers = [
            api.request("PUT", f"{url}/secrets/HF_TOKEN", token=ada, json={"value": value}),
            api.request("PUT", f"{url}/secrets/1BAD", token=ada, json={"value": value}),
            api.request("PUT", f"{url}/secrets/X", token=ada, json={"value": value, "kind": "bad"}),
            api.request("PUT", f"{url}/secrets/X", token=ada, json={"value": value, value: 1}),
            api.request("PUT", f"{url}/secrets/X", token=ada, json={"value": [value]}),
            api.request("PUT", f"{url}/secrets/X", token=ada, json={"value": value * 6000}),
            api.request("GET", f"{url}/secrets", token=ada),
            api.request("GET", f"{url}/events", token=ada),
        ]
        assert [r.status_code for r in answers] == [200, 422, 422, 422, 422, 422, 200, 200]
        for index, answer in enumerate(answers):
            if index != 3:  # there the client made it a field's name
                assert value not in answer.text
        project = identity.caller(ada, "ada").project_id
        assert identity.secrets.reveal(project, ["HF_TOKEN"])[0] == {"HF_TOKEN": value}
        assert api.request("DELETE", f"{url}/secrets/HF_TOKEN", token=ada).status_code == 204
        problem(api.request("DELETE", f"{url}/secrets/HF_TOKEN", token=ada), 404, "not_found")

    def test_a_bad_password_is_not_echoed(self, api: Http, ada: str) -> None:
        bodies = (
            {"name": "eve", "password": "s3cret"},
            {"name": "Eve!", "password": "s3cret-s3cret"},
            {"name": "eve", "password": {"x": "s3cret"}},
        )
        for body in bodies:
            refused = api.request("POST", f"{A}/users", json=body)
            assert "s3cret" not in refused.text
            problem(refused, 422, "invalid_spec")


class TestErrors:
    def test_a_validation_error_names_the_fields(self, api: Http, ada: str) -> None:
        body = {"name": "Not A Name", "descriptoin": "x"}
        refused = problem(api.request("POST", f"{A}/projects", token=ada, json=body), 422, "invalid_spec")
        assert refused["detail"].startswith("name: 'Not A Name' is not a name: use 1 to 64")
        assert refused["detail"].endswith("(and 1 more)")
        fields = refused["extra"]["fields"]
        assert [f["field"] for f in fields] == ["name", "descriptoin"]
        assert all(set(f) == {"field", "message"} for f in fields)

    @pytest.mark.parametrize(
        "content", [b"{", b"\xff\xff", b"[" * 100_000, b'{"name": "x"', b"[]", b"null", b""]
    )
    def test_a_body_that_is_no_json_object(self, api: Http, ada: str, content: bytes) -> None:
        refused = api.request(
            "POST",
            f"{A}/projects",
            token=ada,
            content=content,
            headers={"Content-Type": "application/json"},
        )
        assert problem(refused, 422, "invalid_spec")["detail"]

    def test_no_such_route_and_no_such_method(self, api: Http) -> None:
        problem(api.request("GET", f"{A}/nothing"), 404, "not_found")
        refused = api.request("PUT", f"{A}/projects")
        assert refused.status_code == 405
        assert refused.headers["content-type"] == "application/problem+json"

    def test_a_declared_body_over_the_limit(self, api: Http, ada: str) -> None:
        headers = {"Content-Length": str(MAX_JSON_BYTES + 1), "Content-Type": "application/json"}
        refused = api.request("POST", f"{A}/projects", token=ada, content=b"", headers=headers)
        assert problem(refused, 413, "too_large")["extra"] == {"limit": MAX_JSON_BYTES}

    def test_a_streamed_body_over_the_limit_is_not_read_to_its_end(self, api: Http, ada: str) -> None:
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 10 * MAX_JSON_BYTES:
                sent += 2**20
                yield b" " * 2**20

        refused = api.request(
            "POST",
            f"{A}/projects",
            token=ada,
            content=endless(),
            headers={"Content-Type": "application/json"},
        )
        problem(refused, 413, "too_large")
        assert sent <= MAX_JSON_BYTES + 2 * 2**20

    def test_a_defect_shows_nothing_of_itself(
        self, api: Http, identity: Identity, ada: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("internal detail")

        monkeypatch.setattr(identity.users, "me", broken)
        response = api.request("GET", f"{A}/me", token=ada)
        assert "internal detail" not in json.dumps(problem(response, 500, "internal_error"))
