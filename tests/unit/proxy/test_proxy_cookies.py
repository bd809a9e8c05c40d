"""Cookies ignore ports: the console's sign-in comes along to the work's listener and must end there."""

from __future__ import annotations

import httpx
import pytest
from tests.unit.proxy.content_stage import Stage

from nacre.proxy.headers import from_upstream, to_upstream


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ("nacre_session=s", None),
        ("nacre_session=s; nacre_content=c", None),
        ("a=1; nacre_session=s; b=2", "a=1; b=2"),
        ("nacre_session=s;a=1", "a=1"),
        ("a=1;nacre_session = s", "a=1"),
        ("=nacre_session=s; a=1", "a=1"),
        ('nacre_session="s"; a=1', "a=1"),
        ("a=nacre_session=s", "a=nacre_session=s"),
        ("nacre_session2=x; NACRE_SESSION=y", "nacre_session2=x; NACRE_SESSION=y"),
        ("", None),
    ],
)
def test_the_work_does_not_see_it(sent: str, passed: str | None, websocket: bool) -> None:
    headers = to_upstream([(b"cookie", sent.encode())], "t", websocket=websocket)
    assert dict(headers).get(b"cookie") == (passed.encode() if passed else None)


def test_each_of_several_cookie_lines_is_cleaned() -> None:
    """HTTP/2 proxies split the header."""
    lines = [(b"cookie", b"nacre_session=s"), (b"cookie", b"a=1"), (b"cookie", b"nacre_session=t; b=2")]
    assert [v for k, v in to_upstream(lines, "t") if k == b"cookie"] == [b"a=1", b"b=2"]


@pytest.mark.parametrize(
    "line",
    [
        b"nacre_session=evil",
        b"nacre_session=evil; Path=/api; HttpOnly; SameSite=None",
        b"  nacre_session=evil",
        b"\tnacre_session=evil",
        b"nacre_session =evil",
        b"nacre_session\t= evil",
        b"=nacre_session=evil",  # browsers send a cookie without a name as "nacre_session=evil"
        b"= nacre_session=evil; Path=/",
        b"nacre_session=",
        b"nacre_session",
        b"nacre_content=evil",
    ],
)
def test_the_work_does_not_set_it(line: bytes) -> None:
    kept = from_upstream([(b"Set-Cookie", line), (b"set-cookie", b"_xsrf=1; Path=/")])
    assert [value for name, value in kept if name == b"set-cookie"] == [b"_xsrf=1; Path=/"]


@pytest.mark.parametrize("line", [b"a=nacre_session", b"a=1; nacre_session=2", b"x_nacre_session=1"])
def test_other_cookies_stay(line: bytes) -> None:
    assert (b"set-cookie", line) in from_upstream([(b"set-cookie", line)])


def test_it_opens_no_instance(stage: Stage) -> None:
    """Neither as the cookie that it is, nor under the listener's own name."""
    secret = stage.token(stage.people.editor)
    for name in ("nacre_session", "nacre_content"):
        answer = httpx.get(stage.url(), headers={"Cookie": f"{name}={secret}"})
        assert answer.status_code == 401
