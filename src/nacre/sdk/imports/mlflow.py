"""Imports an MLflow store: experiments, runs with full histories and artifacts, models.

Each run keeps the id that it had as a tag, and is marked complete at the end: so an import that was cut
short goes on where it stopped, and one that is repeated adds only what is new.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx
from sqlalchemy.exc import SQLAlchemyError

from nacre.errors import NacreError, NotFound
from nacre.sdk.client import Client
from nacre.sdk.imports.mlflow_database import DatabaseSource
from nacre.sdk.imports.mlflow_folder import FolderSource
from nacre.sdk.imports.mlflow_registry import import_registry
from nacre.sdk.imports.mlflow_server import ServerSource
from nacre.sdk.imports.progress import Progress, Report
from nacre.sdk.imports.protocol import Refusal
from nacre.sdk.imports.records import FINAL, Experiment, LoggedModel, Place, Point, Run, Source, Unreachable
from nacre.sdk.imports.target import COMPLETE, MAX_METRICS, STATE_TAG, Imported, Target

FAULTS = (NacreError, Refusal, Unreachable, SQLAlchemyError, httpx.HTTPError, OSError, ValueError, KeyError)
"""What one run's import may end with; others go on."""

_RUNS_AT_ONCE = 4
_BATCHES_AT_ONCE = 8
_PARENT_TAG = "mlflow.parentRunId"


def open_source(uri: str, artifacts: Path | None = None) -> Source:
    """The store at an address: ``http(s)://…``, ``sqlite:///path``, ``postgresql://…``, or a folder.

    Args:
        artifacts: the folder in which the store's server keeps artifacts, for a database or folder.

    Raises:
        NotFound: there is none, or it is of a kind that cannot be read; the sentence says what to do.
    """
    scheme = urlsplit(uri).scheme.partition("+")[0].lower()
    try:
        if scheme in ("http", "https"):
            return ServerSource(uri)
        if "://" in uri and scheme != "file":
            return DatabaseSource(uri.replace("postgres://", "postgresql://", 1), artifacts)
        path = Path(unquote(urlsplit(uri).path) if scheme == "file" else uri).expanduser()
        if path.is_file():
            return DatabaseSource(f"sqlite:///{path}", artifacts)
        nested = path / "mlruns"
        return FolderSource(nested if nested.is_dir() else path, artifacts)
    except Unreachable as error:
        raise NotFound(str(error)) from None


