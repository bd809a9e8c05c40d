"""Blobs: bytes by digest. Mostly used through ``client.data`` and ``nacre.sdk.push``."""

from __future__ import annotations

from nacre.schema.data import BlobParts, BlobsMissing, BlobsStored, PartStored
from nacre.schema.manifests import frame, frames
from nacre.sdk.resources.base import Noun


class Blobs(Noun):
    """What a project has of bytes."""

    def missing(self, digests: list[str], *, project: str | None = None) -> list[str]:
        """Which of these (10,000 at most) the project has not sent yet."""
        answer: BlobsMissing = self._transport.call(
            "blobs.missing",
            BlobsMissing,
            project=self._in(project),
            json={"digests": digests},
            repeatable=True,
        )
        return answer.missing

    def put(self, digest: str, data: bytes, *, project: str | None = None) -> None:
        """Send a blob of at most 64 MiB whole; the server verifies it."""
        self._transport.call(
            "blobs.put", BlobsStored, project=self._in(project), digest=digest, content=data
        )

    def put_many(self, blobs: dict[str, bytes], *, project: str | None = None) -> None:
        """Send small blobs by digest, at most 16 MiB together: all are kept, or none."""
        body = b"".join(frame(digest, data) for digest, data in blobs.items())
        self._transport.call(
            "blobs.put_many", BlobsStored, project=self._in(project), content=body, repeatable=True
        )

    def parts(self, digest: str, size: int, *, project: str | None = None) -> list[tuple[int, int]]:
        """(offset, length) of the parts still to be sent of a large blob of ``size`` bytes."""
        answer: BlobParts = self._transport.call(
            "blobs.parts", BlobParts, project=self._in(project), digest=digest, query={"size": size}
        )
        return answer.missing

    def put_part(
        self, digest: str, size: int, offset: int, data: bytes, *, project: str | None = None
    ) -> bool:
        """Send one of the parts that ``parts`` named. True when the blob is complete and verified."""
        answer: PartStored = self._transport.call(
            "blobs.put_part",
            PartStored,
            project=self._in(project),
            digest=digest,
            offset=offset,
            query={"size": size},
            content=data,
            timeout_s=600.0,
        )
        return answer.complete

    def get_many(self, digests: list[str], *, project: str | None = None) -> dict[str, bytes]:
        """The bytes of small blobs, at most 16 MiB together, by digest."""
        with self._transport.stream(
            "blobs.get_many", project=self._in(project), json={"digests": digests}
        ) as answer:
            return dict(frames(answer.read()))

    def get(
        self, digest: str, *, start: int = 0, end: int | None = None, project: str | None = None
    ) -> bytes:
        """The bytes of a blob from ``start`` up to ``end`` (not included; null: to its end)."""
        headers = None
        if start or end is not None:
            headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        with self._transport.stream(
            "blobs.get", project=self._in(project), digest=digest, headers=headers
        ) as answer:
            return answer.read()
