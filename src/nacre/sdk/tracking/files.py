"""Artifacts: into the job's output folder, or to the server."""

from __future__ import annotations

import functools
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO, Callable  # noqa: UP035 - Python 3.8
from urllib.parse import quote

from nacre.sdk.tracking.digests import digest_of
from nacre.sdk.tracking.remote import RemoteRun

_PART = 8 * 2**20


def place(path: str, artifact_path: str | None) -> str:
    """The artifact's path for a file or folder: its own name, in the folder ``artifact_path``.

    Raises:
        FileNotFoundError: there is nothing at ``path``.
        ValueError: ``artifact_path`` leads out of the run.
    """
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no file or folder {path!r} to log")
    parts = [
        part for part in (artifact_path or "").replace(os.sep, "/").split("/") if part not in ("", ".")
    ]
    if ".." in parts or os.path.isabs(artifact_path or ""):
        raise ValueError(
            f"artifact_path {artifact_path!r} must be a folder inside the run, such as 'plots'"
        )
    return "/".join([*parts, os.path.basename(os.path.abspath(path))])


def copy_in(path: str, output: str, target: str) -> None:
    """Copy a file or folder under the output folder; each file appears there whole."""
    for source, name in _walk(path, target):
        there = os.path.join(output, *name.split("/"))
        if not (os.path.exists(there) and os.path.samefile(source, there)):
            write_in(functools.partial(shutil.copy2, source), output, name)


def write_in(write: Callable[[str], object], output: str, target: str) -> None:
    """Write a file under the output folder, by ``write(path)``; it appears there whole."""
    there = os.path.join(output, *target.split("/"))
    os.makedirs(os.path.dirname(there), exist_ok=True)
    mark, name = f".nacre-{os.getpid()}-{threading.get_ident()}-", os.path.basename(there)
    # The end of the name stays: from its extension many a program tells the format.
    partial = os.path.join(os.path.dirname(there), mark + name[-max(1, 200 - len(mark)) :])
    try:
        write(partial)
        os.replace(partial, there)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


def write_up(write: Callable[[str], object], run: RemoteRun, target: str) -> None:
    """Write a file by ``write(path)`` and send it to the server.

    Raises:
        RuntimeError: the server is away, or does not take it.
    """
    with tempfile.TemporaryDirectory(prefix="nacre-") as folder:
        path = os.path.join(folder, os.path.basename(target))
        write(path)
        try:
            upload(run, path, target)
        except Exception as error:
            raise RuntimeError(f"{target} was not kept: {error}") from error


def upload(run: RemoteRun, path: str, target: str) -> None:
    """Send a file or folder to the server and add it to the run's artifacts.

    Raises:
        Away, Refused: the server is away, or does not take it.
    """
    run_id = run.create()
    files = []
    for source, name in _walk(path, target):
        with open(source, "rb") as stream:
            digest = digest_of(stream)
            size = stream.tell()
            _send(run, stream, digest, size)
        files.append(
            {"path": name, "size": size, "digest": digest, "executable": os.access(source, os.X_OK)}
        )
    for at in range(0, len(files), 10_000):
        _post(run, f"/runs/{run_id}/artifacts", {"files": files[at : at + 10_000]})


def _send(run: RemoteRun, stream: BinaryIO, digest: str, size: int) -> None:
    if not _post(run, "/blobs/missing", {"digests": [digest]})["missing"]:
        return
    blob = f"{run.base}/blobs/{quote(digest)}"
    if size <= _PART:
        stream.seek(0)
        run.wire.call("PUT", blob, stream.read(), timeout_s=120.0)
        return
    for offset, length in run.wire.call("GET", f"{blob}/parts?size={size}")["missing"]:
        stream.seek(offset)
        run.wire.call("PUT", f"{blob}/parts/{offset}?size={size}", stream.read(length), timeout_s=120.0)


def _post(run: RemoteRun, path: str, body: Any) -> Any:
    return run.wire.call("POST", run.base + path, json.dumps(body).encode(), timeout_s=120.0)


def _walk(path: str, target: str) -> Iterator[tuple[str, str]]:
    """(file, artifact path) of a file, or of every file in a folder."""
    if not os.path.isdir(path):
        yield path, target
        return
    for folder, folders, names in os.walk(path):
        folders.sort()
        inside = os.path.relpath(folder, path).replace(os.sep, "/")
        for name in sorted(names):
            source = os.path.join(folder, name)
            if os.path.isfile(source):
                yield source, "/".join(part for part in (target, inside, name) if part != ".")
