"""Blobs, datasets and their immutable versions."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Digest, Name, Stamped, Wire
from nacre.schema.launch import FileEntry


class BlobQuery(Wire):
    """Up to 10,000 digests to ask about."""

    digests: list[Digest] = Field(max_length=10_000)


class BlobsMissing(Answer):
    """Which of them this project must send. What another project holds counts as missing: nobody
    gains a file by knowing its digest."""

    missing: list[Digest]


class BlobParts(Answer):
    """(offset, length) ranges of a large blob that are still to be sent; empty when it is complete."""

    missing: list[tuple[int, int]]


class PartStored(Answer):
    """Whether the blob is now complete and verified."""

    complete: bool


class BlobsStored(Answer):
    """How many blobs the request carried; all of them are kept and verified."""

    stored: int


class VersionCreate(Wire):
    """Turns a manifest whose blobs have arrived into the next version of a dataset."""

    manifest: Digest
    note: str = ""


class DatasetVersion(Stamped):
    """An immutable version, written ``name@number``."""

    dataset: Name
    number: int
    manifest: Digest
    files: int
    size: int = Field(description="bytes, of all files together")
    note: str = ""
    user: str | None = None


class VersionCreated(DatasetVersion):
    """The version, new or, when its manifest is that of the latest version, that one (``created``
    is false)."""

    created: bool = True


class Dataset(Stamped):
    """Data by name. ``latest`` is the highest version that still exists."""

    name: Name
    versions: list[int] = []
    latest: DatasetVersion | None = None
    updated_at: datetime


class DatasetFiles(Answer):
    """The files of a version."""

    version: DatasetVersion
    files: list[FileEntry]


_B = f"{PROJECT}/blobs"
_D = f"{PROJECT}/data"
_V = f"{_D}/{{dataset}}/versions"
OPERATIONS = (
    Operation(
        "blobs.missing",
        "POST",
        f"{_B}/missing",
        "Ask which blobs must be sent",
        Access.EDITOR,
        "data:write",
        "data push",
    ),
    Operation(
        "blobs.put",
        "PUT",
        f"{_B}/{{digest}}",
        "Send a small blob whole",
        Access.EDITOR,
        "data:write",
        "data push",
    ),
    Operation(
        "blobs.put_many",
        "POST",
        _B,
        "Send many small blobs at once, framed",
        Access.EDITOR,
        "data:write",
        "data push",
    ),
    Operation(
        "blobs.parts",
        "GET",
        f"{_B}/{{digest}}/parts",
        "Ask which parts of a large blob are missing",
        Access.EDITOR,
        "data:write",
        "data push",
    ),
    Operation(
        "blobs.put_part",
        "PUT",
        f"{_B}/{{digest}}/parts/{{offset}}",
        "Send a part of a large blob",
        Access.EDITOR,
        "data:write",
        "data push",
    ),
    Operation(
        "blobs.get",
        "GET",
        f"{_B}/{{digest}}",
        "Read a blob of this project; supports Range",
        Access.VIEWER,
        "data:read",
        "data pull",
    ),
    Operation(
        "blobs.get_many",
        "POST",
        f"{_B}/read",
        "Read many small blobs at once, framed",
        Access.VIEWER,
        "data:read",
        "data pull",
    ),
    Operation(
        "data.create",
        "POST",
        _V,
        "Make the next version of a dataset",
        Access.EDITOR,
        "data:write",
        "data push",
    ),
    Operation("data.list", "GET", _D, "List datasets", Access.VIEWER, "data:read", "data ls"),
    Operation(
        "data.get",
        "GET",
        f"{_D}/{{dataset}}",
        "Read a dataset",
        Access.VIEWER,
        "data:read",
        "data show",
    ),
    Operation(
        "data.get_version",
        "GET",
        f"{_V}/{{version}}",
        "Read a version (a number or 'latest')",
        Access.VIEWER,
        "data:read",
        "data show",
    ),
    Operation(
        "data.files",
        "GET",
        f"{_V}/{{version}}/files",
        "List a version's files",
        Access.VIEWER,
        "data:read",
        "data show",
    ),
    Operation(
        "data.delete",
        "DELETE",
        f"{_D}/{{dataset}}",
        "Delete a dataset that nothing uses",
        Access.EDITOR,
        "data:write",
        "data delete",
    ),
    Operation(
        "data.delete_version",
        "DELETE",
        f"{_V}/{{version}}",
        "Delete a version that nothing uses",
        Access.EDITOR,
        "data:write",
        "data delete",
    ),
)
