"""MLflow's artifact proxy: files of runs and of logged models, streamed both ways.

Their URIs: ``mlflow-artifacts:/<experiment>/<run>/artifacts`` and
``mlflow-artifacts:/<experiment>/models/<model>/artifacts``.
"""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast
from urllib.parse import quote

from starlette.responses import Response

from nacre.api.bodies import blob_response, take_stream
from nacre.api.compat.mlflow.calls import Call, Calls
from nacre.api.compat.mlflow.errors import MlflowError, invalid, missing
from nacre.domain import mlmodel
from nacre.domain.artifacts import Child, children
from nacre.errors import RequestError
from nacre.schema.experiments import DEFAULT_EXPERIMENT
from nacre.schema.launch import FileEntry

calls = Calls()

SCHEME = "mlflow-artifacts:"


def experiment_word(number: int, name: str) -> str:
    """An experiment's id as clients know it: that of the project's default is 0, as MLflow's is."""
    return "0" if name == DEFAULT_EXPERIMENT else str(number)


def run_uri(experiment: int | str, run: str) -> str:
    """Where the files of a run are, as a client is told."""
    return f"{SCHEME}/{experiment}/{run}/artifacts"


def model_uri(experiment: int | str, model: str) -> str:
    """Where the files of a logged model are."""
    return f"{SCHEME}/{experiment}/models/{model}/artifacts"


def version_uri(version_id: str, files: Sequence[FileEntry]) -> str:
    """Where the files of a version are, from the folder that holds its ``MLmodel``, if it has one."""
    root = f"{SCHEME}/0/versions/{version_id}/artifacts"
    folders = sorted(f.path.rpartition("/")[0] for f in files if f.path.rpartition("/")[2] == mlmodel.NAME)
    return f"{root}/{folders[0]}" if folders and folders[0] else root


@dataclass(frozen=True)
class Place:
    """A file or folder: whose, and where below it. ``version``: of a model version, which is fixed."""

    owner: str
    path: str
    version: bool = False


def parse_place(text: str) -> Place:
    """What a path of the proxy names.

    Raises:
        MlflowError: nothing that there could be.
    """
    parts = text.strip("/").split("/")
    if any(part in ("..", ".", "") for part in parts) or "\\" in text or "\0" in text:
        raise invalid(f"Invalid path: {text[:200]!r}")
    if len(parts) >= 4 and parts[1] == "models" and parts[3] == "artifacts":
        return Place(parts[2], "/".join(parts[4:]))
    if len(parts) >= 4 and parts[1] == "versions" and parts[3] == "artifacts":
        return Place(parts[2], "/".join(parts[4:]), version=True)
    if len(parts) >= 3 and parts[2] == "artifacts":
        return Place(parts[1], "/".join(parts[3:]))
    raise missing(
        f"Nothing is kept at {text[:200]!r}: artifacts are at <experiment>/<run>/artifacts/<path> and "
        "<experiment>/models/<model>/artifacts/<path>"
    )


def infos(found: list[Child], *, whole: bool) -> list[dict[str, Any]]:
    """The protocol's descriptions; ``whole``: with the path from the owner's root, else the name alone."""
    answer: list[dict[str, Any]] = []
    for child in found:
        path = child.path if whole else child.path.rpartition("/")[2]
        info: dict[str, Any] = {"path": path, "is_dir": child.folder}
        if child.size is not None:
            info["file_size"] = child.size
        answer.append(info)
    return answer


def _folder(path: str) -> str:
    """A folder that a client names, with its slashes as they were: ``..`` and absolute ones are refused."""
    if path.startswith("/") or "\\" in path or "\0" in path or ".." in path.split("/"):
        raise invalid(f"Invalid path: {path[:200]!r}")
    return path


@calls.on("GET", "mlflow-artifacts/artifacts", "runs.artifacts")
def list_proxied(call: Call) -> dict[str, Any]:
    """What lies in a folder, by name."""
    wanted = (call.maybe_text("path") or "").strip("/")
    if not wanted:
        return {"files": []}
    place = parse_place(wanted)
    if place.version:
        found = children(call.services.models.catalogue.files_of(call.caller, place.owner), place.path)
    else:
        found = call.services.artifacts.list(call.caller, place.owner, place.path)
    return {"files": infos(found, whole=False)}


