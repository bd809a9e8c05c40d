"""``python -m nacre.modelserver.replica --model PATH --socket PATH``: serve one model on a unix socket.

The socket is there once the model is loaded. Exit codes: 0 after SIGTERM, with everything answered; 1 the
model could not be loaded, and the last line says why; 3 not everything was answered within the grace.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
from typing import Any, Sequence  # noqa: UP035 - Python 3.8

from nacre.modelserver.replica import choose
from nacre.modelserver.replica.predictors.base import LoadError, Signed, note, sentence, trace
from nacre.modelserver.replica.server import Server
from nacre.workloads import definitions


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m nacre.modelserver.replica", description=__doc__)
    parser.add_argument("--model", required=True, help="a model's file, or a folder with one model in it")
    parser.add_argument("--socket", required=True, help="where to listen")
    parser.add_argument(
        "--framework",
        choices=choose.FRAMEWORKS,
        default=os.environ.get("NACRE_MODEL_FRAMEWORK") or None,
        help="what the files are; $NACRE_MODEL_FRAMEWORK, or else told by their names",
    )
    parser.add_argument("--signature", help="a file with what the model takes and gives, as JSON")
    parser.add_argument("--script", help="a program whose classes a pickled model needs")
    parser.add_argument("--module", help="the same, as for python -m")
    parser.add_argument("--threads", type=int, default=1, help="how many batches the model runs at once")
    parser.add_argument("--grace", type=float, default=30.0, help="seconds to finish in after SIGTERM")
    return parser.parse_args(arguments)


def load(options: argparse.Namespace) -> Signed:
    """The model that is asked for. Raises :class:`LoadError`."""
    if options.script or options.module:
        definitions.define(options.script, options.module)
    return choose.load(options.model, options.framework, _signature(options.signature))


def _signature(file: str | None) -> dict[str, Any] | None:
    """The signature of a file, or of ``$NACRE_MODEL_SIGNATURE`` itself."""
    text = os.environ.get("NACRE_MODEL_SIGNATURE")
    try:
        if file is not None:
            with open(file, encoding="utf-8") as stream:
                text = stream.read()
        found = json.loads(text) if text else None
    except (OSError, ValueError) as error:
        raise LoadError(f"the signature cannot be read: {error}") from error
    if found is not None and not isinstance(found, dict):
        raise LoadError("the signature is no JSON object")
    return found


def listen(path: str) -> socket.socket:
    """A unix socket that only its owner can connect to. The path may be longer than a socket's name."""
    listener = socket.socket(socket.AF_UNIX)
    folder, name = os.path.split(os.path.abspath(path))
    before = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        if os.path.lexists(name):
            os.unlink(name)
        mask = os.umask(0o177)
        try:
            listener.bind(name)
        finally:
            os.umask(mask)
    finally:
        os.fchdir(before)
        os.close(before)
    listener.listen(128)
    return listener


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM; the exit code."""
    options = parse(arguments)
    ready = False

    def terminate(_number: int, _frame: Any) -> None:
        if not ready:
            os._exit(0)  # loading cannot be interrupted, and nobody waits for it

    told, teller = socket.socketpair()
    teller.setblocking(False)
    signal.signal(signal.SIGTERM, terminate)
    signal.set_wakeup_fd(teller.fileno(), warn_on_full_buffer=False)
    server = Server(lambda: load(options), options.threads)
    try:
        server.start()
    except LoadError as error:
        return _failed(str(error))
    except BaseException as error:
        trace(error)
        return _failed(sentence(error))
    ready = True
    listener = listen(options.socket)
    note("the model is loaded")
    server.serve(listener, told)
    listener.close()
    note("ending: what is under way is finished")
    return 0 if server.drain(options.grace) else 3


def _failed(text: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"error: the model could not be loaded: {' '.join(text.split())[:2000]}\n")
    return 1


if __name__ == "__main__":
    for out in (sys.stdout, sys.stderr):
        out.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # The model's thread may be in the middle of something that nothing can interrupt.
    os._exit(code)
