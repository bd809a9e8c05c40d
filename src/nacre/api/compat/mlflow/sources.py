"""Sources of model versions as MLflow's clients name them: always files of the caller's own project."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from nacre.api.compat.mlflow.artifacts import parse_place
from nacre.api.compat.mlflow.calls import Call
from nacre.api.compat.mlflow.errors import invalid, missing
from nacre.domain import mlmodel
from nacre.errors import NotFound
from nacre.schema.models import ModelRegister, ModelVersion

_SECOND = re.compile(r"([^/]+)/(\d+)(?:/(.+))?|(.+)@([^/@]+)")


def find_source(call: Call, source: str, *, tags: dict[str, str], description: str) -> ModelRegister:
    """What to register.

    Raises:
        MlflowError: a source that names nothing in this project, or nothing that Nacre keeps.
    """
    said = ModelRegister(description=description, tags=tags)
    url = urlsplit(source)
    path = unquote(url.path).strip("/") if "%" in url.path else url.path.strip("/")
    if any(part == ".." for part in path.split("/")) or "\\" in path or "\0" in path:
        raise invalid(f"Invalid model version source: '{source[:500]}'")
    if url.scheme == "runs" and not url.netloc:
        run, _, rest = path.partition("/")
        return said.model_copy(update=_of_run(call, run, rest))
    if url.scheme == "models" and not url.netloc:
        return said.model_copy(update=_of_model(call, path, source))
    if url.scheme == "mlflow-artifacts":
        place = parse_place(path)
        if place.version:
            return said.model_copy(update=_copy(call, place.owner))
        kind = "logged_model" if place.owner.startswith("m-") else "run"
        return said.model_copy(update={kind: place.owner, "path": place.path or "."})
    raise invalid(
        f"Invalid model version source: '{source[:500]}'. Nacre registers what it keeps: runs:/RUN/PATH, "
        "models:/m-ID, models:/NAME/VERSION, models:/NAME@ALIAS or mlflow-artifacts:/…"
    )


def _of_run(call: Call, reference: str, path: str) -> dict[str, str]:
    """A folder of a run's files; else what the run logged as a model of that name."""
    run = call.services.runs.get(call.caller, reference)
    if path and not call.services.artifacts.list(call.caller, run.id, path):
        for way, model, _ in call.services.logged_models.linked(call.caller.project_id, [run.id]).get(
            run.id, []
        ):
            if way == "output" and call.services.logged_models.get(call.caller, model).name == path:
                return {"logged_model": model}
    return {"run": run.id, "path": path or "."}


def _of_model(call: Call, path: str, source: str) -> dict[str, str | None]:
    if path.startswith("m-") and "@" not in path:
        model, _, rest = path.partition("/")
        try:
            call.services.logged_models.get(call.caller, model)
        except NotFound as error:
            raise missing(error.detail) from None
        return {"logged_model": model, "path": rest or None}
    match = _SECOND.fullmatch(path)
    if match is None:
        raise invalid(f"Invalid model version source: '{source[:500]}'")
    name, version = (match[1], match[2]) if match[1] else (match[4], match[5])
    return _copy(call, call.services.models.get_version(call.caller, name, version).id)


def _copy(call: Call, version_id: str) -> dict[str, str | None]:
    """The files of another version, whole, as they are."""
    origin: ModelVersion = call.services.models.catalogue.get_by_id(call.caller, version_id)
    files = call.services.models.catalogue.files_of(call.caller, version_id)
    folders = sorted(f.path.rpartition("/")[0] for f in files if f.path.rpartition("/")[2] == mlmodel.NAME)
    if folders:
        return {"manifest": origin.manifest, "path": folders[0] or "."}
    return {"manifest": origin.manifest, "path": origin.entry, "framework": origin.framework}
