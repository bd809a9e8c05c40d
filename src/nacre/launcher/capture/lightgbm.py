"""LightGBM: a callback of ours joins those of every training and cross-validation."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from nacre.launcher.capture import nesting, sink
from nacre.launcher.capture.guard import Guard

_guard = Guard("lightgbm", "lightgbm")
_fits = sink.Fits()


def patch(module: Any) -> None:
    """Give ``train`` and ``cv`` one callback more, before anybody imports them from here."""
    for name in ("train", "cv"):
        original = getattr(module, name, None)
        if original is not None and not hasattr(original, "nacre"):
            setattr(module, name, _wrap(original))


def _wrap(original: Any) -> Any:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def captured(*args: Any, **kwargs: Any) -> Any:
        more = _more(signature, args, kwargs)
        if more is not None:
            args, kwargs = more
        return original(*args, **kwargs)

    captured.nacre = True  # type: ignore[attr-defined]
    return captured


@_guard.careful
def _more(signature: Any, args: Any, kwargs: Any) -> Any:
    """The arguments with our callback among them; None to leave them as they are."""
    if _guard.silent() or not nesting.counts():
        return None
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return None  # the program's mistake, which LightGBM reports
    given = bound.arguments.get("callbacks")
    if given is not None and not isinstance(given, (list, tuple, set)):
        return None
    prefix = _fits.fresh()
    if prefix is None:
        return None
    bound.arguments["callbacks"] = [*(given or ()), _Callback(prefix)]
    return bound.args, bound.kwargs


class _Callback:
    before_iteration = False

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._described = nesting.inside()
        self.order = 25  # behind those that record, before early stopping (30), which raises

    @_guard.careful
    def __call__(self, env: Any) -> None:
        if not self._described:
            self._described = True
            sink.params(dict(env.params), self._prefix)
        for result in env.evaluation_result_list or ():
            self._log(result, env.iteration)

    def _log(self, result: Any, step: int) -> None:
        if hasattr(result, "dataset_name"):
            data, metric, value = result.dataset_name, result.metric_name, result.metric_value
            deviation = getattr(result, "metric_std_dev", None)
        else:
            data, metric, value = result[:3]
            deviation = result[4] if len(result) > 4 else None
        if data == "cv_agg":  # the metric's name has the data's in front
            data, _, metric = str(metric).partition(" ")
        key = f"{self._prefix}{data}-{metric}"
        if deviation is None:
            sink.metrics({key: value}, step)
        else:
            sink.metrics({f"{key}-mean": value, f"{key}-std": deviation}, step)
