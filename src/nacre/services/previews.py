"""Previews: what files look like, and the artifacts of runs and logged models by path.

Files are what strangers' programs wrote: nothing in them is executed, unpickled or decoded as a whole, and
whatever they claim, a preview takes bounded memory and time and ends in a clear kind.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from typing import Any, BinaryIO

from nacre.domain.artifacts import Child, check_folder
from nacre.domain.identity import Caller
from nacre.errors import NotFound
from nacre.schema.previews import (
    ConfusionPreview,
    FolderItem,
    FolderPreview,
    Preview,
    PreviewKind,
    TableColumn,
    TablePreview,
)
from nacre.services import preview_arrays, preview_media, preview_parquet, preview_text
from nacre.services.artifacts import Artifacts
from nacre.services.preview_cells import MAX_COLUMNS, MAX_ROWS, page

_MAX_ITEMS = 1000
_KNOWN_TYPES = {
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".onnx": "application/onnx",
    ".parquet": "application/vnd.apache.parquet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_TEXTS = frozenset({"application/json", "application/xml", "application/javascript", "application/yaml"})


class Previews:
    """Looks at artifacts. ``MAX_ROWS`` rows of a table at most."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    def preview(self, caller: Caller, run: str, path: str, *, offset: int = 0, limit: int = 100) -> Preview:
        """What a file looks like, or what is in a folder (an empty path: in the run).

        Args:
            run: a run as people name it, or the id of a logged model.
            offset: the first row of a table, or item of a folder.
            limit: so many of them.

        Raises:
            NotFound: no such run, file or folder.
            InvalidSpec: a path that nothing can have.
        """
        folder = check_folder(path)
        limit = max(1, min(limit, MAX_ROWS))
        if not folder or path.endswith("/"):
            return self._folder(caller, run, folder, offset, limit)
        try:
            entry, stream = self._artifacts.open(caller, run, folder)
        except NotFound:
            if not self._artifacts.list(caller, run, folder):
                raise
            return self._folder(caller, run, folder, offset, limit)
        with stream:
            return look(folder, entry.size, stream, offset=offset, limit=limit)

    def _folder(self, caller: Caller, run: str, folder: str, offset: int, limit: int) -> Preview:
        children = self._artifacts.list(caller, run, folder)
        if folder and not children:
            raise NotFound(f"the run has no artifact {folder!r}: see 'nacre runs artifacts {run}'")
        return folder_preview(folder, children, offset, limit)


def folder_preview(folder: str, children: Sequence[Child], offset: int, limit: int) -> Preview:
    """What lies directly in a folder, from the item ``offset`` on."""
    items = [
        FolderItem(name=child.path.rpartition("/")[2], folder=child.size is None, size=child.size)
        for child in children[offset : offset + min(limit, _MAX_ITEMS)]
    ]
    names = {child.path.rpartition("/")[2] for child in children}
    message = "a model of MLflow" if "MLmodel" in names else ""
    message = "a TensorFlow SavedModel" if "saved_model.pb" in names else message
    return Preview(
        path=folder,
        kind=PreviewKind.FOLDER,
        size=None,
        media_type="inode/directory",
        message=message,
        folder=FolderPreview(items=items, total=len(children)),
    )


def look(path: str, size: int, stream: BinaryIO, *, offset: int = 0, limit: int = 100) -> Preview:
    """What a file looks like. The stream is seekable and stays open."""
    head = stream.read(preview_text.HEAD)
    found = _media(stream, size, head)
    if "kind" not in found:
        found |= _data(path, size, stream, head, offset, limit)
    if "kind" not in found:
        found |= _text(path, size, stream, head, offset, limit)
    if found.get("kind") is None:
        found |= {"kind": PreviewKind.BINARY}
    message = found.pop("message", "")
    return Preview(**{"media_type": media_type(path), **found}, path=path, size=size, message=message)


def media_type(path: str) -> str:
    """The media type that the name tells."""
    name = path.rpartition("/")[2].lower()
    known = _KNOWN_TYPES.get("." + name.rpartition(".")[2])
    return known or mimetypes.guess_type(name, strict=False)[0] or "application/octet-stream"


def _media(stream: BinaryIO, size: int, head: bytes) -> dict[str, Any]:
    if name := preview_media.image_format(head):
        image, message = preview_media.image(stream, size, head, name)
        kind = PreviewKind.BINARY if image is None else PreviewKind.IMAGE
        return {
            "kind": kind,
            "image": image,
            "media_type": preview_media.IMAGE_TYPES[name],
            "message": message,
        }
    if name := preview_media.audio_format(head):
        audio = preview_media.audio(stream, size, head, name)
        return {"kind": PreviewKind.AUDIO, "audio": audio, "media_type": preview_media.AUDIO_TYPES[name]}
    return {}


def _data(path: str, size: int, stream: BinaryIO, head: bytes, offset: int, limit: int) -> dict[str, Any]:
    lower = path.lower()
    try:
        if head.startswith(b"\x93NUMPY"):
            name = path.rpartition("/")[2].removesuffix(".npy")
            return {"kind": PreviewKind.ARRAYS, "arrays": [preview_arrays.array(stream, name)]}
        if head.startswith(b"PK") and lower.endswith(".npz"):
            arrays, message = preview_arrays.archive(stream)
            return {"kind": PreviewKind.ARRAYS, "arrays": arrays, "message": message}
        if head.startswith(b"PAR1"):
            return {"kind": PreviewKind.TABLE, "table": _parquet(stream, offset, limit)}
    except (preview_arrays.Unreadable, preview_parquet.Broken) as error:
        return {"kind": PreviewKind.BINARY, "message": str(error)}
    if model := preview_arrays.model(stream, size, head, path):
        return {"kind": PreviewKind.MODEL, "model": model}
    return {}


def _parquet(stream: BinaryIO, offset: int, limit: int) -> TablePreview:
    found = preview_parquet.read(stream, offset, limit, MAX_COLUMNS)
    return TablePreview(
        format="parquet",
        columns=[TableColumn(name=str(c["name"])[:500], type=str(c["type"])) for c in found["columns"]],
        columns_total=int(found["columns_total"]),
        rows=page(found["rows"], limit),
        offset=offset,
        total=int(found["total"]),
    )


def _text(path: str, size: int, stream: BinaryIO, head: bytes, offset: int, limit: int) -> dict[str, Any]:
    encoding = preview_text.encoding_of(head)
    if encoding is None:
        return {"kind": PreviewKind.BINARY}
    extension = "." + path.lower().rpartition(".")[2]
    message = ""
    try:
        table: TablePreview | ConfusionPreview | None = None
        if extension in (".csv", ".tsv", ".tab"):
            table = preview_text.delimited(stream, size, encoding, path, offset, limit)
        elif extension in (".jsonl", ".ndjson"):
            table = preview_text.json_lines(stream, size, encoding, offset, limit)
        elif extension == ".json":
            table = preview_text.json_table(stream, size, offset, limit)
        if isinstance(table, ConfusionPreview):
            return {"kind": PreviewKind.CONFUSION, "confusion_matrix": table}
        if table is not None:
            return {"kind": PreviewKind.TABLE, "table": table}
    except preview_text.NoTable as error:
        message = str(error)
    kind = media_type(path)
    plain = (
        kind
        if kind.startswith("text/") or kind in _TEXTS or kind.endswith(("+xml", "+json"))
        else "text/plain"
    )
    return {
        "kind": PreviewKind.TEXT,
        "text": preview_text.text(stream, size, encoding),
        "media_type": plain,
        "message": message,
    }
