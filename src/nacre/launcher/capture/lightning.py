"""Lightning, as ``lightning`` or ``pytorch_lightning``: what its loggers get, also where there are none."""

from __future__ import annotations

import functools
import weakref
from typing import Any

from nacre.launcher.capture import nesting, sink
from nacre.launcher.capture.guard import Guard

_guard = Guard("lightning", "pytorch")
_fits = sink.Fits()
_begun: weakref.WeakSet[Any] = weakref.WeakSet()


def patch(module: Any) -> None:
    """Look over the shoulder of the two places that talk to loggers."""
    if module.__name__.endswith(".utilities"):
        _patch_hyperparameters(module)
    else:
        _patch_metrics(module._LoggerConnector)


def _patch_hyperparameters(module: Any) -> None:
    original = getattr(module, "_log_hyperparams", None)
    if original is None or hasattr(original, "nacre"):
        return

    @functools.wraps(original)
    def captured(trainer: Any) -> Any:
        _begin(trainer)
        return original(trainer)

    captured.nacre = True  # type: ignore[attr-defined]
    module._log_hyperparams = captured


def _patch_metrics(connector: Any) -> None:
    original = connector.log_metrics
    if hasattr(original, "nacre"):
        return

    @functools.wraps(original)
    def captured(self: Any, metrics: Any, step: Any = None) -> Any:
        before = dict(metrics) if metrics else {}
        result = original(self, metrics, step)
        if before:  # after the program's loggers: what they send to the same run is theirs
            _log(self.trainer, before, step)
        return result

    captured.nacre = True  # type: ignore[attr-defined]
    connector.log_metrics = captured


def _listens(trainer: Any) -> bool:
    return bool(trainer.is_global_zero) and not _guard.silent() and nesting.counts()


@_guard.careful
def _begin(trainer: Any) -> None:
    """Params, when a fit begins."""
    if not _listens(trainer) or trainer in _begun or not trainer.training:
        return
    prefix = _fits.prefix(trainer)
    if prefix is None:
        return
    _begun.add(trainer)
    module = trainer.lightning_module
    found: dict[str, Any] = {
        "model": type(module).__name__,
        "parameters": sum(p.numel() for p in module.parameters()),
        "max_epochs": trainer.max_epochs,
        "precision": trainer.precision,
    }
    for key in ("max_steps", "accumulate_grad_batches", "gradient_clip_val"):
        value = getattr(trainer, key, None)
        if value not in (None, -1, 1):
            found[key] = value
    for optimizer in trainer.optimizers[:1]:
        found["optimizer"] = type(optimizer).__name__
        for key, value in optimizer.defaults.items():
            found["learning_rate" if key == "lr" else f"optimizer/{key}"] = value
    for owner in (getattr(trainer, "datamodule", None), module):
        found.update(_flat(dict(getattr(owner, "hparams", None) or {})))
    sink.params(found, prefix)


def _flat(values: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{before}{key}/"))
        else:
            found[f"{before}{key}"] = value
    return found


def _writes_events(logger: Any) -> bool:
    return type(logger).__name__ == "TensorBoardLogger" and sink.followed(logger.log_dir)


@_guard.careful
def _log(trainer: Any, values: dict[str, Any], step: Any) -> None:
    if not _listens(trainer):
        return
    prefix = _fits.prefix(trainer)
    if prefix is None:
        return
    _begin(trainer)
    if any(_writes_events(logger) for logger in trainer.loggers):
        return
    if step is None:
        given = sink.number(values.pop("step", None))
        if given is None:
            values.setdefault("epoch", trainer.current_epoch)
            step = trainer.fit_loop.epoch_loop._batches_that_stepped
        else:
            step = int(given)
    sink.metrics(values, step, prefix)
