"""The console's sign-in: a cookie, and from which pages it counts.

Browsers send a cookie along whoever asked for the request, and to every port of a host: pages of
instances (7374) are "same-site" with the console. So with the cookie, changes need a page of this origin
and a header that only its scripts send, and pages elsewhere may not even read.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response

from nacre.domain.identity import Caller
from nacre.errors import PermissionDenied, Unauthenticated
from nacre.schema.users import SESSION_COOKIE
from nacre.services.tokens import Tokens

CONSOLE_HEADER = "x-nacre-console"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_MOST = 4
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def secrets(request: HTTPConnection) -> list[str]:
    """What the request's session cookies say. Another path than ours can have one of its own, which some
    page on another port has set."""
    found = []
    for line in request.headers.getlist("cookie"):
        for part in line.split(";"):
            name, _, value = part.strip().partition("=")
            if name == SESSION_COOKIE and value and value not in found:
                found.append(value)
    return found[:_MOST]


def caller(request: HTTPConnection, tokens: Tokens) -> Caller | None:
    """Who is signed in by cookie; null without one.

    Raises:
        PermissionDenied: the page that asks is not the console's.
        Unauthenticated: the session has ended, or there are sessions of two people.
    """
    found = secrets(request)
    if not found:
        return None
    check_page(request)
    return chosen(found, tokens)[1]


def chosen(found: list[str], tokens: Tokens) -> tuple[str, Caller]:
    """The one of these cookies that is good, and who it belongs to.

    Raises:
        Unauthenticated: nobody, or two people: a page on another port may have planted one.
    """
    known = [(secret, one) for secret in found if (one := tokens.resolve(secret)) is not None]
    if not known:
        raise Unauthenticated("the session has ended: sign in again")
    if len({one.user_id for _, one in known}) > 1:
        raise Unauthenticated(
            "this browser sends sessions of two users: delete the cookies of this host, then sign in again"
        )
    return known[0]


def check_page(request: HTTPConnection) -> None:
    """Raise unless the page that makes this request, with a cookie, may do so.

    Raises:
        PermissionDenied: it is not the console's, or its scripts did not ask.
    """
    if request.scope["type"] == "websocket":
        if request.headers.get("origin") is None or not same_origin(request):
            raise PermissionDenied(
                "with the session's cookie, only pages of this origin may connect: send a token instead"
            )
    elif request.scope["method"] in SAFE_METHODS:
        _check_reader(request)
    else:
        check_console(request)


def check_console(request: HTTPConnection) -> None:
    """Raise unless a script of the console made this request.

    Raises:
        PermissionDenied: it came from elsewhere.
    """
    if not same_origin(request):
        raise PermissionDenied(
            "with the session's cookie, only pages of this origin may change things: send a token instead"
        )
    if request.headers.get(CONSOLE_HEADER) != "1":
        raise PermissionDenied(
            "with the session's cookie, changes need the header 'X-Nacre-Console: 1': "
            "send it, or a token instead"
        )


def _check_reader(request: HTTPConnection) -> None:
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site in ("same-origin", "none"):
        return
    opened = request.headers.get("sec-fetch-mode") == "navigate"
    if opened and request.headers.get("sec-fetch-dest") == "document":
        return  # the person follows a link; the page that has it sees nothing of the answer
    raise PermissionDenied(
        "with the session's cookie, only pages of this origin may read: send a token instead"
    )


def same_origin(request: HTTPConnection) -> bool:
    """Whether a page of this server's own origin made the request.

    The Host header may be believed: a browser sends the cookie only to the host that set it.
    """
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site") == "same-origin"
    scheme, _, host = origin.partition("://")
    schemes = ("https",) if is_https(request) else ("http", "https")
    return scheme in schemes and host == request.headers.get("host", "-")


def is_https(request: HTTPConnection) -> bool:
    """Whether the browser came by https, which the proxy that unwrapped it says."""
    said = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    return request.url.scheme in ("https", "wss") or said == "https"


def near(request: HTTPConnection) -> bool:
    """Whether who asks is at this machine: addressed it as such, and nothing forwarded the request.

    Not so: a page of another site whose name was made to lead here, what a proxy on this machine passes
    on, and work in its sandbox, which has only the unix socket.
    """
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        named = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return False
    return _is_loopback(request.client.host) and _is_loopback(named)


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def keep(request: HTTPConnection, response: Response, secret: str, lifetime_s: float) -> None:
    """Set the cookie of a new session."""
    response.set_cookie(
        SESSION_COOKIE,
        secret,
        max_age=int(lifetime_s),
        path="/",
        httponly=True,
        samesite="strict",
        secure=is_https(request),
    )


def clear(request: HTTPConnection, response: Response) -> None:
    """Delete the cookie."""
    response.delete_cookie(
        SESSION_COOKIE, path="/", httponly=True, samesite="strict", secure=is_https(request)
    )