@calls.on("GET", "mlflow-artifacts/artifacts/{path:path}", "runs.artifact")
def download(call: Call) -> Response:
    """The bytes of a file; parts of it, when the client asks for a range."""
    place = parse_place(call.path["path"])
    if not place.version:
        return _sent(call, place.owner, place.path)
    for entry in call.services.models.catalogue.files_of(call.caller, place.owner):
        if entry.path == place.path:
            return _answer(call, entry, call.services.blobs.open(call.caller, entry.digest))
    raise missing(f"The model version has no file {place.path!r}")


@calls.on("PUT", "mlflow-artifacts/artifacts/{path:path}", "runs.add_artifacts", raw=True)
async def upload(call: Call) -> None:
    """Keep the body as a file. Nothing is left of one that ends before its announced length."""
    place = parse_place(call.path["path"])
    if not place.path or place.version:
        raise invalid(f"Invalid path: {call.path['path'][:200]!r} is no place for a file")
    request = call.request
    announced = request.headers.get("content-length", "")

    def keep(body: BinaryIO) -> None:
        length = int(announced) if announced.isdecimal() else 0
        stream = cast(BinaryIO, _Whole(body, length))
        call.services.artifacts.put(call.caller, place.owner, place.path, stream)

    await take_stream(request, keep)


@calls.on("DELETE", "mlflow-artifacts/artifacts/{path:path}", "runs.add_artifacts")
def remove(call: Call) -> None:
    """Delete a file or folder, or all that a run or model has."""
    place = parse_place(call.path["path"])
    if place.version:
        raise invalid("The files of a model version stay as they are: delete the version")
    call.services.artifacts.delete(call.caller, place.owner, place.path)


@calls.on("POST", "mlflow-artifacts/mpu/{step}/{path:path}", "runs.add_artifacts")
def multipart(call: Call) -> None:
    """Refused, in the words that clients know: they then send the file in one piece, which is streamed."""
    raise MlflowError(
        "NOT_IMPLEMENTED",
        "Multipart upload is not supported for the current artifact repository: send the file in one piece",
    )


@calls.on("GET", "mlflow-artifacts/presigned/{path:path}", "runs.artifact")
def presigned(call: Call) -> None:
    """Refused: clients then read through the server."""
    raise MlflowError("NOT_IMPLEMENTED", "There are no presigned URLs: read the file through the server")


@calls.on("GET", "mlflow/artifacts/list", "runs.artifacts")
def list_of_run(call: Call) -> dict[str, Any]:
    """What lies in a folder of a run, with paths from its root."""
    folder = _folder(call.maybe_text("path") or "")
    owner = call.services.artifacts.owner(call.caller, call.text("run_id", "run_uuid"))
    found = call.services.artifacts.list(call.caller, owner.id, folder)
    root = run_uri(experiment_word(owner.experiment_id, owner.experiment), owner.id)
    return {"root_uri": root, "files": infos(found, whole=True)}


@calls.on("GET", "get-artifact", "runs.artifact")
def get_artifact(call: Call) -> Response:
    """``/get-artifact?run_uuid=…&path=…``, which browsers ask for."""
    return _sent(call, call.text("run_uuid", "run_id"), _folder(call.text("path")))


def _sent(call: Call, owner: str, path: str) -> Response:
    return _answer(call, *call.services.artifacts.open(call.caller, owner, path))


def _answer(call: Call, entry: FileEntry, stream: BinaryIO) -> Response:
    response = blob_response(call.request, stream, entry.digest, path=entry.path)
    name = entry.path.rpartition("/")[2]
    response.headers["Content-Type"] = mimetypes.guess_type(name)[0] or "application/octet-stream"
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return response


class _Whole(io.RawIOBase):
    """A stream that must be as long as was announced."""

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self._stream, self._left = stream, length

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:  # a whole MiB at once, as the stream gives it
        data = self._stream.read(size)
        self._left -= len(data)
        if not data and self._left > 0:
            raise RequestError(f"the body ended {self._left} bytes early: send the file again")
        return data
