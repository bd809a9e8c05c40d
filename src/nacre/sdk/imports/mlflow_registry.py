"""The registry of an MLflow store: registered models, their versions and aliases."""

from __future__ import annotations

import re

import httpx

from nacre.errors import NacreError
from nacre.sdk.imports.progress import Progress
from nacre.sdk.imports.protocol import Refusal
from nacre.sdk.imports.records import RegisteredModel, Source, Version
from nacre.sdk.imports.target import Imported, Target

_RUN_SOURCE = re.compile(r"(?:.*/)?([0-9a-f]{32})/artifacts/(.+)", re.DOTALL)
_RUNS_SOURCE = re.compile(r"runs:/([0-9a-f]{32})/(.+)", re.DOTALL)


def import_registry(
    source: Source,
    target: Target,
    progress: Progress,
    runs: dict[str, Imported],
    models: dict[str, Imported],
) -> None:
    """Bring the registry. Versions need the run or logged model that holds their files to be imported.

    Args:
        runs: imported runs by the id that they had.
        models: imported logged models, likewise.
    """
    for model in source.registered_models():
        progress.begin(f"model {model.name}")
        if progress.report.dry_run:
            progress.add(models=1, versions=len(model.versions))
            continue
        try:
            _model(model, target, progress, runs, models)
        except (NacreError, Refusal, httpx.HTTPError, ValueError, KeyError) as error:
            progress.problem(f"model {model.name}: {error}")


def _model(
    model: RegisteredModel,
    target: Target,
    progress: Progress,
    runs: dict[str, Imported],
    models: dict[str, Imported],
) -> None:
    name = model.name
    try:
        target.registered_model(name, model.description, model.tags)
    except Refusal as error:
        name = _plain(name)
        if error.code != "INVALID_PARAMETER_VALUE" or name == model.name:
            raise
        target.registered_model(name, model.description, model.tags)
        progress.problem(f"model {model.name} is called {name} now: {error}")
    numbers = target.imported_versions(name)
    added = 0
    for version in model.versions:
        if version.number in numbers:
            continue
        place = _source_of(version, runs, models)
        if place is None:
            progress.problem(
                f"model {model.name} version {version.number}: its files ({version.source or 'nowhere'}) "
                "are of no run or logged model that was imported"
            )
            continue
        run = runs.get(version.run)
        try:
            numbers[version.number] = target.create_version(
                name, version.number, place, run.id if run else None, version.description, version.tags
            )
            added += 1
        except (NacreError, Refusal) as error:
            progress.problem(f"model {model.name} version {version.number}: {error}")
            continue
        if numbers[version.number] != str(version.number):
            progress.problem(
                f"model {model.name} version {version.number} has the number {numbers[version.number]} here"
            )
    for alias, number in model.aliases.items():
        if number in numbers:
            target.alias(name, alias, numbers[number])
    progress.add(models=1 if added else 0, versions=added)


def _source_of(version: Version, runs: dict[str, Imported], models: dict[str, Imported]) -> str | None:
    """Where the files of a version are here; null where they are not."""
    if version.source.startswith("models:/"):
        there = models.get(version.source.removeprefix("models:/"))
        return f"models:/{there.id}" if there else None
    for logged, imported in models.items():
        if f"/{logged}/artifacts" in version.source:
            return f"models:/{imported.id}"
    match = _RUNS_SOURCE.fullmatch(version.source) or _RUN_SOURCE.fullmatch(version.source)
    if match is None or (run := runs.get(match[1])) is None:
        return None
    return f"{run.uri}/{match[2]}"


def _plain(name: str) -> str:
    """The name in letters that every name of Nacre may have."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:64].rstrip("-._") or "model"
