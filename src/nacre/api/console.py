"""The console's files: built from ``console/`` when the package is built (``hatch_build.py``).

Every address that is no file and not the API's is the same page: the console's own router shows the rest.
Where it was not built, a page says how to go on without it.
"""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

import nacre
from nacre.api import landing
from nacre.api.compression import accepted
from nacre.errors import NotFound

POLICY = "; ".join(
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
)
_FILE_HEADERS = {
    "Content-Security-Policy": POLICY,  # a worker has the policy of its own file
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Vary": "Accept-Encoding",
}
_PAGE_HEADERS = {
    **_FILE_HEADERS,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}
_FOREVER = "public, max-age=31536000, immutable"
_OTHERS = frozenset({"api", "ajax-api", "assets", "v1", "v2"})
"""First steps of paths that are never pages."""
_ENTRANCES = ("", "sign-in", "sign-up")
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".wasm": "application/wasm"}
"""What the page breaks without, whatever the machine's own table says."""


def folder() -> Path:
    """Where the built console is: ``NACRE_CONSOLE_DIR``, else in the package."""
    return Path(os.environ.get("NACRE_CONSOLE_DIR") or Path(nacre.__file__).parent / "console")


def install(app: FastAPI) -> None:
    """Serve the console where no route fits. It is no route itself: a path that the API knows keeps its own
    answer to a wrong method."""
    app.router.default = _Console(folder().resolve(), app.router.default)


class _Console:
    def __init__(self, root: Path, otherwise: ASGIApp) -> None:
        self._root = root
        self._built = (root / "index.html").is_file()
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._otherwise(scope, receive, send)
            return
        request = Request(scope)
        await self._answer(request, scope["path"].removeprefix("/"))(scope, receive, send)

    def _answer(self, request: Request, path: str) -> Response:
        """What is at the path.

        Raises:
            NotFound: it is neither a file nor a page.
        """
        if not self._built:
            if path in _ENTRANCES:
                return HTMLResponse(landing.page(request), headers=landing.HEADERS)
            raise NotFound(f"there is nothing at /{path}")
        file, page = self._file(path), self._root / "index.html"
        if file is not None and file != page:
            cached = _FOREVER if path.startswith("assets/") else "no-cache"
            return _sent(request, file, {**_FILE_HEADERS, "Cache-Control": cached})
        first, _, rest = path.partition("/")
        if first in _OTHERS or (file is None and "." in first and not rest):
            raise NotFound(f"there is nothing at /{path}")
        return _sent(request, page, _PAGE_HEADERS)

    def _file(self, path: str) -> Path | None:
        """The file of this path, if it is one of the console's."""
        try:
            file = (self._root / path).resolve()
            inside = file.relative_to(self._root)
            found = file.is_file()
        except (ValueError, OSError):  # outside; no name that a file can have
            return None
        return file if found and not any(part.startswith(".") for part in inside.parts) else None


def _sent(request: Request, file: Path, headers: dict[str, str]) -> Response:
    """The file, in the smallest form of those made at build that the browser takes."""
    kind = _KINDS.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    taken = accepted(request.headers)
    for name, ending in _ENCODINGS:
        packed = file.with_name(file.name + ending)
        if name in taken and packed.is_file():
            return FileResponse(packed, media_type=kind, headers={**headers, "Content-Encoding": name})
    return FileResponse(file, media_type=kind, headers=headers)
