"""What is logged of a fitted estimator of scikit-learn's kind."""

from __future__ import annotations

import csv
import io
import json
import linecache
import re
import sys
import time
import warnings
from typing import Any

from nacre.launcher.capture import guard, sink

_MAX_PARAMS = 120
_FREE_S = 0.015
_SHARE = 0.003
_TRIALS = (2, 10, 100)
_ARGUMENT = re.compile(r"\.score\(\s*(?:X\s*=\s*)?([A-Za-z_][A-Za-z_0-9]*)\s*[,)]")

_fits: dict[str, sink.Fits] = {}
_scores: dict[str, int] = {}


class _Allowance:
    """Processor time that scoring may take: a little for each program, and a small share of its fits."""

    left_s = _FREE_S


def fitted(estimator: Any, seconds: float, args: Any, kwargs: Any) -> None:
    """The outermost fit of an estimator that predicts: params, results, the training score."""
    if not _predicts(estimator):
        return
    prefix = _prefix(estimator)
    if prefix is None:
        return
    _Allowance.left_s += seconds * _SHARE
    sink.params(flat(estimator), prefix)
    found = {"fit_seconds": seconds}
    _results(estimator, prefix)
    score = _training_score(estimator, args, kwargs)
    if score is not None:
        found["training_score"] = score
    sink.metrics(found, _step(f"{prefix}fit"), prefix)


def scored(estimator: Any, result: Any, line: str) -> None:
    """``score``, called by the program: under the name of the data, where its line of code has one."""
    prefix = _prefix(estimator)
    if prefix is not None:
        names = _ARGUMENT.findall(line)
        key = f"score_{names[0]}" if len(names) == 1 else "score"
        sink.metrics({key: result}, _step(prefix + key), prefix)


def validated(name: str, estimator: Any, result: Any) -> None:
    """A cross-validation: each fold's scores as a curve over the folds, and their mean."""
    if not hasattr(estimator, "get_params"):
        return
    prefix = _prefix(estimator)
    if prefix is None or name not in ("cross_validate", "cross_val_score"):
        return
    sink.params(flat(estimator), prefix)
    found = result if isinstance(result, dict) else {"test_score": result}
    for key, values in found.items():
        if key.startswith(("test_", "train_")):
            sink.curve(f"{prefix}cv_{key}", values)
            sink.metrics({f"cv_{key}_mean": values.mean()}, 0, prefix)


