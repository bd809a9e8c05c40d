"""What a browser meets at the root of a server that was built without its console."""

from __future__ import annotations

import html

from starlette.requests import Request

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Nacre</title>
<style>
body { font: 15px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 12vh auto; padding: 0 1rem;
       color: light-dark(#222, #ddd); background: light-dark(#fff, #161616); color-scheme: light dark }
code { padding: .1rem .35rem; border: 1px solid light-dark(#ddd, #444); border-radius: 4px }
</style>
<h1>Nacre</h1>
<p>The server runs, without its console: this package was built with <code>NACRE_CONSOLE=skip</code>.
On your own machine, sign in with</p>
<p><code>pip install nacre</code> &nbsp; <code>nacre login __URL__</code></p>
<p>then <code>nacre run train.py</code>, or <code>nacre --help</code> for the rest.
The API describes itself at <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>
</html>"""


def page(request: Request) -> str:
    """The page, with the address that the browser used."""
    return _PAGE.replace("__URL__", html.escape(str(request.base_url).rstrip("/")))
