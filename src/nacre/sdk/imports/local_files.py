"""Artifacts of an MLflow store that lie in folders of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nacre.sdk.imports.records import Place, Unreachable

_PIECE = 2**20
_PROXIED = "mlflow-artifacts"


class LocalFiles:
    """Finds and reads them.

    ``proxied``: the folder in which the store's server keeps what it takes;
    null where nobody knows. ``base``: where relative paths begin.
    """

    def __init__(self, base: Path, proxied: Path | None) -> None:
        self._base = base
        self._proxied = proxied

    def folder(self, place: Place) -> Path:
        """The folder of a run's or model's artifacts, whether it is there or not.

        Raises:
            Unreachable: they are elsewhere.
        """
        uri = place.uri
        parts = urlsplit(uri)
        if parts.scheme == _PROXIED:
            if self._proxied is None:
                raise Unreachable(
                    "artifacts are kept by the MLflow server and its folder is not known: give it with "
                    "--artifacts DIR, or import from the server's http address"
                )
            found = self._proxied.joinpath(*_inside(unquote(parts.path)))
        elif parts.scheme == "file":
            found = Path(unquote(parts.path))
        elif re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:", uri):
            raise Unreachable(
                f"artifacts at {parts.scheme}:// are not read from here: import from the http address of "
                "an MLflow server that can read them"
            )
        else:
            found = self._base / uri
        if found.name != "artifacts" and parts.scheme != _PROXIED:
            raise Unreachable(f"{uri} is no folder of artifacts")
        return found

    def files(self, folder: Path) -> Iterator[tuple[str, int | None]]:
        """(path, size) of every file; links that leave the folder are passed over."""
        root = os.path.realpath(folder)
        for where, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(where, name)
                inside = os.path.realpath(path).startswith(root + os.sep)
                if inside and path.is_file():
                    yield path.relative_to(folder).as_posix(), path.stat().st_size

    @contextmanager
    def read(self, folder: Path, path: str) -> Iterator[Iterator[bytes]]:
        """The bytes of one, in pieces."""
        try:
            stream = folder.joinpath(*_inside(path)).open("rb")
        except OSError as error:
            raise Unreachable(f"{path} cannot be read: {error.strerror}") from None
        with stream:
            yield iter(lambda: stream.read(_PIECE), b"")


def _inside(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Unreachable(f"{path} leads out of its folder")
    return parts
