"""Sends what is in ``output/`` as a manifest of blobs: ``python -m nacre.launcher.upload FOLDER``.

Prints the manifest's digest, or nothing when there is no file. Exits 1, with a sentence on standard output,
when the server will not have it. Waits for as long as the server is away.
"""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeVar

from blake3 import blake3

from nacre.launcher.spec import Spec, load
from nacre.launcher.wire import Away, Refused, Server

_BATCH = 1000
_CHUNK = 1 << 20
T = TypeVar("T")


def main(root: str) -> int:
    """Send the output of one attempt folder."""
    spec = load(os.path.join(root, "spec.json"))
    try:
        digest = send(spec, os.path.join(root, "output"), Server(spec.server, spec.token))
    except (Refused, OSError) as error:
        sys.stdout.write(str(error))
        return 1
    sys.stdout.write(digest or "")
    return 0


def send(spec: Spec, output: str, server: Server) -> str | None:
    """Send every file and the manifest; the manifest's digest, None when there is no file.

    Raises:
        Refused: the server will not have it.
        OSError: a file cannot be read.
    """
    entries = sorted(scan(output), key=lambda entry: str(entry["path"]))
    if not entries:
        return None
    manifest = json.dumps({"files": entries}, sort_keys=True, separators=(",", ":")).encode()
    digest = blake3(manifest).hexdigest()
    base = f"/api/v1/attempts/{spec.attempt_id}/blobs"
    paths = {str(entry["digest"]): str(entry["path"]) for entry in entries}
    for missing in _missing(server, base, [*paths, digest]):
        if missing == digest:
            _persist(lambda: server.upload(f"{base}/{digest}", io.BytesIO(manifest), len(manifest)))
            continue
        path = os.path.join(output, paths[missing])

        def put(path: str = path, name: str = missing) -> None:
            with open_inside(output, path) as file:
                server.upload(f"{base}/{name}", file, os.fstat(file.fileno()).st_size)

        _persist(put)
    return digest


def _missing(server: Server, base: str, digests: list[str]) -> Iterator[str]:
    for at in range(0, len(digests), _BATCH):
        body = json.dumps({"digests": digests[at : at + _BATCH]}).encode()

        def ask(body: bytes = body) -> Any:
            return server.call("POST", f"{base}/missing", body)

        yield from _persist(ask)["missing"]


def _persist(action: Callable[[], T]) -> T:
    pause = 0.05
    while True:
        try:
            return action()
        except Away:
            time.sleep(pause)
            pause = min(2.0, pause * 2)


def scan(output: str) -> Iterator[dict[str, object]]:
    """Entries of every file below ``output``, hashed; links that lead out of it are left out."""
    for base, _folders, files in os.walk(output):
        for name in files:
            path = os.path.join(base, name)
            try:
                file = open_inside(output, path)
            except OSError:
                continue
            with file:
                hasher = blake3()
                while chunk := file.read(_CHUNK):
                    hasher.update(chunk)
                found = os.fstat(file.fileno())
                relative = os.path.relpath(path, output)
                yield {
                    "path": relative.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                    "size": found.st_size,
                    "digest": hasher.hexdigest(),
                    "executable": bool(found.st_mode & 0o100),
                }


def open_inside(output: str, path: str) -> BinaryIO:
    """Open a regular file, or a link to one that also lies in ``output``. Raises OSError otherwise.

    The command has ended, so nothing can be exchanged between looking and opening.
    """
    root = os.path.realpath(output)
    real = os.path.realpath(path)
    if not real.startswith(root + os.sep):
        raise OSError(f"{path} leads out of the output folder")
    fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is not a file")
    return os.fdopen(fd, "rb")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
