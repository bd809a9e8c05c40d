"""For authors of blob stores: the suite that every store passes, and a store that fails on command.

Example::

    class TestMyStore(BlobsSuite):
        @pytest.fixture
        def blobs(self, tmp_path):
            return MyStore(tmp_path)
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import BinaryIO

import pytest
from blake3 import blake3

from nacre.errors import InvalidSpec, NotFound
from nacre.ports.blobs import (
    PART_BYTES,
    BatchBlobs,
    Blobs,
    PartialBlobs,
    StagedBlob,
    StagingBlobs,
    part_ranges,
)


def digest_of(data: bytes) -> str:
    """The digest of these bytes."""
    return str(blake3(data).hexdigest())


class FakeBlobs(Blobs, PartialBlobs, BatchBlobs, StagingBlobs):
    """A store in memory. ``fail`` makes the next calls of a method raise; ``spoil`` damages a blob."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blobs: dict[str, bytes] = {}
        self._parts: dict[tuple[str, int, str], dict[int, bytes]] = {}
        self._failures: dict[str, list[Exception]] = {}
        self.corrupt: set[str] = set()

    def fail(self, method: str, error: Exception, times: int = 1) -> None:
        """The next ``times`` calls of ``method`` raise ``error``."""
        self._failures.setdefault(method, []).extend([error] * times)

    def spoil(self, digest: str, data: bytes = b"spoilt") -> None:
        """Replace the bytes behind the store's back."""
        self._blobs[digest] = data

    def _may_fail(self, method: str) -> None:
        with self._lock:
            failures = self._failures.get(method)
            if failures:
                raise failures.pop(0)

    def missing(self, digests: list[str]) -> list[str]:
        self._may_fail("missing")
        return [digest for digest in digests if digest not in self._blobs]

    def put(self, digest: str, source: BinaryIO) -> int:
        self._may_fail("put")
        data = b"".join(iter(lambda: source.read(2**20), b""))
        self._keep(digest, data)
        return len(data)

    @contextmanager
    def stage(self, source: BinaryIO) -> Iterator[StagedBlob]:
        self._may_fail("stage")
        yield _Staged(self, b"".join(iter(lambda: source.read(2**20), b"")))

    def put_many(self, items: list[tuple[str, bytes]]) -> None:
        self._may_fail("put_many")
        for digest, data in items:
            if digest_of(data) != digest:
                raise InvalidSpec(f"the bytes sent do not hash to {digest}", digest=digest)
        for digest, data in items:
            self._keep(digest, data)

    def _keep(self, digest: str, data: bytes) -> None:
        if digest_of(data) != digest:
            raise InvalidSpec(f"the bytes sent do not hash to {digest}", digest=digest)
        with self._lock:
            self._blobs.setdefault(digest, data)

    def open(self, digest: str) -> BinaryIO:
        self._may_fail("open")
        return io.BytesIO(self._get(digest))

    def size(self, digest: str) -> int:
        self._may_fail("size")
        return len(self._get(digest))

    def _get(self, digest: str) -> bytes:
        try:
            return self._blobs[digest]
        except KeyError:
            raise NotFound(f"there is no blob {digest}", digest=digest) from None

    def verify(self, digest: str) -> bool:
        self._may_fail("verify")
        if digest_of(self._get(digest)) == digest:
            return True
        with self._lock:
            del self._blobs[digest]
            self.corrupt.add(digest)
        return False

    def delete(self, digest: str) -> None:
        self._may_fail("delete")
        with self._lock:
            self._blobs.pop(digest, None)

    def digests(self) -> Iterator[str]:
        self._may_fail("digests")
        return iter(list(self._blobs))

    def parts(self, digest: str, size: int, sender: str = "") -> list[tuple[int, int]]:
        self._may_fail("parts")
        kept = self._parts.get((digest, size, sender), {})
        return [item for item in part_ranges(size) if item[0] not in kept]

    def put_part(self, digest: str, size: int, offset: int, data: bytes, sender: str = "") -> bool:
        self._may_fail("put_part")
        if (offset, len(data)) not in part_ranges(size):
            raise InvalidSpec(f"({offset}, {len(data)}) is not a part of a blob of {size} bytes")
        with self._lock:
            kept = self._parts.setdefault((digest, size, sender), {})
            kept.setdefault(offset, data)
            if len(kept) < len(part_ranges(size)):
                return False
            del self._parts[digest, size, sender]
        self._keep(digest, b"".join(kept[at] for at in sorted(kept)))
        return True


class _Staged(StagedBlob):
    def __init__(self, store: FakeBlobs, data: bytes) -> None:
        self._store, self._data = store, data
        self.digest, self.size = digest_of(data), len(data)

    def publish(self) -> None:
        self._store.put(self.digest, io.BytesIO(self._data))


def _together(count: int, work: Callable[[int], object]) -> None:
    """Run ``work(0…count-1)`` in threads that start at the same moment; raise what they raised."""
    gate = threading.Barrier(count)

    def one(number: int) -> None:
        gate.wait(30)
        work(number)

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(one, range(count)))


