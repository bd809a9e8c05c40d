"""Which model files are pickles: to load one is to run the code in it.

A pickle that a run of the project left is its own program's work. One that merely was sent is somebody's
file from somewhere, which looks like data and is code: it is neither converted nor given to a replica.
Formats that are data (ONNX, Keras, SavedModel, TorchScript, torch.export, skops) are taken from anywhere,
and the converters refuse what would be unpickled in them after all (``--untrusted``). A folder with
``predict.py`` is code that is sent as code, like that of a job.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from typing import IO, Any

from nacre.db.tables.models import ModelVersionRow
from nacre.domain.models import PROGRAM, within
from nacre.errors import Conflict, InvalidSpec
from nacre.schema.launch import FileEntry
from nacre.schema.models import ConversionState
from nacre.services.blobs import BlobLedger

_MAX_READ = 16 * 2**20
"""Of a ZIP's directory; that of a model has some kilobytes."""


def from_project(lineage: Mapping[str, Any]) -> bool:
    """Whether a run of the project left the files of a version, or logged them as a model."""
    return bool(lineage.get("run") or lineage.get("logged_model"))


def check_data(ledger: BlobLedger, framework: str, entry: str, files: Sequence[FileEntry]) -> None:
    """Raise unless the files of a version that came from no run are data.

    Raises:
        InvalidSpec: the model is a pickle; the sentence says what to do.
    """
    if framework == "sklearn" and not entry.lower().endswith(".skops"):
        raise _refused(entry, "", "save it with skops.io.dump, or as ONNX")
    if framework == "pytorch" and not _is_program(ledger, entry, files):
        instead = "save it with torch.export.save, torch.jit.script(model).save or as ONNX"
        raise _refused(entry, ", as torch.save writes it", instead)


def check_replica(name: str, version: ModelVersionRow, files: Sequence[FileEntry]) -> None:
    """Raise unless a replica may load the version.

    A version from elsewhere that was converted was loaded then, without unpickling.

    Raises:
        Conflict: it may be a pickle; the sentence says what to do.
    """
    if from_project(version.lineage) or version.framework in ("keras", "tensorflow", "onnx"):
        return
    folders = {version.entry, version.entry.rpartition("/")[0] or "."}
    if any(PROGRAM in within(folder, files) for folder in folders):
        return  # a replica runs that, and it opens what it opens
    if version.conversion != ConversionState.READY:
        raise Conflict(
            f"{name} cannot run in replicas: no run of the project left its files, and a model of "
            f"{version.framework} may be a pickle, which is code: register it from the run that made it, "
            "or put a predict.py beside it"
        )


def _refused(entry: str, how: str, instead: str) -> InvalidSpec:
    return InvalidSpec(
        f"{entry} is a pickle{how}: to load it is to run the code in it, so Nacre takes it only from the "
        "project's own jobs. Register it from the run that made it (nacre model register RUN:PATH), or "
        f"{instead}"
    )


def _is_program(ledger: BlobLedger, entry: str, files: Sequence[FileEntry]) -> bool:
    """Whether it is an archive of TorchScript or of torch.export."""
    found = next((f for f in files if f.path == entry), None)
    if found is None:
        return False
    with ledger.store.open(found.digest) as stream:
        try:
            names = zipfile.ZipFile(_Sparing(stream)).namelist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
            return False
    script = any(n.endswith("/constants.pkl") for n in names) and any("/code/" in n for n in names)
    old_export = "serialized_exported_program.json" in names
    return script or old_export or any(n.endswith("/archive_format") for n in names)


class _Sparing:
    """A stream that is read in pieces of ``_MAX_READ`` at most, whatever a ZIP says of its directory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size > _MAX_READ:
            raise ValueError("too much")
        return self._stream.read(_MAX_READ if size < 0 else size)
