"""Fetching the files of a manifest into a folder: parallel, verified, resumable."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from blake3 import blake3

from nacre.errors import Conflict, Unavailable
from nacre.schema.launch import FileEntry
from nacre.schema.manifests import check_paths
from nacre.sdk.resources.blobs import Blobs
from nacre.sdk.transport import Transport

_CHUNK = 2**20
_SMALL = 2**20
_BATCH_BYTES = 4 * 2**20
_BATCH_BLOBS = 512
_THREADS = 4
_TRIES = 5
_OWN = ".nacre-pull"

Fetched = Callable[[int], None]


def pull_files(
    transport: Transport,
    project: str,
    manifest: str,
    files: Iterable[FileEntry],
    dest: Path,
    *,
    force: bool = False,
    fetched: Fetched | None = None,
    threads: int = _THREADS,
) -> int:
    """Put the files below ``dest`` and return how many bytes had to be fetched.

    A pull that was killed goes on where it was when it is repeated. ``force`` writes into a folder that
    holds other files: those of the same names are replaced, the others stay.

    Raises:
        Conflict: the folder is not empty, or a link in it would lead a file elsewhere.
        Unavailable: bytes did not hash to their digest, or the server went away.
    """
    entries = list(files)
    check_paths([entry.path for entry in entries])
    puller = _Puller(transport, project, dest, _begin(dest, manifest, force), fetched)
    groups: dict[str, list[FileEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.digest, []).append(entry)
    work = _batches(list(groups.values()))
    taking, failed = threading.Lock(), threading.Event()

    def go_on() -> int:
        count = 0
        while not failed.is_set():
            with taking:
                batch = next(work, None)
            if batch is None:
                break
            try:
                count += puller.place_all(batch)
            except BaseException:
                failed.set()
                raise
        return count

    with ThreadPoolExecutor(threads, "pull") as pool:
        try:
            total = sum(future.result() for future in [pool.submit(go_on) for _ in range(threads)])
        finally:
            failed.set()
    shutil.rmtree(puller.own)
    return total


def _batches(groups: list[list[FileEntry]]) -> Iterator[list[list[FileEntry]]]:
    """Contents to fetch together: many small ones, or one large one."""
    batch: list[list[FileEntry]] = []
    size = 0
    for group in groups:
        if group[0].size > _SMALL:
            yield [group]
            continue
        batch.append(group)
        size += group[0].size
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_BLOBS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _begin(dest: Path, manifest: str, force: bool) -> Path:
    own = dest / _OWN
    mark = own / manifest
    if dest.exists() and not dest.is_dir():
        raise Conflict(f"{dest} is not a folder: name another one")
    if dest.is_dir() and not force and not mark.exists() and any(dest.iterdir()):
        raise Conflict(f"the folder {dest} is not empty: name another one, or write into it with --force")
    own.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return own


class _Puller:
    def __init__(
        self, transport: Transport, project: str, dest: Path, own: Path, fetched: Fetched | None
    ) -> None:
        self._transport = transport
        self._project = project
        self._dest = dest
        self._fetched = fetched or (lambda _size: None)
        self._mask = os.umask(0o022)
        os.umask(self._mask)
        self.own = own
        self._prefetched: dict[str, int] = {}

    def place_all(self, batch: list[list[FileEntry]]) -> int:
        """Make the files of several contents; small ones are fetched together."""
        if len(batch) > 1:
            absent = [
                group[0]
                for group in batch
                if not any(_good(self._target(entry), entry) for entry in group)
                and not (self.own / group[0].digest).exists()
            ]
            self._prefetch(absent)
        return sum(self.place(group) for group in batch)

    def _prefetch(self, entries: list[FileEntry]) -> None:
        """Put small blobs into our own folder, where :meth:`place` finds them."""
        if not entries:
            return
        try:
            found = Blobs(self._transport, self._project).get_many([entry.digest for entry in entries])
        except (httpx.TransportError, Unavailable):
            return  # one by one then, with patience, and naming the one at fault
        for digest, data in found.items():
            (self.own / digest).write_bytes(data)
            self._prefetched[digest] = len(data)

    def place(self, group: list[FileEntry]) -> int:
        """Make all the files of one content; returns how many bytes were fetched for it."""
        there: list[FileEntry] = []
        wanting: list[FileEntry] = []
        for entry in group:
            (there if _good(self._target(entry), entry) else wanting).append(entry)
        streamed = 0
        if wanting:
            source = self.own / group[0].digest
            if there and not source.exists():
                shutil.copyfile(self._dest / there[0].path, source)
            else:
                streamed = self._fetch(group[0], source)
            for entry in wanting[:-1]:
                copy = self.own / f"{entry.digest}.copy"
                shutil.copyfile(source, copy)
                copy.replace(self._dest / entry.path)
            source.replace(self._dest / wanting[-1].path)
        for entry in group:
            (self._dest / entry.path).chmod((0o777 if entry.executable else 0o666) & ~self._mask)
        self._fetched(sum(entry.size for entry in group) - streamed)
        return streamed + self._prefetched.pop(group[0].digest, 0)

    def _target(self, entry: FileEntry) -> Path:
        target = self._dest / entry.path
        for parent in list(target.relative_to(self._dest).parents)[:-1]:
            if (self._dest / parent).is_symlink():
                raise Conflict(
                    f"{self._dest / parent} is a link, so {entry.path} would land elsewhere: remove it"
                )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise Conflict(f"{entry.path} needs a folder where there is a file: remove that file") from None
        if target.is_dir() and not target.is_symlink():
            raise Conflict(f"{target} is a folder and should become a file: remove it")
        return target

    def _fetch(self, entry: FileEntry, partial: Path) -> int:
        """Fetch what is not in ``partial`` yet, and verify the whole."""
        count, tries, pause = 0, 0, 0.2
        while True:
            hasher, have = _hash_of(partial)
            if have > entry.size:
                partial.unlink()
                continue
            try:
                with partial.open("ab") as out:
                    for piece in self._pieces(entry, have):
                        out.write(piece)
                        hasher.update(piece)
                        count += len(piece)
                        self._fetched(len(piece))
            except (httpx.TransportError, Unavailable) as error:
                tries += 1
                if tries >= _TRIES or (isinstance(error, Unavailable) and error.extra.get("corrupt")):
                    raise Unavailable(f"{entry.path} could not be fetched: {error}") from error
                time.sleep(pause)
                pause *= 2
                continue
            except OSError as error:
                raise Unavailable(f"{partial} cannot be written: {error.strerror}") from error
            if hasher.hexdigest() == entry.digest:
                return count
            partial.unlink()
            tries += 1
            if tries >= _TRIES:
                raise Unavailable(
                    f"the bytes of {entry.path} do not hash to {entry.digest}: try again later"
                )

    def _pieces(self, entry: FileEntry, have: int) -> Iterator[bytes]:
        if have == entry.size:
            return
        headers = {"Range": f"bytes={have}-"} if have else None
        with self._transport.stream(
            "blobs.get", project=self._project, digest=entry.digest, headers=headers
        ) as answer:
            yield from answer.iter_raw(_CHUNK)


def _hash_of(path: Path) -> tuple[blake3, int]:
    hasher, size = blake3(), 0
    if path.exists():
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                hasher.update(chunk)
                size += len(chunk)
    return hasher, size


def _good(path: Path, entry: FileEntry) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size:
        return False
    return str(_hash_of(path)[0].hexdigest()) == entry.digest
