"""Tracking from inside the user's program: metrics, params, tags, artifacts, models.

Inside a job records go to the job's run, through a file that the launcher sends on. Elsewhere (a notebook,
a laptop that is signed in) the first call makes a run, and a thread sends what is logged. Where Nacre is
not set up at all, one warning is given and nothing happens, so that the same program runs everywhere.

Standard library only, Python 3.8 and later: this runs in every environment.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import sys
import threading
from types import TracebackType
from typing import Any, Mapping, Sequence, Union  # noqa: UP035 - Python 3.8

from nacre.errors import NacreError
from nacre.sdk.settings import find_connection
from nacre.sdk.tracking import files, media, pictures, saving
from nacre.sdk.tracking.channel import TrackFile
from nacre.sdk.tracking.records import OWN, Lines
from nacre.sdk.tracking.remote import RemoteRun, warn
from nacre.sdk.tracking.wire import Wire


class _Nowhere:
    """Off the platform."""

    run_id = None

    def write(self, lines: list[str]) -> None:
        """Nothing."""

    def after_fork(self) -> None:
        """Nothing."""

    def end(self, state: str) -> None:
        """Nothing."""


_Sink = Union[TrackFile, RemoteRun, _Nowhere]  # noqa: UP007 - Python 3.8


class _State:
    """What this process tracks to; null until the first call."""

    sink: _Sink | None = None
    lines = OWN
    lock = threading.RLock()
    crashed: str | None = None
    hooked = False
    steps: dict[str, int] = {}
    tables: dict[str, dict[str, str]] = {}


def log_metric(key: str, value: Any, step: int | None = None) -> None:
    """Log one value of a metric.

    Args:
        key: its name, 1 to 250 characters; ``train/loss`` is fine.
        value: a number, or anything that is one (a tensor of one element, a NumPy scalar). NaN and
            infinities are kept.
        step: where on the curve; by default one more than the greatest step of this key so far.

    Raises:
        TypeError, ValueError: the value or the step is no number; the sentence names the metric.
    """
    line = _State.lines.metric(key, value, step)
    (_State.sink or _connect()).write([line])


def log_metrics(metrics: dict[str, Any], step: int | None = None) -> None:
    """Log several metrics of one step together; see :func:`log_metric`."""
    lines = [_State.lines.metric(key, value, step) for key, value in metrics.items()]
    if lines:
        (_State.sink or _connect()).write(lines)


def log_param(key: str, value: Any) -> None:
    """Log a parameter of the run, as text of at most 8192 characters. The last value stays."""
    line = _State.lines.text("p", key, value)
    (_State.sink or _connect()).write([line])


def log_params(params: dict[str, Any]) -> None:
    """Log several parameters."""
    lines = [_State.lines.text("p", key, value) for key, value in params.items()]
    if lines:
        (_State.sink or _connect()).write(lines)


def set_tag(key: str, value: Any) -> None:
    """Set a tag of the run, as text of at most 8192 characters."""
    line = _State.lines.text("t", key, value)
    (_State.sink or _connect()).write([line])


def log_artifact(path: str | os.PathLike[str], artifact_path: str | None = None) -> None:
    """Keep a file, or a folder with all files in it, with the run, under its own name.

    Args:
        path: what to keep.
        artifact_path: folder of the run to put it in (``plots``).

    Raises:
        FileNotFoundError: there is nothing at ``path``.
        ValueError: ``artifact_path`` leads out of the run.
        RuntimeError: the server is away, or does not take it.
    """
    source = os.fspath(path)
    target = files.place(source, artifact_path)
    sink = _State.sink or _connect()
    if isinstance(sink, TrackFile):
        files.copy_in(source, _output_folder(), target)
    elif isinstance(sink, RemoteRun):
        try:
            files.upload(sink, source, target)
        except Exception as error:
            raise RuntimeError(f"{source} was not kept: {error}") from error


def log_image(image: Any, artifact_file: Any = None, key: Any = None, step: int | None = None) -> None:
    """Keep an image: ``log_image("samples", x, step=3)``, or as with MLflow ``log_image(x, "a/b.png")``.

    Args:
        image: an array or tensor (height × width, or with 1, 3 or 4 channels last or first; fractions from
            0 to 1, or whole numbers from 0 to 255), nested lists, or an image of PIL.
        artifact_file: its path, with an extension; or another word for ``key``.
        key: its name; it becomes ``images/KEY/STEP.png``.
        step: by default the next one of this key; a path may go without.

    Raises:
        TypeError, ValueError: it is no image; the name leads out of the run.
        RuntimeError: the server is away, or does not take it.
    """
    if isinstance(image, str):
        image, artifact_file = artifact_file, image
    if step is None and key is not None and not isinstance(key, str):
        key, step = None, key  # log_image("samples", x, 3)
    target = media.where("images", ".png", artifact_file, key, step, _next_step)
    _keep(target, functools.partial(pictures.save, image))


def log_figure(
    figure: Any,
    artifact_file: Any = None,
    *,
    key: str | None = None,
    step: int | None = None,
    save_kwargs: Mapping[str, Any] | None = None,
) -> None:
    """Keep a figure of Matplotlib (a picture) or Plotly (a page): ``log_figure(figure, "plots/roc.png")``.

    Raises:
        TypeError, ValueError: it is no figure, or cannot be written so; the name leads out of the run.
        RuntimeError: the server is away, or does not take it.
    """
    if isinstance(figure, str):
        figure, artifact_file = artifact_file, figure
    write = media.figure_writer(figure, save_kwargs)
    target = media.where("figures", media.figure_extension(figure), artifact_file, key, step, media.no_step)
    _keep(target, write)


def log_table(
    data: Any,
    artifact_file: Any = None,
    *,
    key: str | None = None,
    step: int | None = None,
    columns: Sequence[Any] | None = None,
) -> None:
    """Keep a table as JSON, as ``mlflow.load_table`` reads it. One of the same path is replaced.

    Args:
        data: a data frame, a dict from names to columns, a list of dicts, or a list of rows.
        artifact_file: its path (``tables/errors.json``); or another word for ``key``.
        key: its name; it becomes ``tables/KEY.json``, with a step ``tables/KEY/STEP.json``.
        columns: their names, where the data have none.

    Raises:
        TypeError, ValueError: it is no table; the name leads out of the run.
        RuntimeError: the server is away, or does not take it.
    """
    if isinstance(data, str):
        data, artifact_file = artifact_file, data
    target = media.where("tables", ".json", artifact_file, key, step, media.no_step)
    if not target.endswith(".json"):
        raise ValueError(f"a table is kept as .json, not as {target}: write other files yourself")
    _keep(target, media.json_writer(media.table(data, columns)))
    with _State.lock:
        _State.tables[target] = {"path": target, "type": "table"}
        while len(json.dumps(list(_State.tables.values()))) > 8000:  # a tag's length
            _State.tables.pop(next(iter(_State.tables)))
        set_tag("mlflow.loggedArtifacts", json.dumps(list(_State.tables.values())))


def log_confusion_matrix(
    y_true: Any,
    y_pred: Any = None,
    *,
    labels: Sequence[Any] | None = None,
    path: str | None = None,
    key: str | None = None,
    step: int | None = None,
) -> None:
    """Keep a confusion matrix, to be drawn where it is looked at.

    Args:
        y_true: the true class of each sample; or a finished matrix whose rows are what is true.
        y_pred: the predicted class of each sample, or its scores for all classes.
        labels: the classes in order, or names of the classes 0, 1, …
        path: of the artifact; by default ``confusion/KEY.json``, with a step ``confusion/KEY/STEP.json``.
        key: its name, ``confusion_matrix`` by default.

    Raises:
        TypeError, ValueError: the classes do not make a matrix; the name leads out of the run.
        RuntimeError: the server is away, or does not take it.
    """
    matrix = media.confusion(y_true, y_pred, labels)
    name = "confusion_matrix" if path is None and key is None else key
    _keep(media.where("confusion", ".json", path, name, step, media.no_step), media.json_writer(matrix))


def log_text(text: str, artifact_file: str) -> None:
    """Keep text as a file, ``log_text(report, "reports/a.txt")``. One of the same path is replaced."""
    write = media.text_writer(text)
    _keep(media.where("texts", ".txt", artifact_file, None, None, media.no_step), write)


def _next_step(stem: str) -> int:
    with _State.lock:
        _State.steps[stem] = _State.steps.get(stem, -1) + 1
        return _State.steps[stem]


def _keep(target: str, write: media.Writer) -> None:
    sink = _State.sink or _connect()
    if isinstance(sink, TrackFile):
        files.write_in(write, _output_folder(), target)
    elif isinstance(sink, RemoteRun):
        files.write_up(write, sink, target)


def log_model(model: Any, name: str | None = None, example: Any = None) -> str:
    """Save a model with the run, so that ``nacre model register RUN:model.pt`` can take it.

    A PyTorch module is saved whole, a Keras model by its own ``save``, a scikit-learn estimator by joblib.

    Args:
        model: the model.
        name: its file; ``model.pt``, ``model.keras`` or ``model.joblib`` by default.
        example: a batch of its input (a tensor or array; a tuple or dict of several). Its types and
            shape, with the first dimension left open, are kept beside the model and make its signature.

    Returns:
        The path of the file. Off the platform it is in the current folder.

    Raises:
        TypeError, ValueError: neither PyTorch, Keras nor scikit-learn; or the example is no array.
    """
    sink = _State.sink or _connect()
    folder = _output_folder() if isinstance(sink, TrackFile) else os.getcwd()
    paths = saving.save(model, folder, name, example)
    if isinstance(sink, RemoteRun):
        inside = os.path.relpath(os.path.dirname(paths[0]), folder)
        for path in paths:
            log_artifact(path, inside)
    return paths[0]


class ActiveRun:
    """A run that is logged to; as a context manager it is ended with the block. ``id`` is null while there
    is none (off the platform, or while the server is away)."""

    @property
    def id(self) -> str | None:
        """The run's identifier, 32 hexadecimal digits."""
        return None if _State.sink is None else _State.sink.run_id

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end_run("finished" if kind is None else "failed")


