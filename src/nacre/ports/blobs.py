"""Blob store: bytes by their BLAKE3 digest. Light to import: the launcher reads stores by path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO


def blob_path(root: Path, digest: str) -> Path:
    """Where a store on local files keeps a blob: ``<root>/ab/abcdef…``, mode 0444, never rewritten."""
    return root / digest[:2] / digest


class Blobs(ABC):
    """Content-addressed bytes.

    A digest is 64 hexadecimal digits of BLAKE3. A blob is complete or absent, never half there, to
    every reader in every process. Methods are called from many threads at once. ``NotFound`` is
    raised for a digest that is absent, ``InvalidSpec`` for content that does not match its digest,
    ``Unavailable`` when the store or its disk cannot answer.
    """

    @abstractmethod
    def missing(self, digests: list[str]) -> list[str]:
        """Which of these are absent, in the order given."""

    @abstractmethod
    def put(self, digest: str, source: BinaryIO) -> int:
        """Store the stream's bytes under ``digest`` and return their number.

        The bytes are hashed on the way; on a mismatch nothing is stored.
        """

    @abstractmethod
    def open(self, digest: str) -> BinaryIO:
        """A seekable stream of the blob's bytes."""

    @abstractmethod
    def size(self, digest: str) -> int:
        """Length in bytes."""

    @abstractmethod
    def verify(self, digest: str) -> bool:
        """Whether the bytes still hash to the digest. A corrupt blob is moved aside, not served."""

    @abstractmethod
    def delete(self, digest: str) -> None:
        """Remove it; no error when it is absent."""

    @abstractmethod
    def digests(self) -> Iterator[str]:
        """Every blob that is there, in any order."""


class LocalBlobs(ABC):
    """Ability: the blobs are plain files on this host, so trees can be hard-linked."""

    @property
    @abstractmethod
    def root(self) -> Path:
        """The folder; :func:`blob_path` tells where in it a blob lies."""


PART_BYTES = 8 * 2**20
"""Length of the parts of a large blob, except its last one."""


def part_ranges(size: int) -> list[tuple[int, int]]:
    """The (offset, length) ranges that a blob of ``size`` bytes arrives in; an empty blob has none."""
    return [(start, min(PART_BYTES, size - start)) for start in range(0, size, PART_BYTES)]


class PartialBlobs(ABC):
    """Ability: large blobs arrive in parts, in any order, from several processes at once.

    ``sender`` is a word (a project's id). What senders have sent is kept apart, even when the store has
    the blob already: to complete a blob is to have shown all of it. Parts are those of
    :func:`part_ranges`; any other range is ``InvalidSpec``.
    """

    @abstractmethod
    def parts(self, digest: str, size: int, sender: str = "") -> list[tuple[int, int]]:
        """The (offset, length) ranges that ``sender`` has still to send.

        Once the blob is complete nothing is remembered of its parts: all of them are named again.
        """

    @abstractmethod
    def put_part(self, digest: str, size: int, offset: int, data: bytes, sender: str = "") -> bool:
        """Keep one part durably. True when the blob is complete, verified and visible.

        A part that was kept before is not written again. When the last part is there and the whole
        does not hash to ``digest``, all of the sender's parts are dropped and ``InvalidSpec`` is raised.
        """


class StagedBlob(ABC):
    """Bytes that the store holds under no name yet; nobody else sees them."""

    digest: str
    size: int

    @abstractmethod
    def publish(self) -> None:
        """Make them the blob of their digest; once."""


class StagingBlobs(ABC):
    """Ability: bytes come whose digest nobody knows before the last of them."""

    @abstractmethod
    def stage(self, source: BinaryIO) -> AbstractContextManager[StagedBlob]:
        """Take the stream's bytes, a piece at a time.

        Once the ``with`` block is left, they are a blob if they were published, and gone otherwise; they
        are gone, too, when the stream broke.
        """


class BatchBlobs(ABC):
    """Ability: many small blobs are stored for little more than the price of one."""

    @abstractmethod
    def put_many(self, items: list[tuple[str, bytes]]) -> None:
        """Store them all; on a mismatch ``InvalidSpec`` names the digest, and none of them is stored."""
