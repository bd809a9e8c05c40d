"""What the proxy answers by itself: problems for programs, small pages for people."""

from __future__ import annotations

import html
import json
import re

from starlette.types import Send

from nacre.errors import NacreError
from nacre.proxy.headers import Headers, first

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
{refresh}<title>{title} · Nacre</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto; padding: 0 1rem;
  color: #1b1f24; background: #fff }}
code {{ background: #f0f2f5; padding: .15em .4em; border-radius: 4px }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6e6e6; background: #16181c }}
  code {{ background: #2a2e35 }} }}
</style></head>
<body><main><h1>{title}</h1><p>{text}</p></main></body></html>
"""
_PAGE_HEADERS: Headers = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


async def plain(send: Send, status: int, headers: Headers, body: bytes = b"") -> None:
    """A whole answer."""
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def redirect(send: Send, location: str, headers: Headers | None = None) -> None:
    """303 to a path of this origin."""
    base = [(b"location", location.encode()), (b"cache-control", b"no-store")]
    await plain(send, 303, base + [(b"referrer-policy", b"no-referrer")] + (headers or []))


async def problem(
    send: Send,
    error: NacreError,
    request: Headers,
    *,
    title: str | None = None,
    refresh_s: int | None = None,
) -> None:
    """The error: a page for a browser that navigates, else ``application/problem+json``.

    ``refresh_s`` makes the page look again by itself.
    """
    headers = list(_PAGE_HEADERS)
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.status == 503:
        headers.append((b"retry-after", str(refresh_s or 2).encode()))
    if "text/html" in (first(request, b"accept") or ""):
        body = _page(title or error.problem()["title"], error.detail, refresh_s)
        headers.append((b"content-type", b"text/html; charset=utf-8"))
    else:
        body = json.dumps(error.problem()).encode()
        headers.append((b"content-type", b"application/problem+json"))
    await plain(send, error.status, headers, body)


def _page(title: str, text: str, refresh_s: int | None) -> bytes:
    refresh = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    # The sentences quote commands; here they become code.
    marked = re.sub(r"'(nacre [^']*)'", r"<code>\1</code>", html.escape(text, quote=False))
    return _PAGE.format(refresh=refresh, title=html.escape(title), text=marked).encode()
