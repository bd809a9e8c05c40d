"""HTTP through the user-content listener."""

from __future__ import annotations

import json
import socket
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete
from tests.unit.proxy.content_stage import INSTANCE, JUPYTER_TOKEN, Stage, until

from nacre.db.tables.projects import MemberRow
from nacre.db.tables.users import TokenRow
from nacre.schema.instances import InstanceState


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_listener_says_that_it_is_there(stage: Stage) -> None:
    assert httpx.get(f"{stage.origin}/healthz").json() == {"status": "ok"}


class TestSignIn:
    def test_a_ticket_becomes_a_cookie_of_that_instance_only(self, stage: Stage) -> None:
        answer = httpx.get(stage.door.open(stage.people.editor, INSTANCE).url)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/instances/{INSTANCE}/lab"
        assert answer.headers["referrer-policy"] == "no-referrer"
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("nacre_content=nacre_")
        for part in (f"Path=/instances/{INSTANCE}/", "HttpOnly", "SameSite=Lax"):
            assert part in cookie
        secret = cookie.partition("=")[2].partition(";")[0]
        caller = stage.tokens.resolve(secret)
        assert caller is not None
        assert caller.scopes == {f"content:{INSTANCE}"}
        assert caller.project_ids == {stage.people.project.id}

    def test_a_ticket_works_once(self, stage: Stage) -> None:
        url = stage.door.open(stage.people.editor, INSTANCE).url
        assert httpx.get(url).status_code == 303
        again = httpx.get(url)
        assert again.status_code == 401
        assert "set-cookie" not in again.headers

    def test_a_ticket_works_for_a_minute(self, stage: Stage) -> None:
        url = stage.door.open(stage.people.editor, INSTANCE).url
        stage.clock.advance(61)
        assert httpx.get(url).status_code == 401

    def test_a_ticket_is_for_one_instance(self, stage: Stage) -> None:
        url = stage.door.open(stage.people.editor, INSTANCE).url
        assert httpx.get(url.replace(INSTANCE, "ins_2")).status_code == 401
        assert httpx.get(url).status_code == 303

    def test_nobody_is_let_in_without(self, stage: Stage) -> None:
        for path in ("lab", "api/kernels", "_nacre/enter", "_nacre/enter?ticket="):
            answer = httpx.get(stage.url(path))
            assert answer.status_code == 401
            assert answer.json()["code"] == "unauthenticated"

    def test_a_browser_is_told_how_to_sign_in(self, stage: Stage) -> None:
        answer = httpx.get(stage.url("lab"), headers={"Accept": "text/html,*/*"})
        assert answer.status_code == 401
        assert answer.headers["content-type"].startswith("text/html")
        assert "<code>nacre instance open NAME</code>" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]

    def test_a_cookie_of_one_instance_does_not_open_another(self, stage: Stage) -> None:
        browser = stage.browser()
        secret = browser.cookies["nacre_content"]
        answer = httpx.get(
            f"{stage.origin}/instances/ins_2/echo", headers={"Cookie": f"nacre_content={secret}"}
        )
        assert answer.status_code == 401

    def test_a_cookie_is_no_token(self, stage: Stage) -> None:
        secret = stage.browser().cookies["nacre_content"]
        answer = httpx.get(stage.url(), headers={"Authorization": f"Bearer {secret}"})
        assert answer.status_code == 403

    def test_a_token_is_no_cookie(self, stage: Stage) -> None:
        token = stage.token(stage.people.editor)
        answer = httpx.get(stage.url(), headers={"Cookie": f"nacre_content={token}"})
        assert answer.status_code == 401

    def test_a_cookie_ends(self, stage: Stage) -> None:
        browser = stage.browser()
        told(browser.get(stage.url()))
        stage.clock.advance(timedelta(days=1).total_seconds() + 1)
        assert browser.get(stage.url()).status_code == 401


