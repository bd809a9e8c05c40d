"""The console's sign-in by cookie: how it is set, from which pages it counts, and its end."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from tests.api.conftest import Http, services_of
from tests.identity_kit import PASSWORD, Identity, wire
from tests.tracking_kit import serving
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from nacre.api.app import make_app
from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.users import TokenRow
from nacre.schema.operations import OPERATIONS
from nacre.schema.users import TokenCreate, UserUpdate
from nacre.services.live import Live

A = "/api/v1"
OURS = {"Origin": "http://nacre", "X-Nacre-Console": "1"}
FOREIGN = (
    "http://nacre:7374",  # pages of instances: the same host, another port
    "https://evil.example",
    "http://nacre.evil.example",
    "http://evil.example/nacre",
    "null",
    "nacre",
    "http://",
    "http://[",
    "ftp://nacre",
    "http://NACRE@evil.example",
)


@pytest.fixture
def identity(database: Database, clock: FixedClock) -> Identity:
    return wire(database, clock)


@pytest.fixture
def api(identity: Identity) -> Iterator[Http]:
    http = Http(make_app(services_of(identity), "0"))
    http._client.cookies.jar.set_policy(NoCookies())  # each test says which cookies it sends
    yield http
    http.close()


class NoCookies:
    """A jar that keeps nothing."""

    rfc2965 = hide_cookie2 = False
    netscape = True

    def set_ok(self, *_: Any) -> bool:
        return False

    def return_ok(self, *_: Any) -> bool:
        return False

    def domain_return_ok(self, *_: Any) -> bool:
        return False

    def path_return_ok(self, *_: Any) -> bool:
        return False


def sign_in(api: Http, name: str = "ada", **headers: str) -> httpx.Response:
    body = {"name": name, "password": PASSWORD, "cookie": True}
    return api.request("POST", f"{A}/sessions", json=body, headers=OURS | headers)


def cookie_of(answer: httpx.Response) -> dict[str, Any]:
    """The one cookie that is set: its value and attributes."""
    [line] = answer.headers.get_list("set-cookie")
    [(name, morsel)] = SimpleCookie(line).items()
    assert name == "nacre_session"
    return {k: v for k, v in morsel.items() if v} | {"value": morsel.value}


@pytest.fixture
def secret(api: Http, identity: Identity) -> str:
    identity.sign_up("ada")
    return str(cookie_of(sign_in(api))["value"])


def by_cookie(api: Http, secret: str, method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"Cookie": f"theme=dark; nacre_session={secret}"} | options.pop("headers", {})
    return api.request(method, A + path, headers=headers, **options)


def make_project(api: Http, secret: str, **headers: str) -> httpx.Response:
    return by_cookie(api, secret, "POST", "/projects", json={"name": "vision"}, headers=headers)


class TestSignIn:
    def test_the_token_is_in_a_cookie_and_nowhere_else(self, api: Http, identity: Identity) -> None:
        identity.sign_up("ada")
        answer = sign_in(api)
        assert answer.status_code == 201
        cookie = cookie_of(answer)
        secret = cookie.pop("value")
        assert cookie == {"httponly": True, "samesite": "strict", "path": "/", "max-age": "2592000"}
        assert secret not in answer.text
        assert answer.json()["secret"] is None
        assert answer.json()["user"]["name"] == "ada"
        assert answer.headers["cache-control"] == "no-store"
        assert by_cookie(api, secret, "GET", "/me").json()["name"] == "ada"

    def test_the_cookie_lasts_as_long_as_the_session(self, api: Http, identity: Identity) -> None:
        identity.sign_up("ada")
        body = {"name": "ada", "password": PASSWORD, "cookie": True, "lifetime_s": 600}
        answer = api.request("POST", f"{A}/sessions", json=body, headers=OURS)
        assert cookie_of(answer)["max-age"] == "600"

    def test_without_it_nothing_is_set(self, api: Http, identity: Identity) -> None:
        identity.sign_up("ada")
        body = {"name": "ada", "password": PASSWORD}
        answer = api.request("POST", f"{A}/sessions", json=body)
        assert "set-cookie" not in answer.headers
        assert answer.json()["secret"].startswith("nacre_")

    def test_signing_up_signs_in(self, api: Http, identity: Identity) -> None:
        identity.sign_up_policy("open")
        body = {"name": "ada", "password": PASSWORD, "cookie": True}
        answer = api.request("POST", f"{A}/users", json=body, headers=OURS)
        assert (answer.status_code, answer.json()["secret"]) == (201, None)
        me = by_cookie(api, cookie_of(answer)["value"], "GET", "/me").json()
        assert (me["name"], me["has_password"]) == ("ada", True)

    @pytest.mark.parametrize("origin", FOREIGN)
    def test_no_other_page_signs_a_browser_in(self, api: Http, identity: Identity, origin: str) -> None:
        identity.sign_up("ada")
        answer = sign_in(api, Origin=origin)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)

    @pytest.mark.parametrize(
        ("headers", "secure"),
        [
            ({}, False),
            ({"X-Forwarded-Proto": "http"}, False),
            ({"X-Forwarded-Proto": "https", "Origin": "https://nacre"}, True),
            ({"X-Forwarded-Proto": "https, http", "Origin": "https://nacre"}, True),
        ],
    )
    def test_it_is_secure_where_the_browser_came_by_https(
        self, api: Http, identity: Identity, headers: dict[str, str], secure: bool
    ) -> None:
        identity.sign_up("ada")
        assert bool(cookie_of(sign_in(api, **headers)).get("secure")) is secure

    def test_a_wrong_password_sets_none(self, api: Http, identity: Identity) -> None:
        identity.sign_up("ada")
        body = {"name": "ada", "password": "wrong password", "cookie": True}
        answer = api.request("POST", f"{A}/sessions", json=body, headers=OURS)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


class TestWhoMayChange:
    def test_a_script_of_the_console(self, api: Http, secret: str) -> None:
        assert make_project(api, secret, **OURS).status_code == 201

    def test_it_may_say_so_without_an_origin(self, api: Http, secret: str) -> None:
        said = {"Sec-Fetch-Site": "same-origin", "X-Nacre-Console": "1"}
        assert make_project(api, secret, **said).status_code == 201

    @pytest.mark.parametrize("origin", FOREIGN)
    def test_no_page_from_elsewhere(self, api: Http, secret: str, origin: str) -> None:
        headers = OURS | {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        answer = make_project(api, secret, **headers)
        assert answer.status_code == 403
        assert "only pages of this origin" in answer.json()["detail"]
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("site", ["same-site", "cross-site", "none"])
    def test_nobody_without_an_origin(self, api: Http, secret: str, site: str) -> None:
        headers = {"X-Nacre-Console": "1", "Sec-Fetch-Site": site}
        assert make_project(api, secret, **headers).status_code == 403
        assert make_project(api, secret, **{"X-Nacre-Console": "1"}).status_code == 403

    @pytest.mark.parametrize("said", [{}, {"X-Nacre-Console": ""}, {"X-Nacre-Console": "0"}])
    def test_no_form_which_cannot_send_the_header(
        self, api: Http, secret: str, said: dict[str, str]
    ) -> None:
        answer = make_project(api, secret, Origin="http://nacre", **said)
        assert answer.status_code == 403
        assert "X-Nacre-Console: 1" in answer.json()["detail"]

    def test_a_page_of_http_does_not_speak_for_https(self, api: Http, secret: str) -> None:
        headers = OURS | {"X-Forwarded-Proto": "https"}
        assert make_project(api, secret, **headers).status_code == 403
        assert make_project(api, secret, **headers | {"Origin": "https://nacre"}).status_code == 201

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    def test_every_method_that_changes(self, api: Http, secret: str, method: str) -> None:
        paths = {op.method: op.path for op in OPERATIONS.values() if op.scope and "{" not in op.path}
        path = paths.get(method, f"{A}/projects/ada/secrets/x").removeprefix(A)
        if method == "DELETE":
            path = "/sessions/current"
        assert by_cookie(api, secret, method, path, json={}).status_code == 403
        assert by_cookie(api, secret, "GET", "/me").status_code == 200

    def test_a_token_needs_none_of_it_and_counts_first(
        self, api: Http, identity: Identity, secret: str
    ) -> None:
        bob = identity.sign_up("bob").secret
        headers = {"Authorization": f"Bearer {bob}", "Origin": "https://evil.example"}
        made = by_cookie(api, secret, "POST", "/projects", json={"name": "bobs"}, headers=headers)
        assert made.status_code == 201
        assert by_cookie(api, secret, "GET", "/me", headers=headers).json()["name"] == "bob"
        headers["Authorization"] = "Bearer nacre_wrong"
        answer = by_cookie(api, secret, "GET", "/me", headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)

    def test_a_proxys_own_password_does_not_hide_the_cookie(self, api: Http, secret: str) -> None:
        headers = {"Authorization": "Basic YWRhOng="}
        assert by_cookie(api, secret, "GET", "/me", headers=headers).json()["name"] == "ada"


class TestWhoMayRead:
    @pytest.mark.parametrize("site", ["same-origin", "none", None])
    def test_the_console(self, api: Http, secret: str, site: str | None) -> None:
        headers = {"Sec-Fetch-Site": site} if site else {}
        assert by_cookie(api, secret, "GET", "/me", headers=headers).status_code == 200

    @pytest.mark.parametrize("site", ["same-site", "cross-site", "something-new"])
    @pytest.mark.parametrize(
        ("mode", "dest"),
        [
            ("cors", "empty"),
            ("no-cors", "image"),
            ("no-cors", "script"),
            ("navigate", "iframe"),
            ("navigate", "embed"),
            ("navigate", "object"),
            ("", ""),
        ],
    )
    def test_no_page_from_elsewhere(self, api: Http, secret: str, site: str, mode: str, dest: str) -> None:
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest}
        answer = by_cookie(api, secret, "GET", "/me", headers=headers)
        assert answer.status_code == 403
        assert "ada" not in answer.text

    def test_a_person_who_follows_a_link(self, api: Http, secret: str) -> None:
        headers = {
            "Sec-Fetch-Site": "same-site",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
        }
        answer = by_cookie(api, secret, "GET", "/me", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in answer.headers


class TestSeveralCookies:
    def test_one_that_is_no_session_does_no_harm(self, api: Http, secret: str) -> None:
        for other in ("planted", "nacre_" + "A" * 43, ""):
            cookies = {"Cookie": f"nacre_session={other}; nacre_session={secret}"}
            assert api.request("GET", f"{A}/me", headers=cookies).json()["name"] == "ada"

    def test_a_planted_session_of_somebody_else_is_not_taken_for_the_own(
        self, api: Http, identity: Identity, secret: str
    ) -> None:
        theirs = identity.sign_up("mallory").secret
        for pair in ((theirs, secret), (secret, theirs)):
            cookies = {"Cookie": "; ".join(f"nacre_session={one}" for one in pair)}
            answer = api.request("GET", f"{A}/me", headers=cookies)
            assert answer.status_code == 401
            assert "sessions of two users" in answer.json()["detail"]

    def test_only_the_cookie_of_that_name(self, api: Http, secret: str) -> None:
        for name in ("NACRE_SESSION", "nacre_session2", "xnacre_session", "nacre_content"):
            answer = api.request("GET", f"{A}/me", headers={"Cookie": f"{name}={secret}"})
            assert answer.status_code == 401


class TestEnd:
    def test_signing_out_ends_the_session_and_clears_the_cookie(self, api: Http, secret: str) -> None:
        answer = by_cookie(api, secret, "DELETE", "/sessions/current", headers=OURS)
        assert answer.status_code == 204
        cleared = cookie_of(answer)
        assert (cleared["value"], cleared["max-age"], cleared["path"]) == ("", "0", "/")
        assert by_cookie(api, secret, "GET", "/me").status_code == 401

    def test_an_expired_one_is_refused_and_cleared(self, api: Http, secret: str, clock: FixedClock) -> None:
        clock.advance(30 * 86_400)
        answer = by_cookie(api, secret, "GET", "/me")
        assert answer.status_code == 401
        assert cookie_of(answer)["max-age"] == "0"

    def test_a_revoked_one_is_refused_at_once(self, api: Http, identity: Identity, secret: str) -> None:
        listed = by_cookie(api, secret, "GET", "/tokens").json()["items"]
        assert [t["name"] for t in listed if t["current"]] == ["console"]
        elsewhere = identity.sign_in("ada").secret
        [mine] = [t["id"] for t in listed if t["current"]]
        assert api.request("DELETE", f"{A}/tokens/{mine}", token=elsewhere).status_code == 204
        answer = by_cookie(api, secret, "GET", "/me")
        assert (answer.status_code, cookie_of(answer)["max-age"]) == (401, "0")

    def test_a_disabled_users_is_refused(self, api: Http, identity: Identity, secret: str) -> None:
        _, owner = identity.users.ensure_owner()
        identity.users.update(identity.caller(owner), "ada", UserUpdate(disabled=True))
        assert by_cookie(api, secret, "GET", "/me").status_code == 401

    def test_a_refused_change_clears_nothing(self, api: Http, secret: str) -> None:
        assert "set-cookie" not in make_project(api, secret).headers

    def test_it_outlives_the_server(self, database: Database, clock: FixedClock, secret: str) -> None:
        http = Http(make_app(services_of(wire(database, clock)), "0"))
        assert by_cookie(http, secret, "GET", "/me").json()["name"] == "ada"
        http.close()

    def test_a_change_of_password_keeps_this_one(self, api: Http, identity: Identity, secret: str) -> None:
        other = identity.sign_in("ada").secret
        body = {"old": PASSWORD, "new": "another password"}
        changed = by_cookie(api, secret, "POST", "/me/password", json=body, headers=OURS)
        assert changed.status_code == 204
        assert by_cookie(api, secret, "GET", "/me").status_code == 200
        assert api.request("GET", f"{A}/me", token=other).status_code == 401


class TestFirstPassword:
    def test_who_has_none_sets_one_without_an_old_one(self, api: Http, identity: Identity) -> None:
        _, owner = identity.users.ensure_owner()
        assert api.request("GET", f"{A}/me", token=owner).json()["has_password"] is False
        set_ = api.request("POST", f"{A}/me/password", token=owner, json={"new": PASSWORD})
        assert set_.status_code == 204
        assert api.request("GET", f"{A}/me", token=owner).json()["has_password"] is True

    def test_who_has_one_does_not(self, api: Http, secret: str) -> None:
        answer = by_cookie(
            api, secret, "POST", "/me/password", json={"new": "another password"}, headers=OURS
        )
        assert answer.status_code == 403
        assert "old password is wrong" in answer.json()["detail"]


class TestLink:
    @pytest.fixture
    def owner(self, identity: Identity) -> str:
        return identity.users.ensure_owner()[1]

    def link(self, api: Http, token: str) -> dict[str, Any]:
        answer = api.request("POST", f"{A}/sessions/links", token=token)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def redeem(self, api: Http, code: str, **headers: str) -> httpx.Response:
        return api.request("POST", f"{A}/sessions/redeem", json={"code": code}, headers=OURS | headers)

    def test_it_signs_a_browser_in_once(self, api: Http, owner: str) -> None:
        link = self.link(api, owner)
        assert link["path"] == f"/sign-in?code={link['code']}"
        answer = self.redeem(api, link["code"])
        assert (answer.status_code, answer.json()["secret"]) == (201, None)
        me = by_cookie(api, cookie_of(answer)["value"], "GET", "/me").json()
        assert me["admin"] is True
        again = self.redeem(api, link["code"])
        assert (again.status_code, "set-cookie" in again.headers) == (401, False)
        assert "nacre console" in again.json()["detail"]

    def test_it_is_good_for_ten_minutes(self, api: Http, owner: str, clock: FixedClock) -> None:
        codes = [self.link(api, owner)["code"] for _ in range(2)]
        clock.advance(599)
        assert self.redeem(api, codes[0]).status_code == 201
        clock.advance(1)
        assert self.redeem(api, codes[1]).status_code == 401

    @pytest.mark.parametrize("origin", FOREIGN)
    def test_no_other_page_uses_it(self, api: Http, owner: str, origin: str) -> None:
        code = self.link(api, owner)["code"]
        assert self.redeem(api, code, Origin=origin).status_code == 403
        assert self.redeem(api, code).status_code == 201

    def test_a_program_gets_the_token(self, api: Http, owner: str) -> None:
        body = {"code": self.link(api, owner)["code"], "cookie": False}
        answer = api.request("POST", f"{A}/sessions/redeem", json=body)
        assert "set-cookie" not in answer.headers
        assert api.request("GET", f"{A}/me", token=answer.json()["secret"]).status_code == 200

    def test_the_code_is_no_token_and_only_its_hash_is_kept(
        self, api: Http, identity: Identity, owner: str
    ) -> None:
        code = self.link(api, owner)["code"]
        assert api.request("GET", f"{A}/me", token=code).status_code == 401
        assert by_cookie(api, code, "GET", "/me").status_code == 401
        with identity.db.read() as session:
            rows = [str(row.__dict__) for row in session.execute(select(TokenRow)).scalars()]
        assert len(rows) == 2
        assert not any(code in row for row in rows)

    def test_a_link_is_not_listed_among_the_tokens(self, api: Http, owner: str) -> None:
        self.link(api, owner)
        items = api.request("GET", f"{A}/tokens", token=owner).json()["items"]
        assert [t["kind"] for t in items] == ["user"]

    def test_a_token_of_less_makes_none(self, api: Http, identity: Identity, owner: str) -> None:
        caller = identity.caller(owner, "default")
        made = identity.tokens.create(caller, TokenCreate(name="ci", scopes=["tokens:write"])).secret
        answer = api.request("POST", f"{A}/sessions/links", token=made)
        assert (answer.status_code, "nacre login" in answer.json()["detail"]) == (403, True)
        with identity.db.write() as session:
            inside, _ = identity.tokens.issue(
                session,
                user_id=caller.user_id,
                kind="instance",
                name="notebook",
                scopes=["*"],
                project_id=caller.project_id,
            )
        assert api.request("POST", f"{A}/sessions/links", token=inside).status_code == 403

    def test_the_session_ends_with_the_token_that_made_it(
        self, api: Http, identity: Identity, owner: str, clock: FixedClock
    ) -> None:
        short = identity.tokens.create(identity.caller(owner), TokenCreate(name="t", lifetime_s=3600))
        answer = self.redeem(api, self.link(api, short.secret)["code"])
        assert cookie_of(answer)["max-age"] == "3600"
        code = self.link(api, short.secret)["code"]
        identity.tokens.delete(identity.caller(owner), short.token.id)
        assert self.redeem(api, code).status_code == 401

    def test_not_for_a_disabled_user(self, api: Http, identity: Identity, owner: str) -> None:
        code = self.link(api, identity.sign_up("ada").secret)["code"]
        identity.users.update(identity.caller(owner), "ada", UserUpdate(disabled=True))
        assert self.redeem(api, code).status_code == 403


class TestSignUpAtTheMachine:
    """The default while nobody set a policy: open, but only for who sits there."""

    @pytest.fixture
    def sign_up(self, identity: Identity) -> Iterator[Any]:
        identity.settings._loopback = True
        here = Http(make_app(services_of(identity), "0"), address="127.0.0.1")
        far = Http(make_app(services_of(identity), "0"), address="192.0.2.9")

        def sign_up(host: str, *, from_here: bool = True, **headers: str) -> int:
            http = here if from_here else far
            body = {"name": "ada", "password": PASSWORD}
            sent = http.request("POST", f"{A}/users", json=body, headers={"Host": host} | headers)
            return sent.status_code

        yield sign_up
        here.close()
        far.close()

    @pytest.mark.parametrize("host", ["127.0.0.1:7373", "localhost:7373", "[::1]:7373", "localhost"])
    def test_it_is_open(self, sign_up: Any, host: str) -> None:
        assert sign_up(host) == 201

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "[", "gpu-box:7373"])
    def test_not_under_another_name(self, sign_up: Any, host: str) -> None:
        """A page of evil.example whose name leads to 127.0.0.1 is of this origin, to a browser."""
        assert sign_up(host) == 403

    @pytest.mark.parametrize(
        "header", ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "Via"]
    )
    def test_not_through_a_proxy(self, sign_up: Any, header: str) -> None:
        assert sign_up("127.0.0.1:7373", **{header: "127.0.0.1"}) == 403

    def test_not_from_another_machine(self, sign_up: Any) -> None:
        assert sign_up("127.0.0.1:7373", from_here=False) == 403


class TestElsewhere:
    def test_mlflow_takes_tokens_only(self, api: Http, secret: str) -> None:
        for path in ("/api/2.0/mlflow/experiments/search", "/ajax-api/2.0/mlflow/experiments/search"):
            headers = {"Cookie": f"nacre_session={secret}"} | OURS
            answer = api.request("POST", path, json={"max_results": 5}, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["error_code"] == "UNAUTHENTICATED"

    def test_without_cookie_or_token(self, api: Http) -> None:
        answer = api.request("GET", f"{A}/me", headers=OURS)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


class TestLive:
    @pytest.fixture
    def url(self, identity: Identity) -> Iterator[str]:
        services = services_of(identity)
        needs: dict[str, Any] = dict.fromkeys(inspect.signature(Live).parameters)
        needs |= {name: getattr(identity, name) for name in needs if hasattr(identity, name)}
        live = Live(**needs)
        object.__setattr__(services, "live", live)
        with serving(make_app(services, "0")) as url:
            yield url

    def connect(self, url: str, cookie: str | None, origin: str | None) -> ClientConnection:
        headers = {"Cookie": f"nacre_session={cookie}"} if cookie else {}
        where = "ws" + url.removeprefix("http") + f"{A}/live"
        return connect(where, additional_headers=headers, origin=origin, proxy=None)  # type: ignore[arg-type]

    def hear(self, socket: ClientConnection) -> dict[str, Any]:
        return dict(json.loads(socket.recv(timeout=20)))

    def test_a_page_of_this_origin(self, identity: Identity, url: str) -> None:
        secret = identity.sign_up("ada").secret
        with self.connect(url, secret, url) as socket:
            assert self.hear(socket) == {"op": "ready", "user": "ada", "heartbeat_s": 15.0}

    @pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", None])
    def test_no_other_page(self, identity: Identity, url: str, origin: str | None) -> None:
        secret = identity.sign_up("ada").secret
        with self.connect(url, secret, origin) as socket:
            error = self.hear(socket)["error"]
            assert (error["status"], "pages of this origin" in error["detail"]) == (403, True)
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=20)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008

    def test_a_session_that_has_ended(self, identity: Identity, url: str) -> None:
        with self.connect(url, "nacre_gone", url) as socket:
            error = self.hear(socket)["error"]
            assert (error["status"], "sign in again" in error["detail"]) == (401, True)

    def test_signing_out_closes_it(self, identity: Identity, url: str) -> None:
        secret = identity.sign_up("ada").secret
        with self.connect(url, secret, url) as socket:
            assert self.hear(socket)["op"] == "ready"
            identity.users.sign_out(identity.caller(secret))
            assert self.hear(socket)["error"]["status"] == 401
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=20)
