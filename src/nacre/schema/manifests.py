"""Manifests as bytes, and the frames in which many small blobs travel."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from nacre.errors import InvalidSpec
from nacre.schema.launch import FileEntry, Manifest

DIGEST_BYTES = 32
_LENGTH_BYTES = 8
FRAME_BYTES = DIGEST_BYTES + _LENGTH_BYTES
MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255


def canonical(files: Iterable[FileEntry]) -> bytes:
    """The one spelling of a manifest: UTF-8 JSON, files sorted by path, keys sorted, no spaces.

    Equal folders have equal manifests, so the digest of these bytes names the folder's content.
    """
    rows = [
        {"digest": f.digest, "executable": f.executable, "path": f.path, "size": f.size}
        for f in sorted(files, key=lambda f: f.path.encode())
    ]
    text = json.dumps({"files": rows}, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode()


def parse(data: bytes) -> Manifest:
    """The manifest in these bytes, every path checked.

    Raises:
        InvalidSpec: it is not a manifest, or a path in it is unsafe or conflicts with another.
    """
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the blob"
        raise InvalidSpec(f"this blob is not a manifest: {where}: {first['msg']}") from error
    check_paths([entry.path for entry in manifest.files])
    return manifest


def check_paths(paths: list[str]) -> None:
    """Raise unless these can all be files of one folder.

    Raises:
        InvalidSpec: a path is absolute or empty, has ``.`` or ``..`` in it, a NUL, is too long, is there
            twice, or is a folder of another one.
    """
    known = set(paths)
    if len(known) != len(paths):
        seen: set[str] = set()
        twice = next(p for p in paths if p in seen or seen.add(p))  # type: ignore[func-returns-value]
        raise InvalidSpec(f"the path {twice!r} is there twice: a manifest names each file once", path=twice)
    for path in paths:
        if fault := path_fault(path):
            raise InvalidSpec(f"the path {path[:200]!r} {fault}", path=path[:200])
        parent, _, _ = path.rpartition("/")
        while parent:
            if parent in known:
                message = f"{parent!r} cannot be a file and the folder of {path!r} at once"
                raise InvalidSpec(message, path=path)
            parent, _, _ = parent.rpartition("/")


def path_fault(path: str) -> str | None:
    """Why the path is none of a folder's files, as the rest of a sentence; null when it is fine."""
    if "\0" in path:
        return "has a NUL byte in it"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "is not a plain relative path: no leading or double '/', no '.' and no '..'"
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    if len(encoded) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        return f"is too long: {MAX_PATH_BYTES} bytes at most, {MAX_NAME_BYTES} for each name in it"
    return None


def frame(digest: str, data: bytes) -> bytes:
    """One blob of a batch: 32 bytes of digest, 8 of length (big-endian), then the bytes."""
    return bytes.fromhex(digest) + len(data).to_bytes(_LENGTH_BYTES, "big") + data


def frames(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The (digest, bytes) pairs of a batch.

    Raises:
        InvalidSpec: the body ends in the middle of a frame.
    """
    at = 0
    while at < len(body):
        start = at + FRAME_BYTES
        length = int.from_bytes(body[at + DIGEST_BYTES : start], "big")
        if start > len(body) or start + length > len(body):
            raise InvalidSpec(
                "the batch ends in the middle of a blob: send frames of 32 bytes of digest, 8 bytes of "
                "length and the bytes"
            )
        yield body[at : at + DIGEST_BYTES].hex(), body[start : start + length]
        at = start + length
