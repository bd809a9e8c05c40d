"""What a browser meets at the root of the API's listener."""

from __future__ import annotations

import html

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Nacre</title>
<style>
body { font: 15px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 12vh auto; padding: 0 1rem;
       color: light-dark(#222, #ddd); background: light-dark(#fff, #161616); color-scheme: light dark }
code { padding: .1rem .35rem; border: 1px solid light-dark(#ddd, #444); border-radius: 4px }
</style>
<h1>Nacre</h1>
<p>The server runs. On your own machine, sign in with</p>
<p><code>pip install nacre</code> &nbsp; <code>nacre login __URL__</code></p>
<p>then <code>nacre run train.py</code>, or <code>nacre --help</code> for the rest.
The API describes itself at <a href="/api/v1/openapi.json">/api/v1/openapi.json</a>.</p>
</html>"""


def install(app: FastAPI) -> None:
    """Serve the page at ``/``, with the address that the browser used."""
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}

    @app.get("/", include_in_schema=False)
    def landing(request: Request) -> HTMLResponse:
        address = html.escape(str(request.base_url).rstrip("/"))
        return HTMLResponse(_PAGE.replace("__URL__", address), headers=headers)
