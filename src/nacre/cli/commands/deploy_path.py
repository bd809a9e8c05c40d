"""What ``nacre deploy`` is given: a model version by name, or a model's files on this machine."""

from __future__ import annotations

from pathlib import Path

from nacre.cli.app import as_json, err
from nacre.cli.commands.data import push_bar
from nacre.cli.commands.models import split_reference
from nacre.errors import InvalidSpec, NotFound, RequestError
from nacre.schema.models import ConversionState, ModelVersion
from nacre.sdk.client import Client
from nacre.sdk.model_files import SUFFIXES

_OVER = (ConversionState.READY, ConversionState.FAILED, ConversionState.NONE)
_WAIT_S = 5.0


def resolve(nacre: Client, argument: str, name: str | None) -> tuple[str, str]:
    """The model and version to deploy. A file or folder is sent and registered first, and its conversion
    waited for; its model is called ``name``, or as the file is. What is not converted may run in replicas.

    Raises:
        NotFound: there is neither such a model nor such a file.
        RequestError: it is no ONNX model, or a pickle.
    """
    if not _is_path(nacre, argument):
        return split_reference(argument)
    with push_bar() as progress:
        version = nacre.models.push(Path(argument).expanduser(), name, progress=progress)
    _tell(f"{argument} is {version.model}/{version.number}")
    version = _converted(nacre, version)
    if version.conversion == ConversionState.FAILED:
        said = f"{version.model}/{version.number} could not be converted to ONNX: {version.message}"
        if version.framework == "onnx":
            raise RequestError(said)
        _tell(f"{said}; it runs as it is, in replicas")
    return version.model, str(version.number)


def _is_path(nacre: Client, argument: str) -> bool:
    """Whether files are meant. A bare name that both a folder and a model have is the model's."""
    if not Path(argument).expanduser().exists():
        if _looks_like_path(argument):
            raise NotFound(f"there is no file or folder {argument}")
        return False
    if _looks_like_path(argument):
        return True
    try:
        nacre.models.get(split_reference(argument)[0])
    except (NotFound, InvalidSpec):
        return True
    return False


def _looks_like_path(argument: str) -> bool:
    return argument.startswith((".", "/", "~")) or argument.lower().endswith(SUFFIXES)


def _converted(nacre: Client, version: ModelVersion) -> ModelVersion:
    """The version once its conversion is over; tells how far its job is."""
    told = ""
    while version.conversion not in _OVER:
        if version.conversion_job:
            job = nacre.jobs.get(version.conversion_job)
            news = f"converting to ONNX, job {job.name}: {job.message or job.state}"
            if news != told:
                _tell(told := news)
        version = nacre.models.get_version(
            version.model, str(version.number), wait_s=_WAIT_S, unless=version.conversion
        )
    return version


def _tell(text: str) -> None:
    if not as_json():
        err.print(text, style="dim", markup=False)
