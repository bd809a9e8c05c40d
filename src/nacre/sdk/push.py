"""Sending files: only what the project does not have, in parallel, resumable after a kill at any byte.

Nothing is remembered on this side but digests: what has arrived is known by the server. Small files go
many to a request, large ones in parts; the server verifies each blob before it counts.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from blake3 import blake3

from nacre.errors import Conflict, InvalidSpec, Unavailable
from nacre.schema.data import BlobParts, BlobsMissing, BlobsStored, PartStored
from nacre.schema.launch import FileEntry
from nacre.schema.manifests import canonical, check_paths, frame
from nacre.sdk.files import LocalFile, look_at
from nacre.sdk.hashing import HashCache, hash_files
from nacre.sdk.settings import nacre_home
from nacre.sdk.transport import Transport

SMALL_BYTES = 2**20
LARGE_BYTES = 16 * 2**20
_BATCH_BYTES = 4 * 2**20
_BATCH_BLOBS = 512
_PIECE = 2**20
_ASK = 10_000
_THREADS = 4
_ROUNDS = 3
_PATIENCE_S = 600.0


class PushProgress:
    """Told of a push from many threads. This one tells nobody; the CLI draws a bar."""

    def found(self, files: int, size: int) -> None:
        """So many files, of so many bytes, will be hashed."""

    def hashed(self, size: int) -> None:
        """So many more bytes have been read and hashed."""

    def lacking(self, size: int) -> None:
        """So many more bytes must be sent."""

    def sent(self, size: int) -> None:
        """So many more bytes have arrived."""


@dataclass(frozen=True)
class Pushed:
    """``manifest`` is the digest under which the server knows the files now."""

    manifest: str
    files: int
    size: int
    sent: int


def push_files(
    transport: Transport,
    project: str,
    files: Iterable[tuple[Path, str]],
    *,
    progress: PushProgress | None = None,
    threads: int = _THREADS,
) -> str:
    """Send files to a project and return the digest of their manifest.

    Args:
        files: (path on this machine, path in the manifest) pairs.

    Raises:
        Conflict: a file changed meanwhile; nothing counts as pushed.
        InvalidSpec: a name is unsafe or there twice, a file cannot be read.
    """
    return push_local(transport, project, look_at(files), progress=progress, threads=threads).manifest


def push_local(
    transport: Transport,
    project: str,
    files: list[LocalFile],
    *,
    progress: PushProgress | None = None,
    threads: int = _THREADS,
) -> Pushed:
    """The same for files that have been looked at, with figures."""
    progress = progress or PushProgress()
    check_paths([file.name for file in files])
    progress.found(len(files), sum(file.size for file in files))
    cache = HashCache(nacre_home() / "cache")
    digests = hash_files(files, cache, progress.hashed)
    sender = _Sender(transport, project, cache, progress, threads)
    entries = [
        FileEntry(path=f.name, size=f.size, digest=digest, executable=f.executable)
        for f, digest in digests.items()
    ]
    manifest = canonical(entries)
    name = str(blake3(manifest).hexdigest())
    missing = sender.missing([*(entry.digest for entry in entries), name])
    sender.send_files({digest: f for f, digest in digests.items() if digest in missing})
    for file in files:
        file.check()
    if name in missing:
        sender.send_bytes(name, manifest)
    return Pushed(name, len(files), sum(file.size for file in files), sender.sent)


class _Sender:
    """One push. Each thread uses a connection of its own out of the transport's pool."""

    def __init__(
        self, transport: Transport, project: str, cache: HashCache, progress: PushProgress, threads: int
    ) -> None:
        self._transport = transport
        self._project = project
        self._cache = cache
        self._progress = progress
        self._threads = threads
        self._lock = threading.Lock()
        self._complete: set[str] = set()
        self.sent = 0

    def missing(self, digests: Iterable[str]) -> set[str]:
        """Which of them the project does not have."""
        unique = iter(dict.fromkeys(digests))
        found: set[str] = set()
        while chunk := list(islice(unique, _ASK)):
            answer: BlobsMissing = self._transport.call(
                "blobs.missing",
                BlobsMissing,
                project=self._project,
                json={"digests": chunk},
                repeatable=True,
                timeout_s=_PATIENCE_S,
            )
            found.update(answer.missing)
        return found

    def send_files(self, files: dict[str, LocalFile]) -> None:
        """Send files by digest, each once."""
        large = {digest: file for digest, file in files.items() if file.size > LARGE_BYTES}
        self._progress.lacking(sum(file.size for digest, file in files.items() if digest not in large))
        rest = {digest: file for digest, file in files.items() if digest not in large}
        self._run(self._small_work(rest))
        for _ in range(_ROUNDS):
            work = list(self._large_work(large))
            self._run(iter([run for run, _ in work]))
            large = {digest: large[digest] for digest in {digest for _, digest in work}}
            if not large:
                return
        if any(self._parts(digest, file.size) for digest, file in large.items()):
            raise Unavailable("the server did not keep all parts of a large file: push again to go on")

    def send_bytes(self, digest: str, data: bytes) -> None:
        """Send one blob that is no file."""
        if len(data) <= LARGE_BYTES:
            self._put(digest, data)
            return
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            self.send_files({digest: LocalFile.look(Path(file.name), "the manifest")})

    def _run(self, work: Iterator[Callable[[], None]]) -> None:
        """Do it all, in a few threads; the first error ends it."""
        taking = threading.Lock()
        failed = threading.Event()

        def go_on() -> None:
            while not failed.is_set():
                with taking:
                    item = next(work, None)
                if item is None:
                    return
                try:
                    item()
                except BaseException:
                    failed.set()
                    raise

        with ThreadPoolExecutor(self._threads, "push") as pool:
            try:
                for future in [pool.submit(go_on) for _ in range(self._threads)]:
                    future.result()
            finally:
                failed.set()

    def _small_work(self, files: dict[str, LocalFile]) -> Iterator[Callable[[], None]]:
        batch: dict[str, LocalFile] = {}
        size = 0
        for digest, file in files.items():
            if file.size > SMALL_BYTES:
                yield partial(self._put_file, digest, file)
                continue
            batch[digest] = file
            size += file.size
            if size >= _BATCH_BYTES or len(batch) >= _BATCH_BLOBS:
                yield partial(self._put_batch, batch)
                batch, size = {}, 0
        if batch:
            yield partial(self._put_batch, batch)

    def _large_work(self, files: dict[str, LocalFile]) -> Iterator[tuple[Callable[[], None], str]]:
        for digest, file in files.items():
            ranges = self._parts(digest, file.size)
            self._progress.lacking(sum(length for _, length in ranges))
            for offset, length in ranges:
                yield partial(self._put_part, digest, file, offset, length), digest

    def _parts(self, digest: str, size: int) -> list[tuple[int, int]]:
        answer: BlobParts = self._transport.call(
            "blobs.parts", BlobParts, project=self._project, digest=digest, query={"size": size}
        )
        return answer.missing

    def _put(self, digest: str, data: bytes) -> None:
        self._transport.call(
            "blobs.put",
            BlobsStored,
            project=self._project,
            digest=digest,
            content=data,
            timeout_s=_PATIENCE_S,
        )
        self._count(len(data))

    def _put_file(self, digest: str, file: LocalFile) -> None:
        with _blaming(file, digest, self._cache):
            self._put(digest, _read(file, 0, file.size))

    def _put_batch(self, batch: dict[str, LocalFile]) -> None:
        body = b"".join(frame(digest, _read(file, 0, file.size)) for digest, file in batch.items())
        try:
            self._transport.call(
                "blobs.put_many",
                BlobsStored,
                project=self._project,
                content=body,
                repeatable=True,
                timeout_s=_PATIENCE_S,
            )
        except InvalidSpec as error:
            file = batch.get(str(error.extra.get("digest")))
            if file is None:
                raise
            raise _blame(file, self._cache) from error
        self._count(sum(file.size for file in batch.values()))

    def _put_part(self, digest: str, file: LocalFile, offset: int, length: int) -> None:
        if digest in self._complete:
            return  # another process sent the rest
        with _blaming(file, digest, self._cache):
            answer: PartStored = self._transport.call(
                "blobs.put_part",
                PartStored,
                project=self._project,
                digest=digest,
                offset=offset,
                query={"size": file.size},
                content=_Part(file, offset, length),
                headers={"Content-Length": str(length)},
                timeout_s=_PATIENCE_S,
            )
        if answer.complete:
            self._complete.add(digest)
        self._count(length)

    def _count(self, size: int) -> None:
        with self._lock:
            self.sent += size
        self._progress.sent(size)


class _Part:
    """A range of a file as the body of a request, which may be sent more than once."""

    def __init__(self, file: LocalFile, offset: int, length: int) -> None:
        self._file, self._offset, self._length = file, offset, length

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, self._length, _PIECE):
            yield _read(self._file, self._offset + start, min(_PIECE, self._length - start))


@contextmanager
def _blaming(file: LocalFile, digest: str, cache: HashCache) -> Iterator[None]:
    """Bytes that do not hash as they did: say which file, and forget what was thought of it."""
    try:
        yield
    except InvalidSpec as error:
        if error.extra.get("digest") != digest:
            raise
        raise _blame(file, cache) from error


def _blame(file: LocalFile, cache: HashCache) -> Conflict:
    cache.forget(file)
    return file.changed()


def _read(file: LocalFile, offset: int, length: int) -> bytes:
    try:
        with file.path.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(length)
    except FileNotFoundError:
        raise file.changed() from None
    except OSError as error:
        raise InvalidSpec(f"{file.name} cannot be read: {error.strerror}", path=file.name) from error
    if len(data) != length:
        raise file.changed()
    return data
