"""Headers on their way through the proxy: what is dropped, what is added, who may ask from where."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from nacre.schema.users import SESSION_COOKIE

Headers = list[tuple[bytes, bytes]]

COOKIE = "nacre_content"
_SECRET_COOKIES = frozenset({COOKIE.encode(), SESSION_COOKIE.encode()})
"""Ours: the work neither sees nor sets them. The console's comes along, for cookies ignore ports."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer trailers "
    b"transfer-encoding upgrade".split()
)
_HANDSHAKE = frozenset(
    b"sec-websocket-key sec-websocket-version sec-websocket-extensions sec-websocket-protocol host origin "
    b"user-agent".split()
)
_OURS = frozenset((b"date", b"server"))  # the listener sends its own
# These act on the whole origin, which instances share, or on the whole host.
_ORIGIN_WIDE = frozenset(
    b"service-worker-allowed clear-site-data strict-transport-security alt-svc nel report-to "
    b"reporting-endpoints origin-agent-cluster".split()
)
_SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_HOST = re.compile(r"[A-Za-z0-9.\-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The first value of a header; names are lower-case, as ASGI gives them."""
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None


def host(headers: Headers) -> str:
    """The Host header where it is well-formed, else ``localhost``."""
    found = first(headers, b"host") or ""
    return found if _HOST.fullmatch(found) else "localhost"


def bearer(headers: Headers) -> str | None:
    """The token of Nacre's that a program sent: ``Bearer``, or ``token`` as Jupyter's own clients write it.

    JupyterLab's pages send Jupyter's own token the same way: that one says nothing, and the cookie counts.
    """
    scheme, _, secret = (first(headers, b"authorization") or "").partition(" ")
    ours = scheme.lower() == "bearer" or (scheme.lower() == "token" and secret.strip().startswith("nacre_"))
    return secret.strip() or None if ours else None


def cookies(headers: Headers) -> list[str]:
    """Values of our cookie. Several are possible: a page of another instance may have set one."""
    values = []
    for key, value in headers:
        if key == b"cookie":
            for part in value.decode("latin-1").split(";"):
                name, _, content = part.strip().partition("=")
                if name == COOKIE:
                    values.append(content)
    return values[:4]


def same_origin(headers: Headers, public_origin: str) -> bool:
    """Whether a browser sent this from a page of this origin.

    The Host header may be believed here: a browser attaches the cookie only for the host that set it.
    """
    origin = first(headers, b"origin")
    if origin is None:
        return first(headers, b"sec-fetch-site") == "same-origin"
    if origin == public_origin:
        return True
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and bool(parts.netloc) and parts.netloc == host(headers)


def _dropped(headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    lists = (value.split(b",") for key, value in headers if key == b"connection")
    return _HOP_BY_HOP.union(token.strip().lower() for tokens in lists for token in tokens)


def _clean_cookie(value: bytes) -> bytes:
    parts = (part.strip() for part in value.split(b";"))
    return b"; ".join(p for p in parts if p and _name(p) not in _SECRET_COOKIES)


def _name(cookie: bytes) -> bytes:
    """The name under which a cookie comes back; browsers send one without a name as its value only."""
    return cookie.lstrip(b"= \t").partition(b"=")[0].strip()


def to_upstream(headers: Headers, token: str, *, websocket: bool = False) -> Headers:
    """The request's headers as the work gets them: without our credentials, with its own token."""
    drop = _dropped(headers) | {b"authorization"} | (_HANDSHAKE if websocket else frozenset())
    kept: Headers = []
    for key, value in headers:
        if key in drop:
            continue
        if key == b"cookie":
            value = _clean_cookie(value)  # noqa: PLW2901
            if not value:
                continue
        kept.append((key, value))
    kept.append((b"authorization", b"token " + token.encode()))
    return kept


def from_upstream(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The answer's headers as the browser gets them. Several Set-Cookie lines stay several."""
    listed = [(key.lower(), value) for key, value in headers]
    drop = _dropped(listed) | _ORIGIN_WIDE | _OURS
    kept = [
        (key, value)
        for key, value in listed
        if key not in drop
        and not (key == b"set-cookie" and _name(value.partition(b";")[0]) in _SECRET_COOKIES)
    ]
    there = {key for key, _ in kept}
    return kept + [(key, value) for key, value in _SECURITY if key not in there]
