"""Imports folders of TensorBoard: each folder with event files becomes a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from itertools import chain, islice
from pathlib import Path

import httpx

from nacre.errors import NacreError, NotFound
from nacre.sdk import tfevents
from nacre.sdk.client import Client
from nacre.sdk.imports import events
from nacre.sdk.imports.progress import Progress, Report
from nacre.sdk.imports.protocol import Refusal
from nacre.sdk.imports.records import Experiment, Place, Point, Run
from nacre.sdk.imports.target import COMPLETE, MAX_METRICS, STATE_TAG, Imported, Target

_FAULTS = (NacreError, Refusal, httpx.HTTPError, OSError, ValueError, KeyError)
_MAX_KEY = 250


def import_tensorboard(
    client: Client,
    folder: Path,
    *,
    experiment: str | None = None,
    project: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Bring the runs below a folder into a project: scalars, hyper-parameters, images and texts.

    A run is known again by its event files, so that repeating the import adds what was written since.

    Args:
        experiment: to put them in; the folder's name by default.
        dry_run: only count.
        progress: is told how far it is.

    Raises:
        NotFound: there are no event files below the folder.
        NacreError: Nacre cannot be written to.
    """
    runs = find_runs(folder)
    if not runs:
        raise NotFound(f"there are no event files (*tfevents*) in {folder}")
    progress = progress or Progress(str(folder), dry_run=dry_run)
    target = Target(client.transport.http, project or client.project, str(folder.absolute()))
    into = Experiment("", experiment or folder.absolute().name or "tensorboard")
    progress.add(experiments=1)
    try:
        id_ = target.find_experiment(into.name) if dry_run else target.experiment(into)
        known = target.imported_runs(id_) if id_ else {}
    except Refusal as error:
        raise NotFound(f"experiment {into.name!r}: {error}") from None
    for name, files in runs:
        progress.begin(name)
        try:
            _import(target, progress, id_, name, files, known)
        except _FAULTS as error:
            words = error.detail if isinstance(error, NacreError) else str(error)
            progress.problem(f"run {name}: {words}")
    return progress.report


def find_runs(folder: Path) -> list[tuple[str, list[Path]]]:
    """(name, event files in order) of each folder that has event files; names are from ``folder`` on."""
    found = []
    for where, folders, names in os.walk(folder):
        folders.sort()
        files = [Path(where, name) for name in sorted(names) if _is_event_file(name)]
        if files:
            inside = Path(where).relative_to(folder).as_posix()
            found.append((folder.absolute().name if inside == "." else inside, files))
    return found


def _is_event_file(name: str) -> bool:
    """Programs that read or write them are called so too."""
    return tfevents.is_event_file(name) and not name.endswith((".py", ".pyc"))


def _import(
    target: Target,
    progress: Progress,
    experiment_id: str | None,
    name: str,
    files: list[Path],
    known: dict[str, Imported],
) -> None:
    identity = sha256(f"{name}\0{files[0].name}".encode()).hexdigest()[:32]
    done = f"{COMPLETE} {sum(path.stat().st_size for path in files)}"
    there = known.get(identity)
    if there is not None and there.state == done:
        progress.add(already=1)
        return
    params, media = _beside(files)
    if progress.report.dry_run or experiment_id is None:
        count = sum(1 for _ in _points(files, progress, name))
        progress.add(runs=1, points=count, params=len(params), artifacts=media)
        return
    first = next(_points(files, progress, name), None)
    run = Run(
        id=identity,
        name=name[:_MAX_KEY],
        status="FINISHED",
        start_ms=first[2] if first else int(files[0].stat().st_mtime * 1000),
        end_ms=None,
        user="",
        params=params,
        tags={},
        place=Place("run", identity, ""),
    )
    kept = target.there(there.uri) if there and media else {}
    there = there or target.create_run(experiment_id, run)
    target.texts(run, there.id, lambda words: progress.problem(f"run {name}: {words}"))
    points, last = _points(files, progress, name), run.start_ms
    while part := list(islice(points, MAX_METRICS)):
        target.points(there.id, part)
        last = max(last, *(point[2] for point in part))
        progress.add(points=len(part))
    for found in chain.from_iterable(events.read(file) for file in files) if media else ():
        if isinstance(found, events.Media) and kept.get(found.path) != len(found.data):
            size = target.put(there.uri, found.path, partial(iter, [found.data]))
            progress.add(artifacts=1, artifact_bytes=size)
    target.end_run(there.id, "FINISHED", last)
    target.tag_run(there.id, STATE_TAG, done)
    progress.add(runs=1, params=len(params))


def _points(files: list[Path], progress: Progress, name: str) -> Iterator[Point]:
    for file in files:
        try:
            for scalar in tfevents.read(file):
                yield scalar.tag[:_MAX_KEY], scalar.value, int(scalar.time_s * 1000), scalar.step
        except tfevents.Damaged as error:
            progress.problem(f"run {name}: {file.name}: {error}")


def _beside(files: list[Path]) -> tuple[dict[str, str], int]:
    """Hyper-parameters, and how many images and texts there are."""
    params: dict[str, str] = {}
    media = 0
    for found in chain.from_iterable(events.read(file) for file in files):
        if isinstance(found, events.Params):
            params |= found.values
        else:
            media += 1
    return params, media
