"""A worker as a child process, and the line of JSON that it and its supervisor exchange.

``python -m nacre.modelserver.channel`` is what the supervisor starts; it is not for people.
Request: ``{"do": …, "endpoint": …, "revision": …}``, of ``reload``, ``report``, ``history``, ``demand``,
``stop``. Answer: ``{"report": …}`` or ``{"error": sentence}``.
Before the first request the child sends one answer of its own: it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import orjson
import uvloop

from nacre.errors import InvalidSpec, NacreError, Unavailable
from nacre.modelserver.history import HistoryReport
from nacre.modelserver.limits import Limits
from nacre.modelserver.log import configure
from nacre.modelserver.rates import Rates
from nacre.modelserver.stats import Report
from nacre.modelserver.worker import Worker

log = logging.getLogger(__name__)

_LINE = 64 * 1024 * 1024


async def open_channel(sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Streams over one end of a socket pair; a line may be long (histograms of many endpoints)."""
    return await asyncio.open_unix_connection(sock=sock, limit=_LINE)


class Remote:
    """The supervisor's side of one worker. Calls are answered one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn = asyncio.Lock()

    async def ready(self) -> None:
        """Wait until the worker listens. Raises ``Unavailable`` when it ends before that."""
        async with self._turn:
            await self._answer()

    async def call(self, do: str, endpoint: str = "", revision: int | None = None) -> Any:
        """A ``Report``; of ``history`` a ``HistoryReport`` or null; of ``demand`` counts by endpoint.

        Raises ``InvalidSpec`` as the worker did, ``Unavailable`` when the worker is gone.
        """
        async with self._turn:
            try:
                self._writer.write(
                    orjson.dumps({"do": do, "endpoint": endpoint, "revision": revision}) + b"\n"
                )
                await self._writer.drain()
            except OSError as error:
                raise Unavailable("the worker is gone") from error
            return await self._answer()

    async def _answer(self) -> Any:
        try:
            line = await self._reader.readline()
        except OSError as error:
            raise Unavailable("the worker is gone") from error
        if not line:
            raise Unavailable("the worker is gone")
        answer = orjson.loads(line)
        if "error" in answer:
            raise InvalidSpec(answer["error"])
        return answer["report"]

    def close(self) -> None:
        """Let go of the worker, which then ends."""
        self._writer.close()


async def serve(worker: Worker, sock: socket.socket) -> None:
    """Be a worker until told to stop, or until the supervisor is gone."""
    reader, writer = await open_channel(sock)
    loop = asyncio.get_running_loop()
    # A terminal sends its signals to parent and children alike; the parent decides.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, reader.feed_eof)
    await worker.start()
    await _send(writer, {"report": await worker.report()})
    while line := await reader.readline():
        asked = orjson.loads(line)
        if asked["do"] == "stop":
            break
        try:
            await _send(writer, {"report": await _done(worker, asked)})
        except NacreError as error:
            await _send(writer, {"error": error.detail})
    await worker.stop()


async def _done(worker: Worker, asked: dict[str, Any]) -> Report | HistoryReport | dict[str, int] | None:
    if asked["do"] == "history":
        return await worker.history(asked["endpoint"], asked["revision"])
    if asked["do"] == "demand":
        return await worker.demand()
    return await (worker.reload() if asked["do"] == "reload" else worker.report())


async def _send(writer: asyncio.StreamWriter, answer: dict[str, Any]) -> None:
    writer.write(orjson.dumps(answer) + b"\n")
    try:
        await writer.drain()
    except OSError:
        log.warning("the supervisor is gone")


async def _main(options: argparse.Namespace) -> None:
    limits, rates = Limits(max_body=options.max_body), Rates(options.rates)
    worker = Worker(options.folder, options.host, options.port, limits, options.workers, rates)
    await serve(worker, socket.socket(fileno=options.channel))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m nacre.modelserver.channel")
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-body", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--rates", type=int, required=True)
    configure(f"worker {os.getpid()}")
    uvloop.run(_main(parser.parse_args()))
    sys.stderr.flush()
    # A model may still be loading or running on a thread that nothing can interrupt.
    os._exit(0)
