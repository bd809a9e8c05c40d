"""Blob store: bytes by their BLAKE3 digest. Light to import: the launcher reads stores by path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
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


class PartialBlobs(ABC):
    """Ability: large blobs arrive in parts, in any order, from several senders at once."""

    @abstractmethod
    def parts(self, digest: str, size: int) -> list[tuple[int, int]]:
        """The (offset, length) ranges still missing; empty when the blob is complete."""

    @abstractmethod
    def put_part(self, digest: str, size: int, offset: int, data: bytes) -> bool:
        """Keep one part durably. True when the blob is complete, verified and visible."""
