"""Where captured values go: to the run, by ``nacre.sdk.tracking.captured``, in the shape that runs want."""

from __future__ import annotations

import contextlib
import os
import reprlib
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from nacre.sdk.tracking import captured

_MAX_FITS = 50
_short = reprlib.Repr()
_short.maxother = _short.maxstring = _short.maxlong = 200
_short.maxdict = _short.maxlist = _short.maxtuple = _short.maxset = 12


class Fits:
    """Tells the fits of one program apart: the first model's keys are plain, the next model's begin with
    ``fit2/``, and so on, so that the curves of a loop over models do not lie over each other. After
    ``50`` models nothing more is captured."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Any, str]] = {}
        self._count = 0
        self._lock = threading.Lock()

    def prefix(self, model: Any) -> str | None:
        """What the keys of this model begin with; None when there were too many."""
        with self._lock:
            known = self._seen.get(id(model))
            if known is not None and known[0]() is model:
                return known[1]
            return self._next(model)

    def fresh(self) -> str | None:
        """For something that is fitted once."""
        with self._lock:
            return self._next(None)

    def _next(self, model: Any) -> str | None:
        self._count += 1
        if self._count > _MAX_FITS:
            return None
        name = "" if self._count == 1 else f"fit{self._count}/"
        if model is not None:
            with contextlib.suppress(TypeError):  # kinds without weak references
                self._seen[id(model)] = (weakref.ref(model), name)
        return name


class Throttle:
    """Lets something happen so rarely that it costs at most ``share`` of the time."""

    def __init__(self, share: float = 0.004, gap_s: float = 0.1) -> None:
        self._share = share
        self._gap_s = gap_s
        self._next = 0.0

    def due(self) -> bool:
        """Whether it may happen now."""
        return time.perf_counter() >= self._next

    def spent(self, since: float) -> None:
        """It happened, and began at ``since`` (``time.perf_counter()``)."""
        now = time.perf_counter()
        self._next = now + max(self._gap_s, (now - since) / self._share)


def number(value: Any) -> float | None:
    """A float of a number, or of a tensor or array of one element; None of anything else."""
    if isinstance(value, (float, int)):
        return float(value)
    if value is None or isinstance(value, (str, bytes, dict, list, tuple)):
        return None
    try:
        item = getattr(value, "item", None)
        return float(item() if callable(item) else value)
    except (TypeError, ValueError, RuntimeError):
        return None


def words(value: Any) -> str:
    """Short words for the value of a param: never a whole array, data frame or model."""
    if value is None or isinstance(value, (bool, int, float)):
        return str(value)
    if isinstance(value, str):
        return value[:1000]
    shape = getattr(value, "shape", None)
    if shape is not None and not isinstance(value, type):
        single = number(value)
        return f"{type(value).__name__} of shape {tuple(shape)}" if single is None else str(single)
    if hasattr(value, "get_params") and not isinstance(value, type):
        return type(value).__name__
    name = getattr(value, "__name__", None)
    if isinstance(name, str) and callable(value):
        return name
    return _short.repr(value)[:1000]


def metrics(values: Mapping[str, Any], step: int, prefix: str = "") -> None:
    """Log what is a number."""
    found = {(prefix + str(key))[:250]: number(value) for key, value in values.items()}
    captured.log({key: value for key, value in found.items() if value is not None}, step, {})


def params(values: Mapping[str, Any], prefix: str = "") -> None:
    """Log params."""
    captured.log({}, 0, {(prefix + str(key))[:250]: words(value) for key, value in values.items()})


def curve(key: str, values: Iterable[Any]) -> None:
    """Log a whole curve: one point a value, from step 0."""
    for step, value in enumerate(values):
        metrics({key: value}, step)


def followed(folder: Any) -> bool:
    """Whether the launcher follows event files in this folder, so that what they say is tracked anyway."""
    if not isinstance(folder, (str, os.PathLike)):
        return False
    path = os.path.realpath(os.fspath(folder))
    started_in = [finder.started_in for finder in sys.meta_path if hasattr(finder, "started_in")]
    roots = (*started_in, os.environ.get("NACRE_OUTPUT_DIR"), os.environ.get("TENSORBOARD_LOG_DIR"))
    return any(
        os.path.commonpath((path, root)) == root for root in map(os.path.realpath, filter(None, roots))
    )


def artifact(name: str, text: str) -> None:
    """Keep a text with the run, unless the program has a file of that name."""
    folder = os.environ.get("NACRE_OUTPUT_DIR")
    if folder and os.path.isdir(folder):
        path = os.path.join(folder, name)
        try:
            with open(path, "x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            pass
