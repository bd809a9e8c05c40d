"""``python -m nacre.modelserver``: the process that answers inference.

It outlives the main server, which starts it detached, writes ``FOLDER/routes.json`` and tells it so
through ``FOLDER/control.sock``. Exit codes: 0 after a shutdown, 2 for wrong arguments or a folder
that cannot be used, 3 when the port is taken, 4 when another model server owns the folder.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import uvloop

from nacre.modelserver.control import Control, Fleet, bind_control
from nacre.modelserver.limits import Limits
from nacre.modelserver.listener import Listener
from nacre.modelserver.log import configure
from nacre.modelserver.supervisor import Supervisor
from nacre.modelserver.worker import PortTaken, Worker, claim

log = logging.getLogger(__name__)

_USAGE, _PORT_TAKEN, _FOLDER_TAKEN = 2, 3, 4


class _FolderTaken(Exception):
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    options = _parse(arguments)
    configure(f"modelserver {os.getpid()}")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        with (options.folder / "modelserver.lock").open("w") as lock:
            _lock(lock, options.folder)
            with claim(options.host, options.port) as held:
                uvloop.run(_serve(options, held.getsockname()[1]))
    except PortTaken as error:
        return _say(f"{error}; stop what listens there or choose another --port", _PORT_TAKEN)
    except _FolderTaken as error:
        return _say(str(error), _FOLDER_TAKEN)
    except OSError as error:
        return _say(f"cannot serve from {options.folder}: {error}", _USAGE)
    return 0


def _say(text: str, code: int) -> int:
    sys.stderr.write(f"nacre model server: {text}\n")
    return code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nacre.modelserver", description="Serve ONNX models over HTTP."
    )
    parser.add_argument("--folder", type=Path, required=True, help="holds routes.json")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7375, help="0 takes a free one")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the port")
    parser.add_argument(
        "--max-body", type=int, default=Limits().max_body, metavar="BYTES", help="beyond it 413"
    )
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error("--workers has to be at least 1")
    if not 0 <= options.port < 65536:
        parser.error("--port has to be between 0 and 65535")
    options.folder = options.folder.absolute()
    return options


def _lock(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _FolderTaken(f"another model server already serves {folder}") from error


async def _serve(options: argparse.Namespace, port: int) -> None:
    folder, host = options.folder, options.host
    limits = Limits(max_body=options.max_body)
    fleet: Fleet
    if options.workers == 1:
        fleet = Worker(folder, host, port, limits)
    else:
        fleet = Supervisor(folder, host, port, limits, options.workers)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    control = Listener(Control(fleet, stop), limits)
    await control.start(bind_control(folder / "control.sock"))
    announcement = folder / "modelserver.json"
    try:
        start = asyncio.create_task(fleet.start())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([start, stopped], return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
            _announce(announcement, host, port)
            log.info("listening on %s port %d", host, port)
            await stopped
        log.info("stopping: requests in flight may end")
        await fleet.stop()
        await control.drain()
    finally:
        announcement.unlink(missing_ok=True)
        (folder / "control.sock").unlink(missing_ok=True)
    log.info("stopped")


def _announce(path: Path, host: str, port: int) -> None:
    """Tell who serves here: ``start`` tells this process from a later one with the same pid."""
    stat = Path("/proc/self/stat").read_text()
    # Field 22; the second field, the name, may hold spaces and ends with the last parenthesis.
    start = int(stat.rpartition(")")[2].split()[19])
    text = json.dumps({"pid": os.getpid(), "start": start, "port": port, "host": host})
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    # A model may still be loading or running on a thread that nothing can interrupt.
    os._exit(code)
