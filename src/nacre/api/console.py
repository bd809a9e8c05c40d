"""The console's files: built from ``console/`` when the package is built (``hatch_build.py``).

Every address that is no file and not the API's is the same page: the console's own router shows the rest.
"""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.responses import FileResponse
from starlette.types import Scope

import nacre
from nacre.api import landing
from nacre.errors import NotFound

PAGE_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",  # the hash of uploads is WebAssembly
            "style-src 'self' 'unsafe-inline'",  # Mantine and CodeMirror make rules as they run
            "img-src 'self' data: blob:",
            "media-src 'self' blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
_FOREVER = "public, max-age=31536000, immutable"
_NOT_PAGES = ("api/", "ajax-api/", "assets/", "v1/", "v2/")
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


def folder() -> Path:
    """Where the built console is: ``NACRE_CONSOLE_DIR``, else in the package."""
    return Path(os.environ.get("NACRE_CONSOLE_DIR") or Path(nacre.__file__).parent / "console")


def install(app: FastAPI) -> None:
    """Serve the console, or, where it was not built, a page that says how to go on without it.

    Called last: it answers what no other route did.
    """
    root = folder().resolve()
    if not (root / "index.html").is_file():
        landing.install(app)
        return

    @app.get("/{path:path}", include_in_schema=False)
    def console(request: Request, path: str) -> Response:
        file = (root / path).resolve()
        if path and file.is_relative_to(root) and file.is_file() and not file.name.startswith("."):
            return _file(request.scope, file, path.startswith("assets/"))
        if path.startswith(_NOT_PAGES):
            raise NotFound(f"there is nothing at /{path}")
        return HTMLResponse((root / "index.html").read_bytes(), headers=PAGE_HEADERS)


def _file(scope: Scope, file: Path, hashed: bool) -> Response:
    accepted = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    headers = {
        "Cache-Control": _FOREVER if hashed else "no-cache",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    for name, ending in _ENCODINGS:
        packed = file.with_name(file.name + ending)
        if name in accepted and packed.is_file():
            return FileResponse(packed, media_type=kind, headers={**headers, "Content-Encoding": name})
    return FileResponse(file, media_type=kind, headers=headers)