def import_mlflow(
    client: Client,
    source: Source,
    *,
    project: str | None = None,
    experiments: Sequence[str] = (),
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Bring what a store holds into a project.

    Args:
        client: of the server to import into.
        experiments: names or ids of those to import; all by default.
        dry_run: only count.
        progress: is told how far it is.

    Returns:
        What was done, with the problems: a run that cannot be read does not stop the others.

    Raises:
        NotFound: the store cannot be read at all, or has no such experiment.
        NacreError: Nacre cannot be written to.
    """
    progress = progress or Progress(source.label, dry_run=dry_run)
    try:
        wanted = _wanted(source, experiments)
    except (Unreachable, Refusal, httpx.HTTPError, SQLAlchemyError) as error:
        raise NotFound(f"{source.label} cannot be read: {error}") from None
    target = Target(client.transport.http, project or client.project, source.label)
    return _Import(source, target, progress).run(wanted, registry=not experiments)


def _wanted(source: Source, experiments: Sequence[str]) -> list[Experiment]:
    there = source.experiments()
    if not experiments:
        return there
    found = [one for one in there if one.name in experiments or one.id in experiments]
    for name in experiments:
        if not any(name in (one.name, one.id) for one in found):
            names = ", ".join(repr(one.name) for one in there[:20])
            raise NotFound(f"the store has no experiment {name!r}; it has {names}")
    return found


class _Import:
    def __init__(self, source: Source, target: Target, progress: Progress) -> None:
        self._source = source
        self._target = target
        self._progress = progress
        self._dry = progress.report.dry_run
        self._runs: dict[str, Imported] = {}
        self._orphans: list[tuple[str, str]] = []
        self._models: dict[str, Imported] = {}
        self._stopped = False

    def run(self, experiments: Sequence[Experiment], *, registry: bool) -> Report:
        with ExitStack() as stack:
            self._workers = ThreadPoolExecutor(_RUNS_AT_ONCE, "nacre-import")
            self._senders = ThreadPoolExecutor(_BATCHES_AT_ONCE, "nacre-import-send")
            for pool in (self._senders, self._workers):
                stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            try:
                for experiment in experiments:
                    self._guarded(f"experiment {experiment.name}", partial(self._experiment, experiment))
                self._adopt()
                if registry:
                    self._guarded("registered models", self._registry)
            except BaseException:
                self._stopped = True
                raise
        return self._progress.report

    def _guarded(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except FAULTS as error:
            self._progress.problem(f"{what}: {_words(error)}")

    def _experiment(self, experiment: Experiment) -> None:
        self._progress.begin(experiment.name)
        self._progress.add(experiments=1)
        id_: str | None
        if self._dry:
            id_ = self._target.find_experiment(experiment.name)
            self._runs |= self._target.imported_runs(id_) if id_ else {}
        else:
            id_ = self._target.experiment(experiment)
            self._runs |= self._target.imported_runs(id_)
        working: deque[Future[None]] = deque()
        for run in self._source.runs(experiment):
            known = self._runs.get(run.id)
            if known is not None and known.complete:
                self._progress.add(already=1)
            elif self._dry:
                self._progress.add(runs=1, params=len(run.params), tags=len(run.tags))
            else:
                fresh = known is None
                if known is None:
                    known = self._runs[run.id] = self._target.create_run(id_ or "", run)
                working.append(self._workers.submit(self._one, run, known, fresh))
            while len(working) > 2 * _RUNS_AT_ONCE:
                working.popleft().result()
        for future in working:
            future.result()
        self._logged_models(experiment, id_)

    # One run, in a worker's thread

    def _one(self, run: Run, known: Imported, fresh: bool) -> None:
        name = f"run {run.name or run.id} ({run.id})"
        try:
            complete = self._copy(run, known, name, fresh)
        except FAULTS as error:
            self._progress.problem(f"{name}: {_words(error)}")
            return
        if complete and not self._stopped:
            self._progress.add(runs=1, params=len(run.params), tags=len(run.tags))

    def _copy(self, run: Run, known: Imported, name: str, fresh: bool) -> bool:
        target = self._target
        target.texts(run, known.id, lambda words: self._progress.problem(f"{name}: {words}"))
        if parent := run.tags.get(_PARENT_TAG):
            there = self._runs.get(parent)
            if there is None:
                self._orphans.append((known.id, parent))
            target.tag_run(known.id, _PARENT_TAG, there.id if there else parent)
        self._points(run, known.id)
        whole = self._artifacts(run.place, known.uri, name, {} if fresh else None)
        if self._stopped:
            return False
        if run.status in FINAL:
            target.end_run(known.id, run.status, run.end_ms)
            if whole:
                target.tag_run(known.id, STATE_TAG, COMPLETE)
                known.state = COMPLETE
        return True

    def _points(self, run: Run, id_: str) -> None:
        sending: set[Future[None]] = set()
        for points in self._source.points(run):
            for at in range(0, len(points), MAX_METRICS):
                if self._stopped:
                    return
                part: list[Point] = points[at : at + MAX_METRICS]
                sending.add(self._senders.submit(self._send, id_, part))
                if len(sending) >= _BATCHES_AT_ONCE:
                    done, sending = wait(sending, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
        for future in sending:
            future.result()

    def _send(self, id_: str, points: list[Point]) -> None:
        self._target.points(id_, points)
        self._progress.add(points=len(points))

    def _artifacts(self, place: Place, uri: str, name: str, there: dict[str, int | None] | None) -> bool:
        """Whether all of them are there now. ``there``: those that are known to be there; null: ask."""
        whole = True
        try:
            for path, size in self._source.files(place):
                if there is None:
                    there = self._target.there(uri)
                if self._stopped:
                    return False
                if path in there and size is not None and there[path] == size:
                    continue
                try:
                    sent = self._target.put(uri, path, partial(self._pieces, place, path))
                    self._progress.add(artifacts=1, artifact_bytes=sent)
                except FAULTS as error:
                    whole = False
                    self._progress.problem(f"{name}: {path}: {_words(error)}")
        except Unreachable as error:
            # As for every other run: said once.
            self._progress.problem(str(error))
            return False
        except FAULTS as error:
            self._progress.problem(f"{name}: artifacts: {_words(error)}")
            return False
        return whole

    def _pieces(self, place: Place, path: str) -> Iterator[bytes]:
        with self._source.read(place, path) as pieces:
            yield from pieces

    # After the runs

    def _adopt(self) -> None:
        """Children that came before their parents, from another experiment."""
        for child, parent in self._orphans:
            if (there := self._runs.get(parent)) is not None:
                self._guarded(f"run {child}", partial(self._target.tag_run, child, _PARENT_TAG, there.id))

    def _logged_models(self, experiment: Experiment, id_: str | None) -> None:
        models = list(self._source.logged_models(experiment))
        if not models:
            return
        known = self._target.imported_models(id_) if id_ else {}
        self._models |= known
        for model in models:
            if (there := known.get(model.id)) is not None and there.complete:
                continue
            if self._dry:
                self._progress.add(logged_models=1)
            else:
                work = partial(self._logged_model, model, id_ or "", there)
                self._guarded(f"logged model {model.name} ({model.id})", work)

    def _logged_model(self, model: LoggedModel, experiment_id: str, there: Imported | None) -> None:
        run = self._runs.get(model.run)
        run_id = run.id if run else None
        fresh = there is None
        if there is None:
            there = self._target.create_model(experiment_id, model, run_id)
            self._models[model.id] = there
        name = f"logged model {model.name} ({model.id})"
        if self._artifacts(model.place, there.uri, name, {} if fresh else None):
            self._target.finish_model(there.id, model.status, run_id)
            self._progress.add(logged_models=1)

    def _registry(self) -> None:
        import_registry(self._source, self._target, self._progress, self._runs, self._models)


def _words(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"its record lacks {error}"
    if isinstance(error, NacreError):
        return error.detail
    return str(error).strip().splitlines()[0][:500] if str(error).strip() else type(error).__name__