def caller(*files: str) -> str:
    """The line of code that called into these files."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename in (__file__, guard.__file__, *files):
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return ""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno, frame.f_globals)


def _predicts(estimator: Any) -> bool:
    kind = type(estimator)
    try:
        return hasattr(kind, "predict") and (not hasattr(kind, "steps") or hasattr(estimator, "predict"))
    except Exception:  # a property that a program wrote
        return False


def _prefix(estimator: Any) -> str | None:
    """``LogisticRegression/``; further ones of a class ``fit2/LogisticRegression/``."""
    name = type(estimator).__name__
    before = _fits.setdefault(name, sink.Fits()).prefix(estimator)
    return None if before is None else f"{before}{name}/"


def _step(key: str) -> int:
    _scores[key] = _scores.get(key, -1) + 1
    return _scores[key]


def flat(estimator: Any) -> dict[str, Any]:
    """The params of an estimator and of those inside it, which stand as the name of their class."""
    found = {}
    for key, value in estimator.get_params(deep=True).items():
        if _holds_estimators(value):
            continue  # ``steps`` and the like: each of them has a key of its own
        found[key] = value
    shallow = sorted(found, key=lambda key: (key.count("__"), key))
    return {key: found[key] for key in shallow[:_MAX_PARAMS]}


def _holds_estimators(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and any(
        isinstance(item, tuple) and any(hasattr(part, "get_params") for part in item) for item in value
    )


def _results(estimator: Any, prefix: str) -> None:
    """What a fitted estimator keeps of its training: curves, and what a search has found."""
    for attribute, key in (
        ("loss_curve_", "loss"),
        ("validation_scores_", "validation_score"),
        ("train_score_", "train_score"),
        ("validation_score_", "validation_score"),
    ):
        values = vars(estimator).get(attribute)
        if values is not None and not isinstance(values, (str, float, int)) and 0 < len(values) <= 100_000:
            every = max(1, len(values) // 1000)
            for step in range(0, len(values), every):
                sink.metrics({key: values[step]}, step, prefix)
    found = vars(estimator).get("cv_results_")
    if isinstance(found, dict) and "params" in found:
        _search(estimator, found, prefix)


def _search(estimator: Any, found: dict[str, Any], prefix: str) -> None:
    columns = [key for key in found if key.startswith(("mean_", "std_", "rank_"))]
    for key in columns:
        if key.startswith(("mean_test", "mean_train", "mean_fit")):
            sink.curve(prefix + key, found[key])
    if "best_score_" in vars(estimator):
        sink.metrics({"best_score": estimator.best_score_, "best_index": estimator.best_index_}, 0, prefix)
    if "best_params_" in vars(estimator):
        sink.params({f"best/{key}": value for key, value in estimator.best_params_.items()}, prefix)
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["params", *columns])
    for index, given in enumerate(found["params"]):
        words = json.dumps({key: sink.words(value) for key, value in given.items()})
        table.writerow([words, *(found[key][index] for key in columns)])
    sink.artifact(prefix.strip("/").replace("/", "_") + "_results.csv", text.getvalue())


def _training_score(estimator: Any, args: Any, kwargs: Any) -> float | None:
    """The score on the training data, when it is sure to be cheap and nobody else's code."""
    x = args[0] if args else kwargs.get("X")
    y = args[1] if len(args) > 1 else kwargs.get("y")
    rows = getattr(x, "shape", (0,))[0] if hasattr(x, "shape") else 0
    wanted = y is not None and rows and hasattr(y, "shape") and hasattr(estimator, "score")
    if not wanted or len(args) > 2 or any(kwargs.get(key) is not None for key in set(kwargs) - {"X", "y"}):
        return None
    if "cv_results_" in vars(estimator) or not _ours(estimator) or _Allowance.left_s <= 0:
        return None
    with _Undisturbed():
        began = time.process_time()
        score = estimator.score(x, y) if _cheap(estimator, x, y, rows) else None
        _Allowance.left_s -= time.process_time() - began
    return sink.number(score)


def _cheap(estimator: Any, x: Any, y: Any, rows: int) -> bool:
    """Whether scoring all rows fits into the allowance, judged by a few rows (the first call warms up)."""
    if rows <= _TRIALS[-1]:
        return True
    began, before, per_row = time.process_time(), 0.0, 0.0
    for count in _TRIALS:
        start = time.process_time()
        estimator.score(x[:count], y[:count])
        took = time.process_time() - start
        per_row, before = max(0.0, took - before) / (count * 0.9), took
        if time.process_time() - began + took > _Allowance.left_s:
            return False
    return time.process_time() - began + before + per_row * rows < _Allowance.left_s


def _ours(estimator: Any) -> bool:
    """Whether only scikit-learn's own code would run: another's may print, count or fail."""
    parts = [estimator, *(v for v in estimator.get_params(deep=True).values() if hasattr(v, "get_params"))]
    return all(type(part).__module__.split(".")[0] in ("sklearn", "xgboost", "lightgbm") for part in parts)


class _Undisturbed:
    """Random numbers of NumPy go on as if nothing had happened, and nothing is warned of twice."""

    def __enter__(self) -> None:
        self._random: Any = sys.modules["numpy"].random
        self._state = self._random.get_state()
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *error: Any) -> None:
        self._warnings.__exit__(*error)
        self._random.set_state(self._state)
