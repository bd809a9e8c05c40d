"""Files of dataset versions by path: their bytes and what they look like."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import BinaryIO

from nacre.domain.artifacts import children
from nacre.domain.identity import Caller
from nacre.errors import NotFound
from nacre.schema.data import DatasetVersion
from nacre.schema.launch import FileEntry
from nacre.schema.previews import Preview
from nacre.services.blobs import BlobLedger
from nacre.services.datasets import Datasets
from nacre.services.preview_cells import MAX_ROWS
from nacre.services.previews import folder_preview, look

_KEPT_FILES = 400_000
"""Entries of manifests that are kept in memory together, about 200 MB at the most."""


@dataclass(frozen=True)
class Listed:
    """A manifest by path."""

    files: dict[str, FileEntry]


class ManifestCache:
    """The manifests last read, by digest, so that a page of a thousand images reads its manifest once."""

    def __init__(self, ledger: BlobLedger, kept: int = _KEPT_FILES) -> None:
        self._ledger = ledger
        self._kept = kept
        self._lock = Lock()
        self._found: OrderedDict[str, Listed] = OrderedDict()

    def get(self, digest: str) -> Listed:
        """The manifest of this digest. Asks for no permission."""
        with self._lock:
            if found := self._found.get(digest):
                self._found.move_to_end(digest)
                return found
        files = self._ledger.read_manifest(digest).files
        found = Listed({entry.path: entry for entry in files})
        with self._lock:
            self._found[digest] = found
            while len(self._found) > 1 and sum(len(one.files) for one in self._found.values()) > self._kept:
                self._found.popitem(last=False)
        return found


class DatasetFiles:
    """Operations ``data.file`` and ``data.preview``."""

    def __init__(self, datasets: Datasets, ledger: BlobLedger) -> None:
        self._datasets = datasets
        self._ledger = ledger
        self.manifests = ManifestCache(ledger)

    def listed(
        self, caller: Caller, name: str, version: str
    ) -> tuple[DatasetVersion, dict[str, FileEntry]]:
        """A version and its files by path; not to be changed."""
        found = self._datasets.get_version(caller, name, version)
        return found, self.manifests.get(found.manifest).files

    def open(self, caller: Caller, name: str, version: str, path: str) -> tuple[FileEntry, BinaryIO]:
        """One file and a seekable stream of its bytes. Close it.

        Raises:
            NotFound: no such dataset, version or file.
        """
        found, files = self.listed(caller, name, version)
        entry = files.get(path)
        if entry is None:
            raise _absent(found, path)
        return entry, self._ledger.open(caller, entry.digest)

    def preview(
        self, caller: Caller, name: str, version: str, path: str, *, offset: int = 0, limit: int = 100
    ) -> Preview:
        """What a file looks like, or what is in a folder (an empty path: in the version).

        Args:
            offset: the first row of a table, or item of a folder.
            limit: so many of them, ``MAX_ROWS`` at most.

        Raises:
            NotFound: no such dataset, version, file or folder.
        """
        limit = max(1, min(limit, MAX_ROWS))
        found, files = self.listed(caller, name, version)
        entry = files.get(path)
        if entry is not None:
            with self._ledger.open(caller, entry.digest) as stream:
                return look(path, entry.size, stream, offset=offset, limit=limit)
        folder = path.rstrip("/")
        inside = children(files.values(), folder)
        if not inside:
            raise _absent(found, path)
        return folder_preview(folder, inside, offset, limit)


def _absent(version: DatasetVersion, path: str) -> NotFound:
    ref = f"{version.dataset}@{version.number}"
    return NotFound(f"{ref} has no file {path[:200]!r}: see 'nacre data show {ref} --all'", path=path[:200])
