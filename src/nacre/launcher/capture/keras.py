"""Keras 3 on any backend, and the Keras of TensorFlow before it.

``fit`` makes a ``CallbackList`` with a history; a callback of ours joins it as the last one. So no frame
of ours stands between the program and what its own code raises, and what the program's callbacks log
themselves is known before ours looks.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from typing import Any

from nacre.launcher.capture import nesting, sink
from nacre.launcher.capture.guard import Guard

_guard = Guard("keras", "keras", "tensorflow")
_fits = sink.Fits()
# By prefix: how long the curves are, so that a second ``fit`` of a model goes on behind its first.
_epochs: dict[str, int] = {}
_batches: dict[str, int] = {}


def patch(module: Any) -> None:
    """Let every callback list that a ``fit`` makes have ours."""
    kind = vars(module).get("CallbackList")
    if kind is None or getattr(kind.__init__, "nacre", False):
        return  # the package around the module that was patched
    ours = _make(module.Callback)
    init = kind.__init__

    @functools.wraps(init)
    def captured(
        self: Any, callbacks: Any = None, add_history: bool = False, *args: Any, **kwargs: Any
    ) -> None:
        init(self, callbacks, add_history, *args, **kwargs)
        if add_history:
            _join(self, ours, sys._getframe(1))

    captured.nacre = True  # type: ignore[attr-defined]
    kind.__init__ = captured


@_guard.careful
def _join(callbacks: Any, ours: Any, caller: Any) -> None:
    if _guard.silent() or not nesting.counts():
        return
    if any(isinstance(callback, ours) for callback in callbacks.callbacks):
        return
    size = caller.f_locals.get("batch_size") if caller.f_code.co_name == "fit" else None
    callback = ours(size)
    callback.set_params(getattr(callbacks, "params", None) or {})
    if getattr(callbacks, "model", None) is not None:
        callback.set_model(callbacks.model)
    callbacks.callbacks.append(callback)


def _make(base: Any) -> Any:
    class NacreCapture(base):  # type: ignore[misc]
        """Logs a fit to the job's run."""

        _supports_tf_logs = True  # an older Keras then makes no numbers of tensors for us

        def __init__(self, batch_size: Any) -> None:
            super().__init__()
            self._fit = _Fit(batch_size)

        def on_train_begin(self, logs: Any = None) -> None:
            self._fit.begin(self.model, self.params)

        def on_train_batch_end(self, batch: Any, logs: Any = None) -> None:
            self._fit.batch(batch, logs)

        def on_epoch_end(self, epoch: Any, logs: Any = None) -> None:
            self._fit.epoch(self.model, epoch, logs)

    return NacreCapture


class _Fit:
    """One call of ``fit``."""

    def __init__(self, batch_size: Any) -> None:
        self._batch_size = batch_size
        self._prefix: str | None = None
        self._offset: int | None = None
        self._first = 0  # batch of the epoch, counted over all fits of the model
        self._length = 0
        self._throttle = sink.Throttle()
        self._described = False

    @_guard.careful
    def begin(self, model: Any, params: Any) -> None:
        """Params and the summary."""
        self._prefix = _fits.prefix(model)
        if self._prefix is None:
            return
        self._first = _batches.get(self._prefix, 0)
        found = {
            "epochs": params.get("epochs"),
            "batch_size": self._batch_size,
            "steps": params.get("steps"),
        }
        if self._batch_size is None and params.get("batch_size") is not None:
            found["batch_size"] = params["batch_size"]
        found.update(_optimizer(model))
        found["loss"] = _loss(getattr(model, "loss", None))
        sink.params({key: value for key, value in found.items() if value is not None}, self._prefix)
        self._describe(model)

    def _describe(self, model: Any) -> None:
        """The number of parameters and the summary, once the model is built."""
        if self._described or not getattr(model, "built", False) or self._prefix is None:
            return
        self._described = True
        sink.params({"model": model.name, "parameters": model.count_params()}, self._prefix)
        lines: list[str] = []
        model.summary(print_fn=lambda line, **_: lines.append(str(line)))
        number = "_" + self._prefix[3:-1] if self._prefix else ""
        sink.artifact(f"model_summary{number}.txt", "\n".join(lines) + "\n")

    def batch(self, batch: int, logs: Any) -> None:
        """A point of each metric's curve over batches, now and then. Keras may call from many threads."""
        if batch >= self._length:
            self._length = batch + 1
        if self._throttle.due():
            self._log_batch(batch, logs)

    @_guard.careful
    def _log_batch(self, batch: int, logs: Any) -> None:
        began = time.perf_counter()
        if logs and self._prefix is not None:
            sink.metrics(logs, self._first + batch, f"{self._prefix}batch/")
        self._throttle.spent(began)

    @_guard.careful
    def epoch(self, model: Any, epoch: int, logs: Any) -> None:
        """The metrics of an epoch, as ``fit`` would print them."""
        if self._prefix is None:
            return
        if self._offset is None:
            self._offset = max(0, _epochs.get(self._prefix, 0) - epoch)
        found = dict(logs or {})
        if "learning_rate" not in found and "lr" not in found:
            found["learning_rate"] = _learning_rate(model)
        step = epoch + self._offset
        sink.metrics(found, step, self._prefix)
        _epochs[self._prefix] = step + 1
        self._first += self._length
        self._length = 0
        _batches[self._prefix] = self._first
        self._describe(model)


def _optimizer(model: Any) -> dict[str, Any]:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return {}
    found: dict[str, Any] = {"optimizer": type(optimizer).__name__}
    for key, value in optimizer.get_config().items():
        if key == "name" or value is None:
            continue
        if isinstance(value, dict):  # a schedule
            value = json.dumps(value, default=str)  # noqa: PLW2901 - the same value in words
        found["learning_rate" if key == "learning_rate" else f"optimizer/{key}"] = value
    return found


def _loss(loss: Any) -> str | None:
    if loss is None or isinstance(loss, str):
        return loss
    if isinstance(loss, (list, tuple)):
        return ", ".join(filter(None, map(_loss, loss)))
    if isinstance(loss, dict):
        return ", ".join(f"{key}: {_loss(value)}" for key, value in loss.items())
    return getattr(loss, "__name__", None) or getattr(loss, "name", None) or type(loss).__name__


def _learning_rate(model: Any) -> float | None:
    rate = getattr(getattr(model, "optimizer", None), "learning_rate", None)
    if callable(rate) and not hasattr(rate, "numpy"):  # an older Keras gives the schedule itself
        rate = rate(model.optimizer.iterations)
    value = getattr(rate, "numpy", None)
    return sink.number(value() if callable(value) else rate)
