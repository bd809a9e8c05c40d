"""Sends what is in ``output/`` as a manifest of blobs: ``python -m nacre.launcher.upload FOLDER``.

Prints a JSON object: ``manifest`` (a digest, null when there is no file) and ``warnings`` (sentences).
Exits 1, with a sentence instead, when the server will not have it. Waits while the server is away.
"""

from __future__ import annotations

import io
import json
import os
import re
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
_MAX_PATH_BYTES, _MAX_NAME_BYTES = 4096, 255
_UNDECODED = re.compile("[\udc80-\udcff]")
T = TypeVar("T")


def main(root: str) -> int:
    """Send the output of one attempt folder."""
    spec = load(os.path.join(root, "spec.json"))
    found = Output(os.path.join(root, "output"))
    try:
        digest = send(spec, found, Server(spec.server, spec.token))
    except (Refused, OSError) as error:
        sys.stdout.write(str(error).encode("utf-8", "backslashreplace").decode())
        return 1
    sys.stdout.write(json.dumps({"manifest": digest, "warnings": found.warnings()}))
    return 0


def canonical(entries: list[dict[str, Any]]) -> bytes:
    """What ``nacre.schema.manifests.canonical`` writes, without pydantic."""
    rows = sorted(entries, key=lambda entry: entry["path"].encode())
    text = json.dumps({"files": rows}, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode()


def send(spec: Spec, found: Output, server: Server) -> str | None:
    """Send every file and the manifest; the manifest's digest, None when there is no file.

    Raises:
        Refused: the server will not have it.
        OSError: a file cannot be read.
    """
    entries = list(found.scan())
    if not entries:
        return None
    manifest = canonical(entries)
    digest = blake3(manifest).hexdigest()
    base = f"/api/v1/attempts/{spec.attempt_id}/blobs"
    paths = {entry["digest"]: found.real[entry["path"]] for entry in entries}
    for missing in _missing(server, base, [*paths, digest]):
        if missing == digest:
            _persist(lambda: server.upload(f"{base}/{digest}", io.BytesIO(manifest), len(manifest)))
            continue

        def put(path: str = paths[missing], name: str = missing) -> None:
            with open_inside(found.root, path) as file:
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


class Output:
    """The files of an output folder, under names that a manifest can hold.

    A byte of a name that is no UTF-8 becomes ``%FF``. ``real`` has the path on disk of each path shown.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.real: dict[str, str] = {}
        self._renamed: list[str] = []
        self._left_out: list[str] = []

    def warnings(self) -> list[str]:
        """What people should know of the files scanned."""
        found = []
        if self._renamed:
            found.append(
                "Names in the output that are not UTF-8 were kept with % and two digits for each such "
                f"byte: {_some(self._renamed)}."
            )
        if self._left_out:
            found.append(
                "Not kept of the output, because they could not be read, are no files, lead out of the "
                f"folder or have too long a path: {_some(self._left_out)}."
            )
        return found

    def scan(self) -> Iterator[dict[str, Any]]:
        """Entries of every file, hashed; links that lead out of the folder are left out."""
        shown = {self.root: ""}
        walk = os.walk(self.root, onerror=lambda error: self._left_out.append(_plain(str(error.filename))))
        for base, folders, files in walk:
            names = self._names([*folders, *files])
            prefix = shown.pop(base)
            shown.update({os.path.join(base, name): f"{prefix}{names[name]}/" for name in folders})
            for name in files:
                entry = self._entry(os.path.join(base, name), prefix + names[name])
                if entry is None:
                    self._left_out.append(prefix + names[name])
                else:
                    yield entry

    def _names(self, names: list[str]) -> dict[str, str]:
        """Each name of a folder as it is shown; all differ."""
        found = {name: name for name in names if not _UNDECODED.search(name)}
        taken = set(found)
        for name in sorted(set(names) - taken):
            new = _plain(name)
            while new in taken:
                new += "~"
            found[name] = new
            taken.add(new)
            self._renamed.append(new)
        return found

    def _entry(self, path: str, shown: str) -> dict[str, Any] | None:
        longest = max(len(part.encode()) for part in shown.split("/"))
        if longest > _MAX_NAME_BYTES or len(shown.encode()) > _MAX_PATH_BYTES:
            return None
        try:
            with open_inside(self.root, path) as file:
                hasher = blake3()
                while chunk := file.read(_CHUNK):
                    hasher.update(chunk)
                found = os.fstat(file.fileno())
        except OSError:
            return None
        self.real[shown] = path
        return {
            "path": shown,
            "size": found.st_size,
            "digest": hasher.hexdigest(),
            "executable": bool(found.st_mode & 0o100),
        }


def _plain(name: str) -> str:
    return _UNDECODED.sub(lambda match: f"%{ord(match[0]) - 0xDC00:02X}", name)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(name[:200]) for name in names[:5]) + more


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
