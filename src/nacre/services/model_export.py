"""Model versions as the trees that other model servers load: ``<model>/<version>/…`` in a ZIP."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

from blake3 import blake3

from nacre.domain import mlmodel
from nacre.domain.identity import Caller
from nacre.domain.layouts import mlmodel as describe
from nacre.domain.layouts import triton_config
from nacre.domain.models import within
from nacre.errors import Conflict
from nacre.schema.launch import FileEntry
from nacre.schema.models import ConversionState, ExportLayout, ModelFiles, ModelVersion
from nacre.schema.serving import Signature
from nacre.services.blobs import BlobLedger
from nacre.services.models import Models
from nacre.services.zips import zipped

_REQUIREMENTS = "mlflow\nonnx\nonnxruntime\n"


class ModelExports:
    """Operation ``models.export``."""

    def __init__(self, models: Models, ledger: BlobLedger) -> None:
        self._models = models
        self._ledger = ledger

    def export(
        self, caller: Caller, model: str, version: str, layout: ExportLayout
    ) -> tuple[str, Iterator[bytes]]:
        """The name and the bytes of a ZIP with the version in this layout.

        Raises:
            NotFound: no such version, or a file of it is not there any more.
            Conflict: the version has no such form; the sentence says how to get one.
            Unavailable: a file is damaged; in the middle of the bytes that ends them.
        """
        found = self._models.files(caller, model, version)
        tree = _Tree(self._ledger, caller, f"{found.version.model}/{found.version.number}")
        if layout == "triton":
            signature, onnx = _converted(found)
            tree.add(f"{found.version.model}/config.pbtxt", triton_config(found.version.model, signature))
            tree.take("model.onnx", onnx)
        elif layout == "tfserving":
            for path, entry in _saved_model(found).items():
                tree.take(path, entry)
        else:
            _lay_out_mlflow(tree, found)
        name = f"{model}-{found.version.number}-{layout}.zip"
        return name, zipped(tree.entries, tree.open, found.version.created_at)


class _Tree:
    """Files of the archive: blobs of the project, and what is made here."""

    def __init__(self, ledger: BlobLedger, caller: Caller, folder: str) -> None:
        self._ledger = ledger
        self._caller = caller
        self._folder = folder
        self._made: dict[str, bytes] = {}
        self.entries: list[FileEntry] = []

    def take(self, path: str, entry: FileEntry) -> None:
        """A blob, in the version's folder."""
        self.entries.append(entry.model_copy(update={"path": f"{self._folder}/{path}"}))

    def add(self, path: str, text: str) -> None:
        """A text, at a path from the archive's root."""
        data = text.encode()
        digest = str(blake3(data).hexdigest())
        self._made[digest] = data
        self.entries.append(FileEntry(path=path, size=len(data), digest=digest))

    def make(self, path: str, text: str) -> None:
        """A text, in the version's folder."""
        self.add(f"{self._folder}/{path}", text)

    def open(self, digest: str) -> BinaryIO:
        made = self._made.get(digest)
        return self._ledger.open(self._caller, digest) if made is None else io.BytesIO(made)


def _lay_out_mlflow(tree: _Tree, found: ModelFiles) -> None:
    """As an MLflow client logged it, where one did; else the ONNX form with a description of it."""
    for entry in found.files:
        if entry.path.rpartition("/")[2] == mlmodel.NAME:
            folder = entry.path.rpartition("/")[0] or "."
            for path, file in within(folder, found.files).items():
                tree.take(path, file)
            return
    signature, onnx = _converted(found)
    tree.make("MLmodel", describe(signature, "model.onnx"))
    tree.make("requirements.txt", _REQUIREMENTS)
    tree.take("model.onnx", onnx)


def _converted(found: ModelFiles) -> tuple[Signature, FileEntry]:
    version = found.version
    if found.onnx is not None and version.signature is not None:
        return version.signature, found.onnx
    name = f"{version.model}/{version.number}"
    if version.conversion == ConversionState.CONVERTING:
        raise Conflict(
            f"{name} is still being converted to ONNX: wait for it with 'nacre model show {name} --wait'"
        )
    raise Conflict(
        f"{name} has no ONNX form, which this layout needs ({version.message or version.conversion}): "
        f"'nacre model pull {name}' gives its files as they are"
    )


def _saved_model(found: ModelFiles) -> dict[str, FileEntry]:
    inside = within(found.version.entry, found.files)
    if "saved_model.pb" not in inside:
        raise Conflict(_no_saved_model(found.version))
    return inside


def _no_saved_model(version: ModelVersion) -> str:
    name = f"{version.model}/{version.number}"
    if version.framework == "keras":
        how = "save it with model.export('served') and register that folder"
    elif version.framework in ("tensorflow", "custom", "mlflow"):
        how = "register a folder with a saved_model.pb in it"
    else:
        how = f"TensorFlow Serving loads nothing of {version.framework}: use --layout triton"
    return f"{name} is not a SavedModel, which TensorFlow Serving needs: {how}"
