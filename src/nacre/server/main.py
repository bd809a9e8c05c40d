"""The server process: ``python -m nacre.server``."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import logging.handlers
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from socket import socket
from typing import Annotated, Any

import typer
import uvicorn
import uvloop
from sqlalchemy.exc import SQLAlchemyError

from nacre import __version__
from nacre.api.allocator import keep_freed_memory
from nacre.api.app import make_app
from nacre.clock import SystemClock
from nacre.db.connect import Database
from nacre.db.migrate import upgrade
from nacre.errors import InvalidSpec, NacreError, Unavailable
from nacre.proxy.content import make_content_app
from nacre.proxy.sockets import MAX_MESSAGE
from nacre.schema.live import MAX_MESSAGE_BYTES
from nacre.server import home
from nacre.server.settings import Settings, read_settings
from nacre.server.wiring import Wiring, wire

log = logging.getLogger("nacre.server")


def _log_to(settings: Settings, quiet: bool) -> None:
    """Readable lines in ``server.log``, which never grows past 3 × 10 MB, and on stderr unless quiet."""
    line = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")
    file = logging.handlers.RotatingFileHandler(
        settings.home / "server.log", maxBytes=10_000_000, backupCount=2, encoding="utf-8"
    )
    handlers: list[logging.Handler] = [file] if quiet else [logging.StreamHandler(sys.stderr), file]
    for handler in handlers:
        handler.setFormatter(line)
    logging.basicConfig(level=settings.log_level.upper(), handlers=handlers, force=True)
    for noisy in ("httpx", "httpcore", "alembic", "uvicorn.error", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class _Listener(uvicorn.Server):
    """uvicorn without its signal handlers: the process has one place that ends it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listener(app: Any, settings: Settings, max_message: int) -> _Listener:
    return _Listener(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            loop="uvloop",
            http="httptools",
            ws_max_size=max_message,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
            server_header=False,
        )
    )


async def _serve(settings: Settings, wiring: Wiring, sockets: dict[str, list[socket]], quiet: bool) -> None:
    keep_freed_memory()
    api = _listener(make_app(wiring.services, __version__), settings, MAX_MESSAGE_BYTES)
    content = _listener(
        make_content_app(wiring.services, wiring.instance_socket, settings.content_url),
        settings,
        MAX_MESSAGE,
    )
    listeners = (api, content)
    loop = asyncio.get_running_loop()

    def end() -> None:
        for listener in listeners:
            listener.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    serving = [
        asyncio.create_task(api.serve(sockets=sockets["api"])),
        asyncio.create_task(content.serve(sockets=sockets["content"])),
    ]
    while not all(listener.started for listener in listeners):
        await asyncio.sleep(0.005)
        if any(task.done() for task in serving):
            end()
            break
    else:
        await wiring.package_proxy.start(sockets["packages"][0])
        await asyncio.to_thread(wiring.start)
        home.describe(settings, __version__)
        log.info("ready: console and API %s, instances %s, endpoints %s", *_urls(settings))
        if not quiet and sys.stderr.isatty():  # for the person there, and for no log
            await asyncio.to_thread(_print_link, settings, wiring)
        gc.freeze()
        gc.enable()
    await asyncio.gather(*serving)
    await wiring.package_proxy.stop()


def _print_link(settings: Settings, wiring: Wiring) -> None:
    """How the machine's owner gets into the console, without a password yet."""
    services = wiring.services
    owner = services.tokens.resolve(json.loads((settings.home / "owner.json").read_text())["token"])
    if owner is not None:
        path = services.sessions.link(owner).path
        sys.stderr.write(f"\n  console, once, within ten minutes: {settings.url}{path}\n")
        sys.stderr.write("  another link: nacre console\n\n")


def _urls(settings: Settings) -> tuple[str, str, str]:
    return settings.url, settings.content_url, settings.inference_url


def _open_database(settings: Settings) -> Database:
    """Connect, and bring the schema up to date.

    Raises:
        NacreError: it cannot be used; the sentence says why.
    """
    url = settings.database_url
    if url and not url.startswith(("postgresql://", "postgresql+psycopg://", "sqlite:///")):
        raise InvalidSpec("NACRE_DATABASE_URL has to begin with postgresql:// or sqlite:///")
    try:
        database = Database(url) if url else Database.in_folder(settings.home)
        if said := upgrade(database, settings.home / "backups"):
            log.warning("%s", said)
    except SQLAlchemyError as error:
        cause = " ".join(str(getattr(error, "orig", None) or error).split())
        raise Unavailable(
            f"the database cannot be used ({cause}): "
            + (
                "see that it runs and that NACRE_DATABASE_URL is right"
                if url
                else f"move {settings.home / 'nacre.db'} aside, or put a copy from 'backups' in its place"
            )
        ) from error
    return database


def serve(settings: Settings, quiet: bool = False) -> None:
    """Run until SIGTERM or SIGINT. Work that runs goes on; the next start adopts it.

    Raises:
        NacreError: it cannot start; the sentence says why.
    """
    started = time.monotonic()
    home.prepare(settings)
    held = home.lock(settings)
    _log_to(settings, quiet)
    sockets = {
        "api": [home.bind(settings, settings.port, "console and API"), home.bind_unix(settings.api_socket)],
        "content": [home.bind(settings, settings.content_port, "instances")],
        "packages": [home.bind_unix(settings.package_socket)],
    }
    home.probe_inference(settings)
    database = _open_database(settings)
    wiring = wire(settings, database, SystemClock())
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, wiring, sockets, quiet))
    finally:
        wiring.stop()
        home.undescribe(settings)
        database.close()
        log.info("stopped after %.0f s", time.monotonic() - started)
        held.close()


def command(
    host: Annotated[str | None, typer.Option()] = None,
    port: Annotated[int | None, typer.Option()] = None,
    content_port: Annotated[int | None, typer.Option()] = None,
    inference_port: Annotated[int | None, typer.Option()] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="log to server.log only")] = False,
) -> None:
    """Run the server in the foreground."""
    os.umask(0o022)
    try:
        serve(read_settings(host, port, content_port, inference_port), quiet)
    except NacreError as error:
        sys.stderr.write(f"error: {error.detail}\n")
        sys.exit(1)


def main() -> None:
    """Entry of ``python -m nacre.server``."""
    sys.path[:] = [p for p in sys.path if p not in ("", str(Path.cwd()))]
    typer.run(command)