def start_run(name: str | None = None, experiment: str = "default") -> ActiveRun:
    """Begin a run, and end the one that this program began before. In a job it is the job's run."""
    with _State.lock:
        end_run()
        _connect(name, experiment)
    return ActiveRun()


def end_run(state: str = "finished") -> None:
    """Send what waits and end the run: ``finished``, ``failed`` or ``killed``. A job ends its own run."""
    if state not in ("finished", "failed", "killed"):
        raise ValueError(f"a run ends as finished, failed or killed, not as {state!r}")
    with _State.lock:
        if isinstance(_State.sink, RemoteRun):
            _State.sink.end(state)
            _State.sink, _State.lines = None, Lines()
            _State.steps, _State.tables = {}, {}


def _connect(name: str | None = None, experiment: str = "default") -> _Sink:
    with _State.lock:
        if _State.sink is None:
            _State.sink = _find_sink(name, experiment)
        return _State.sink


def _find_sink(name: str | None, experiment: str) -> _Sink:
    track_file, run_id = os.environ.get("NACRE_TRACK_FILE"), os.environ.get("NACRE_RUN_ID")
    if track_file and run_id:
        try:
            return TrackFile(track_file, run_id)
        except OSError as error:
            warn(f"nothing is tracked: {track_file} cannot be opened: {error.strerror}")
            return _Nowhere()
    try:
        found = find_connection()
    except (NacreError, OSError, ValueError):
        found = None
    if found is None or found.token is None:
        warn(
            "nothing is tracked: this is no job, and nobody is signed in; "
            "run 'nacre login URL', or set NACRE_URL and NACRE_TOKEN"
        )
        return _Nowhere()
    run = RemoteRun(Wire(found.url, found.token), found.project, name or _program(), experiment)
    _hook()
    run.begin()
    return run


def _program() -> str:
    """The name of the notebook or script."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    named = os.environ.get("JPY_SESSION_NAME") or main or "python"
    return os.path.splitext(os.path.basename(named))[0] or "python"


def _output_folder() -> str:
    folder = os.environ.get("NACRE_OUTPUT_DIR")
    if not folder:
        raise RuntimeError("NACRE_OUTPUT_DIR is not set: this job has no output folder")
    return folder


def _hook() -> None:
    """End the run with the program: as failed after an unhandled exception."""
    if _State.hooked:
        return
    _State.hooked = True
    before = sys.excepthook

    def note(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _State.crashed = "killed" if issubclass(kind, KeyboardInterrupt) else "failed"
        before(kind, error, trace)

    sys.excepthook = note
    atexit.register(lambda: end_run(_State.crashed or "finished"))


def _after_fork() -> None:
    _State.lock = threading.RLock()
    _State.lines.after_fork()
    if _State.sink is not None:
        _State.sink.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