class TestWhoMay:
    def test_a_member_who_made_it_may(self, stage: Stage) -> None:
        told(stage.program().get(stage.url()))

    def test_jupyters_own_way_to_send_a_token_works(self, stage: Stage) -> None:
        token = stage.token(stage.people.editor)
        told(httpx.get(stage.url(), headers={"Authorization": f"token {token}"}))

    def test_jupyters_token_from_its_own_page_does_not_hide_the_cookie(self, stage: Stage) -> None:
        told(stage.browser().get(stage.url(), headers={"Authorization": "token 0123abcd"}))

    def test_an_owner_of_the_project_may(self, stage: Stage) -> None:
        told(stage.program(stage.people.owner).get(stage.url()))

    def test_a_viewer_may_not(self, stage: Stage) -> None:
        assert stage.program(stage.people.viewer).get(stage.url()).status_code == 403

    def test_a_stranger_does_not_see_it(self, stage: Stage) -> None:
        stranger = stage.program(stage.people.stranger).get(stage.url())
        absent = stage.program(stage.people.stranger).get(f"{stage.origin}/instances/ins_none/echo")
        assert (stranger.status_code, stranger.json()) == (absent.status_code, absent.json())
        assert stranger.status_code == 404

    def test_a_token_needs_the_scope(self, stage: Stage) -> None:
        assert stage.program(None, "jobs:write").get(stage.url()).status_code == 403
        told(stage.program(None, "instances:write").get(stage.url()))

    def test_a_wrong_token_is_refused(self, stage: Stage) -> None:
        assert httpx.get(stage.url(), headers={"Authorization": "Bearer nacre_x"}).status_code == 401

    def test_a_revoked_cookie_is_refused_at_once(self, stage: Stage) -> None:
        browser = stage.browser()
        told(browser.get(stage.url()))
        with stage.db.write() as session:
            session.execute(delete(TokenRow).where(TokenRow.kind == "content"))
        stage.tokens.forget()
        assert browser.get(stage.url()).status_code == 401

    def test_who_left_the_project_is_out(self, stage: Stage) -> None:
        browser = stage.browser()
        with stage.db.write() as session:
            session.execute(delete(MemberRow).where(MemberRow.user_id == stage.people.editor.user_id))
        assert browser.get(stage.url()).status_code == 404


class TestOrigin:
    @pytest.mark.parametrize("origin", ["http://127.0.0.1:7373", "http://evil.example", "null"])
    def test_a_page_of_another_origin_cannot_change_anything(self, stage: Stage, origin: str) -> None:
        browser = stage.browser()
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            answer = browser.request(method, stage.url(), headers={"Origin": origin})
            assert answer.status_code == 403

    def test_a_change_without_an_origin_is_refused_with_a_cookie(self, stage: Stage) -> None:
        assert stage.browser().post(stage.url()).status_code == 403

    def test_a_page_of_this_origin_can(self, stage: Stage) -> None:
        browser = stage.browser()
        told(browser.post(stage.url(), headers={"Origin": stage.origin}))
        told(browser.post(stage.url(), headers={"Sec-Fetch-Site": "same-origin"}))
        told(browser.get(stage.url()))

    def test_a_program_needs_none(self, stage: Stage) -> None:
        told(stage.program().post(stage.url()))