class _Breaking(io.BytesIO):
    """Gives 1000 bytes, then fails."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise RuntimeError("the sender went away")
        return super().read(1000)


class BlobsSuite:
    """What the port ``Blobs`` promises. Give it a fixture ``blobs``: an empty store."""

    def test_what_is_put_is_read_again(self, blobs: Blobs) -> None:
        for data in (b"", b"x", os.urandom(3_000_000)):
            digest = digest_of(data)
            assert blobs.missing([digest]) == [digest]
            assert blobs.put(digest, io.BytesIO(data)) == len(data)
            assert blobs.missing([digest]) == []
            assert blobs.size(digest) == len(data)
            with blobs.open(digest) as stream:
                assert stream.read() == data

    def test_a_stream_is_seekable(self, blobs: Blobs) -> None:
        data = os.urandom(100_000)
        blobs.put(digest_of(data), io.BytesIO(data))
        with blobs.open(digest_of(data)) as stream:
            stream.seek(70_000)
            assert stream.read(10) == data[70_000:70_010]

    def test_missing_keeps_the_order(self, blobs: Blobs) -> None:
        there = digest_of(b"there")
        blobs.put(there, io.BytesIO(b"there"))
        absent = [digest_of(bytes([n])) for n in range(5)]
        assert blobs.missing([*absent[3:], there, *absent[:3]]) == absent[3:] + absent[:3]

    def test_a_mismatch_stores_nothing(self, blobs: Blobs) -> None:
        digest = digest_of(b"right")
        with pytest.raises(InvalidSpec, match=digest):
            blobs.put(digest, io.BytesIO(b"wrong"))
        assert blobs.missing([digest]) == [digest]
        assert list(blobs.digests()) == []

    def test_a_mismatch_leaves_an_earlier_copy(self, blobs: Blobs) -> None:
        digest = digest_of(b"right")
        blobs.put(digest, io.BytesIO(b"right"))
        with pytest.raises(InvalidSpec):
            blobs.put(digest, io.BytesIO(b"wrong"))
        with blobs.open(digest) as stream:
            assert stream.read() == b"right"

    def test_a_stream_that_breaks_stores_nothing(self, blobs: Blobs) -> None:
        data = os.urandom(5000)
        with pytest.raises(RuntimeError, match="went away"):
            blobs.put(digest_of(data), _Breaking(data))
        assert blobs.missing([digest_of(data)]) == [digest_of(data)]

    def test_absent_is_not_found(self, blobs: Blobs) -> None:
        for ask in (blobs.open, blobs.size, blobs.verify):
            with pytest.raises(NotFound):
                ask(digest_of(b"never put"))

    def test_delete_removes_and_may_be_repeated(self, blobs: Blobs) -> None:
        digest = digest_of(b"gone")
        blobs.put(digest, io.BytesIO(b"gone"))
        blobs.delete(digest)
        blobs.delete(digest)
        assert blobs.missing([digest]) == [digest]

    def test_digests_lists_every_blob_once(self, blobs: Blobs) -> None:
        contents = [str(number).encode() for number in range(50)]
        for data in contents * 2:
            blobs.put(digest_of(data), io.BytesIO(data))
        assert sorted(blobs.digests()) == sorted(digest_of(data) for data in contents)

    def test_verify_says_yes_to_a_good_blob(self, blobs: Blobs) -> None:
        digest = digest_of(b"good")
        blobs.put(digest, io.BytesIO(b"good"))
        assert blobs.verify(digest)

    def test_the_same_blob_from_many_threads_is_stored_once(self, blobs: Blobs) -> None:
        data = os.urandom(500_000)
        digest = digest_of(data)
        _together(8, lambda _: blobs.put(digest, io.BytesIO(data)))
        assert list(blobs.digests()) == [digest]
        assert blobs.verify(digest)

    def test_a_reader_never_sees_half_a_blob(self, blobs: Blobs) -> None:
        data = os.urandom(4_000_000)
        digest = digest_of(data)

        def work(number: int) -> None:
            if number == 0:
                blobs.put(digest, io.BytesIO(data))
                return
            while True:
                try:
                    with blobs.open(digest) as stream:
                        assert stream.read() == data
                        return
                except NotFound:
                    continue

        _together(4, work)

    # --- ability: parts

    def test_parts_in_any_order_make_the_blob(self, blobs: Blobs) -> None:
        store = _partial(blobs)
        data = os.urandom(2 * PART_BYTES + 123)
        digest, ranges = digest_of(data), part_ranges(len(data))
        assert store.parts(digest, len(data)) == ranges
        for offset, length in (ranges[2], ranges[0]):
            assert not store.put_part(digest, len(data), offset, data[offset : offset + length])
            assert blobs.missing([digest]) == [digest]
        assert store.parts(digest, len(data)) == [ranges[1]]
        offset, length = ranges[1]
        assert store.put_part(digest, len(data), offset, data[offset : offset + length])
        with blobs.open(digest) as stream:
            assert stream.read() == data

    def test_parts_from_many_threads_at_once(self, blobs: Blobs) -> None:
        store = _partial(blobs)
        data = os.urandom(3 * PART_BYTES)
        digest = digest_of(data)
        answers: list[bool] = []

        def work(number: int) -> None:
            ranges = part_ranges(len(data))
            for offset, length in ranges[number % 3 :] + ranges[: number % 3]:
                if digest not in blobs.missing([digest]):
                    return
                answers.append(
                    store.put_part(digest, len(data), offset, data[offset : offset + length], "one")
                )

        _together(6, work)
        assert any(answers)
        assert blobs.verify(digest)

    def test_parts_that_do_not_hash_are_dropped(self, blobs: Blobs) -> None:
        store = _partial(blobs)
        data = os.urandom(2 * PART_BYTES)
        digest = digest_of(data)
        store.put_part(digest, len(data), 0, bytes(PART_BYTES))
        with pytest.raises(InvalidSpec, match=digest):
            store.put_part(digest, len(data), PART_BYTES, data[PART_BYTES:])
        assert blobs.missing([digest]) == [digest]
        assert store.parts(digest, len(data)) == part_ranges(len(data))

    def test_a_part_off_the_grid_is_refused(self, blobs: Blobs) -> None:
        store = _partial(blobs)
        digest = digest_of(b"")
        for offset, length in ((1, PART_BYTES), (0, 5), (4 * PART_BYTES, PART_BYTES), (-PART_BYTES, 5)):
            with pytest.raises(InvalidSpec):
                store.put_part(digest, 2 * PART_BYTES + 5, offset, bytes(length))

    def test_senders_do_not_finish_each_others_blobs(self, blobs: Blobs) -> None:
        store = _partial(blobs)
        data = os.urandom(PART_BYTES + 1)
        digest = digest_of(data)
        store.put_part(digest, len(data), 0, data[:PART_BYTES], "ann")
        assert store.parts(digest, len(data), "bob") == part_ranges(len(data))
        assert not store.put_part(digest, len(data), PART_BYTES, data[PART_BYTES:], "bob")
        assert blobs.missing([digest]) == [digest]
        assert store.put_part(digest, len(data), PART_BYTES, data[PART_BYTES:], "ann")
        assert store.parts(digest, len(data), "bob") == [(0, PART_BYTES)]
        assert store.put_part(digest, len(data), 0, data[:PART_BYTES], "bob")
        assert blobs.verify(digest)

    # --- ability: bytes whose digest is not known before

    def test_what_is_staged_is_a_blob_once_it_is_published(self, blobs: Blobs) -> None:
        store = _staging(blobs)
        for data in (b"", b"x", os.urandom(3_000_000)):
            with store.stage(io.BytesIO(data)) as staged:
                assert (staged.digest, staged.size) == (digest_of(data), len(data))
                assert list(blobs.missing([staged.digest])) == [staged.digest]
                staged.publish()
            with blobs.open(digest_of(data)) as stream:
                assert stream.read() == data
            assert blobs.verify(digest_of(data))

    def test_what_is_staged_and_not_published_leaves_nothing(self, blobs: Blobs) -> None:
        with _staging(blobs).stage(io.BytesIO(b"secret")) as staged:
            pass
        assert blobs.missing([staged.digest]) == [staged.digest]
        assert list(blobs.digests()) == []

    def test_staging_what_is_there_keeps_the_blob(self, blobs: Blobs) -> None:
        digest = digest_of(b"there")
        blobs.put(digest, io.BytesIO(b"there"))
        with _staging(blobs).stage(io.BytesIO(b"there")) as staged:
            staged.publish()
        assert list(blobs.digests()) == [digest]
        assert blobs.verify(digest)

    def test_a_staged_stream_that_breaks_stores_nothing(self, blobs: Blobs) -> None:
        store = _staging(blobs)
        with pytest.raises(RuntimeError, match="went away"), store.stage(_Breaking(os.urandom(5000))):
            pass
        assert list(blobs.digests()) == []

    # --- ability: batches

    def test_a_batch_stores_all(self, blobs: Blobs) -> None:
        if not isinstance(blobs, BatchBlobs):
            pytest.skip("this store takes no batches")
        contents = [str(number).encode() * number for number in range(300)]
        items = [(digest_of(data), data) for data in contents]
        blobs.put_many(items + items[:10])
        assert sorted(blobs.digests()) == sorted({digest for digest, _ in items})
        assert all(blobs.verify(digest) for digest, _ in items)

    def test_a_batch_with_a_wrong_blob_stores_none(self, blobs: Blobs) -> None:
        if not isinstance(blobs, BatchBlobs):
            pytest.skip("this store takes no batches")
        wrong = digest_of(b"right")
        with pytest.raises(InvalidSpec, match=wrong):
            blobs.put_many([(digest_of(b"a"), b"a"), (wrong, b"wrong")])
        assert list(blobs.digests()) == []


def _staging(blobs: Blobs) -> StagingBlobs:
    if not isinstance(blobs, StagingBlobs):
        pytest.skip("this store stages nothing")
    return blobs


def _partial(blobs: Blobs) -> PartialBlobs:
    if not isinstance(blobs, PartialBlobs):
        pytest.skip("this store takes no parts")
    return blobs
