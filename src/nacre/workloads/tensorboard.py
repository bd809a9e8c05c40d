"""TensorBoard of some runs, for an instance: ``python -m nacre.workloads.tensorboard --base … --runs …``.

It listens on a unix socket and answers only who shows the instance's token: the proxy, for people that may
enter, and the server's control loop, which asks ``_nacre/status``. The launcher's variables say where
socket, token and API are.
"""

from __future__ import annotations

import argparse
import hmac
import io
import json
import os
import socket
import sys
import threading
import traceback
import zipfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tensorboard import assets, default, program
from tensorboard.backend import application
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.scalar import metadata as scalar_metadata
from werkzeug.serving import WSGIRequestHandler, make_server

from nacre.sdk.tracking.wire import Wire
from nacre.workloads.board import Board
from nacre.workloads.tracked import MAX_POINTS, Source

Environ = dict[str, Any]
Start = Callable[..., Any]
Application = Callable[[Environ, Start], Iterable[bytes]]

_REFRESH_SECONDS = 2.0
_FIRST_SECONDS = 60.0
"""After so long it is called ready although not every run has been read."""
# Scalars are thinned before they are written; of what runs wrote themselves as many are kept.
_SAMPLES = {scalar_metadata.PLUGIN_NAME: 2 * MAX_POINTS, "images": 50, "audio": 20, "histograms": 500}


class Gate:
    """Lets in who has the token, answers the control loop, and notes when a page last asked."""

    def __init__(self, inner: Application, base: str, token: str) -> None:
        """``base``: the path before TensorBoard's own, with no slash at its end."""
        self._inner = inner
        self._status = f"{base}/_nacre/status"
        self._expected = f"token {token}"
        self._asked_at = datetime.now(UTC)
        self.ready = threading.Event()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """A WSGI application."""
        given = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, self._expected.encode()):
            return _answer(start, "403 Forbidden", {"detail": "the token of this instance is missing"})
        if environ.get("PATH_INFO") == self._status:
            status = {"ready": self.ready.is_set(), "asked_at": self._asked_at.isoformat()}
            return _answer(start, "200 OK", status)
        self._asked_at = datetime.now(UTC)
        return self._inner(environ, start)


def _answer(start: Start, status: str, content: dict[str, Any]) -> list[bytes]:
    body = json.dumps(content).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class _Quiet(WSGIRequestHandler):  # type: ignore[misc]
    """Requests are not for the log."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


def _assets() -> io.BytesIO:
    """The files of the page, whose fonts would be asked for at the root of the origin."""
    changed = io.BytesIO()
    open_files = assets.get_default_assets_zip_provider()
    with (
        open_files() as stream,
        zipfile.ZipFile(stream) as found,
        zipfile.ZipFile(changed, "w") as kept,
    ):
        for name in found.namelist():
            content = found.read(name)
            if name == "index.html":
                content = content.replace(b"url(/font-roboto/", b"url(font-roboto/")
            kept.writestr(name, content)
    changed.seek(0)
    return changed


def make_app(base: str, multiplexer: EventMultiplexer) -> Application:
    """TensorBoard itself, below ``base``."""
    parsed = program.TensorBoard(default.get_plugins(), _assets)
    # The log folder is never read by TensorBoard: the multiplexer is told of each run.
    parsed.configure(
        ["tensorboard", "--logdir=runs", f"--path_prefix={base}", "--window_title=TensorBoard"]
    )
    provider = MultiplexerDataProvider(multiplexer, "runs")
    made: Application = application.TensorBoardWSGIApp(
        parsed.flags, parsed.plugin_loaders, provider, parsed.assets_zip_provider, multiplexer
    )
    return made


def listen(path: Path) -> socket.socket:
    """A unix socket that only its owner can connect to. The path may be longer than a socket's name."""
    listener = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            listener.bind(path.name)
        finally:
            os.umask(mask)
    finally:
        os.chdir(before)
    listener.listen(128)
    return listener


def _feed(make: Callable[[], Board], gate: Gate) -> None:
    """Keep the board up to date for ever; what goes wrong is told in the log."""
    board: Board | None = None
    while True:
        try:
            board = board or make()
            board.refresh()
            gate.ready.set()
        except Exception:
            traceback.print_exc()
        threading.Event().wait(_REFRESH_SECONDS)


def main(argv: list[str]) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True, help="path before TensorBoard's own")
    parser.add_argument("--runs", nargs="+", required=True, help="ids of the runs to show")
    options = parser.parse_args(argv)
    variables = os.environ
    token = Path(variables["NACRE_SECRETS_DIR"], variables["NACRE_APP_TOKEN_FILE"]).read_text().strip()
    source = Source(Wire(variables["NACRE_URL"], variables["NACRE_TOKEN"]), variables["NACRE_PROJECT"])
    multiplexer = EventMultiplexer(
        tensor_size_guidance=_SAMPLES, event_file_active_filter=lambda _: True, purge_orphaned_data=True
    )
    gate = Gate(make_app(options.base, multiplexer), options.base, token)
    root = Path.home() / ".tensorboard"
    make = lambda: Board(source, options.runs, root, multiplexer)  # noqa: E731
    threading.Thread(target=_feed, args=(make, gate), name="feed", daemon=True).start()
    late = threading.Timer(_FIRST_SECONDS, gate.ready.set)
    late.daemon = True
    late.start()
    listener = listen(Path(variables["NACRE_TRACK_FILE"]).parent / variables["NACRE_APP_SOCKET"])
    server = make_server("unix:///", 0, gate, threaded=True, request_handler=_Quiet, fd=listener.fileno())
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