class TestForwarding:
    def test_path_and_query_pass_byte_by_byte(self, stage: Stage) -> None:
        raw = f"/instances/{INSTANCE}/api/contents/a%2Fb%20c%C3%A9;x/echo?q=%2B+&&x[]=1&u=%7E"
        token = stage.token(stage.people.editor)
        with socket.create_connection(stage.listener.getsockname()) as connection:
            request = (
                f"GET {raw} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"
            )
            connection.sendall(request.encode() + b"\r\n")
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        found = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
        assert f"{found['raw_path']}?{found['query']}" == raw

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
    def test_methods_pass(self, stage: Stage, method: str) -> None:
        assert told(stage.program().request(method, stage.url()))["method"] == method

    def test_the_work_gets_its_own_token_and_none_of_ours(self, stage: Stage) -> None:
        browser = stage.browser()
        browser.cookies.set("_xsrf", "theirs", domain="127.0.0.1", path="/")
        browser.cookies.set("nacre_session", "the-consoles", domain="127.0.0.1", path="/")
        headers = dict(told(browser.get(stage.url()))["headers"])
        assert headers["authorization"] == f"token {JUPYTER_TOKEN}"
        assert headers["cookie"] == "_xsrf=theirs"
        assert headers["host"] == stage.origin.removeprefix("http://")
        program = told(stage.program().get(stage.url()))["headers"]
        assert [v for k, v in program if k == "authorization"] == [f"token {JUPYTER_TOKEN}"]
        assert "cookie" not in dict(program)

    def test_headers_of_the_connection_stay_behind(self, stage: Stage) -> None:
        sent = {"Connection": "keep-alive, X-Hop", "X-Hop": "1", "TE": "trailers", "X-End": "2"}
        headers = dict(told(stage.program().get(stage.url(), headers=sent))["headers"])
        assert headers["x-end"] == "2"
        assert not {"x-hop", "te", "connection"} & set(headers)

    def test_several_cookies_of_the_work_stay_several(self, stage: Stage) -> None:
        cookies = stage.program().get(stage.url()).headers.get_list("set-cookie")
        assert [c.partition(";")[0] for c in cookies] == ["_xsrf=one", "username=two"]

    def test_headers_that_act_on_other_instances_are_dropped(self, stage: Stage) -> None:
        headers = stage.program().get(stage.url("evil")).headers
        for name in (
            "service-worker-allowed",
            "clear-site-data",
            "strict-transport-security",
            "set-cookie",
        ):
            assert name not in headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"

    def test_encoded_bodies_stay_encoded(self, stage: Stage) -> None:
        with stage.program().stream("GET", stage.url("gzip")) as answer:
            assert answer.status_code == 203
            assert answer.headers["content-encoding"] == "gzip"
            assert b"".join(answer.iter_raw()) == b"not really gzip"

    def test_an_answer_comes_piece_by_piece(self, stage: Stage) -> None:
        with stage.program().stream("GET", stage.url("drip")) as answer:
            pieces = answer.iter_raw()
            for expected in (b"0", b"1", b"2"):
                stage.work.drip.release()
                assert next(pieces) == expected

    def test_a_large_body_passes_without_and_with_its_length(self, stage: Stage) -> None:
        block = b"x" * 2**16
        body = (block for _ in range(300))
        assert told(stage.program().put(stage.url(), content=body))["size"] == 300 * 2**16
        assert told(stage.program().put(stage.url(), content=block * 50))["size"] == 50 * 2**16

    def test_when_the_client_leaves_the_work_is_told(self, stage: Stage) -> None:
        with stage.program().stream("GET", stage.url("drip")) as answer:
            stage.work.drip.release()
            assert next(answer.iter_raw()) == b"0"
        until(stage.work.left.is_set)

    def test_a_broken_answer_is_seen_as_broken(self, stage: Stage) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            stage.program().get(stage.url("breaks"))

    def test_without_its_last_slash_the_browser_is_sent_on(self, stage: Stage) -> None:
        answer = httpx.get(f"{stage.origin}/instances/{INSTANCE}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/instances/{INSTANCE}/")


class TestNotRunning:
    def test_a_stopped_one_says_how_to_start_it(self, stage: Stage) -> None:
        browser = stage.browser()
        stage.set_state(InstanceState.STOPPED)
        answer = stage.program().get(stage.url())
        assert answer.status_code == 409
        assert "nacre --project vision instance start lab" in answer.json()["detail"]
        page = browser.get(stage.url("lab"), headers={"Accept": "text/html"})
        assert page.status_code == 409
        assert "<h1>lab is stopped</h1>" in page.text
        assert "<code>nacre --project vision instance start lab</code>" in page.text

    def test_one_on_its_way_is_looked_at_again(self, stage: Stage) -> None:
        stage.set_state(InstanceState.QUEUED, "waits for 1 cpu <b>")
        answer = stage.browser().get(stage.url("lab"), headers={"Accept": "text/html"})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert '<meta http-equiv="refresh" content="2">' in answer.text
        assert "waits for 1 cpu &lt;b&gt;" in answer.text

    def test_a_dead_socket_is_an_answer_and_no_defect(self, stage: Stage) -> None:
        stage.socket.unlink()
        answer = stage.program().get(stage.url())
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")

    def test_a_link_to_another_socket_is_not_followed(self, stage: Stage) -> None:
        stage.socket.rename(stage.socket.with_name("secret.sock"))
        stage.socket.symlink_to("secret.sock")
        assert stage.program().get(stage.url()).status_code == 503

    def test_a_new_socket_after_a_restart_is_used(self, stage: Stage) -> None:
        program = stage.program()
        told(program.get(stage.url()))
        moved = stage.socket.with_name("moved.sock")
        stage.socket.rename(moved)
        assert program.get(stage.url()).status_code == 503
        moved.rename(stage.socket)
        told(program.get(stage.url()))


class TestActivity:
    def test_work_of_a_person_is_noted_and_polling_is_not(self, stage: Stage) -> None:
        program = stage.program()
        told(program.get(stage.url("api/kernels/echo")))
        assert stage.active_at() is None
        told(program.put(stage.url("api/contents/echo")))
        until(lambda: stage.active_at() == stage.clock.now())
