"""XGBoost: a callback of ours joins those of every training and cross-validation."""

from __future__ import annotations

import functools
import sys
from typing import Any

from nacre.launcher.capture import nesting, sink
from nacre.launcher.capture.guard import Guard

_guard = Guard("xgboost", "xgboost")
_fits = sink.Fits()


def patch(module: Any) -> None:
    """Let every container of callbacks have ours."""
    container = module.CallbackContainer
    if hasattr(container.__init__, "nacre"):
        return
    ours = _make(module.TrainingCallback)
    init = container.__init__

    @functools.wraps(init)
    def captured(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        _join(self, ours, sys._getframe(1))

    captured.nacre = True  # type: ignore[attr-defined]
    container.__init__ = captured


@_guard.careful
def _join(container: Any, ours: Any, caller: Any) -> None:
    if _guard.silent() or not nesting.counts() or _rank() != 0:
        return
    prefix = _fits.fresh()
    if prefix is None:
        return
    container.callbacks.append(ours(prefix, container.history))
    if caller.f_code.co_name in ("train", "cv") and not nesting.inside():
        here = caller.f_locals
        found = dict(here.get("params") or {})
        found["num_boost_round"] = here.get("num_boost_round")
        if here.get("early_stopping_rounds") is not None:
            found["early_stopping_rounds"] = here["early_stopping_rounds"]
        sink.params({key: value for key, value in found.items() if value is not None}, prefix)


def _rank() -> int:
    collective = sys.modules.get("xgboost.collective")
    return 0 if collective is None else int(collective.get_rank())


def _make(base: Any) -> Any:
    class NacreCapture(base):  # type: ignore[misc]
        """Logs what is evaluated to the job's run."""

        def __init__(self, prefix: str, history: Any) -> None:
            super().__init__()
            self._prefix = prefix
            self._history = history
            self._done: dict[str, int] = {}

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            self._log()
            return False

        def after_training(self, model: Any) -> Any:
            self._log()  # the iteration at which an earlier callback stopped the training
            return model

        @_guard.careful
        def _log(self) -> None:
            for data, of_data in self._history.items():
                for metric, values in of_data.items():
                    key = f"{self._prefix}{data}-{metric}"
                    if len(values) > self._done.get(key, 0):
                        self._done[key] = len(values)
                        sink.metrics(_named(key, values[-1]), len(values) - 1)

    return NacreCapture


def _named(key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, tuple):  # of a cross-validation: mean and deviation
        return {f"{key}-mean": value[0], f"{key}-std": value[1]}
    return {key: value}
