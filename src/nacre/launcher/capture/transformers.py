"""Transformers' Trainer: a callback of ours joins those of every trainer, as the last one."""

from __future__ import annotations

import dataclasses
import enum
import functools
import weakref
from typing import Any

from nacre.launcher.capture import nesting, sink
from nacre.launcher.capture.guard import Guard

_guard = Guard("transformers", "transformers")
_fits = sink.Fits()
_ALWAYS = (
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "weight_decay",
    "lr_scheduler_type",
    "warmup_steps",
    "optim",
    "seed",
)
_PLAIN = (str, int, float, dict, list, tuple, enum.Enum)
_NEVER = ("output_dir", "logging_dir", "run_name", "hub_token", "push_to_hub_token", "report_to", "_n_gpu")


def patch(module: Any) -> None:
    """Let every handler of callbacks have ours."""
    handler = module.CallbackHandler
    if hasattr(handler.__init__, "nacre"):
        return
    ours = _make(module.TrainerCallback)
    init = handler.__init__

    @functools.wraps(init)
    def captured(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        _join(self, ours)

    captured.nacre = True  # type: ignore[attr-defined]
    handler.__init__ = captured


@_guard.careful
def _join(handler: Any, ours: Any) -> None:
    if not _guard.silent():
        handler.callbacks.append(ours(handler))


def _make(base: Any) -> Any:
    class NacreCapture(base):  # type: ignore[misc]
        """Logs a trainer to the job's run."""

        def __init__(self, handler: Any) -> None:
            self._handler = weakref.ref(handler)
            self.prefix: str | None = None

        @_guard.careful
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if not _listens(state):
                return
            self.prefix = _fits.fresh()
            if self.prefix is not None:
                sink.params(_params(args, kwargs.get("model")), self.prefix)

        @_guard.careful
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if _listens(state) and logs and not _writes_events(self._handler()):
                if self.prefix is None:  # evaluated without training
                    self.prefix = _fits.fresh()
                if self.prefix is not None:
                    sink.metrics(logs, state.global_step, self.prefix)

    return NacreCapture


def _writes_events(handler: Any) -> bool:
    """Whether the same values go to an event file that is followed."""
    for callback in getattr(handler, "callbacks", ()):
        writer = getattr(callback, "tb_writer", None)
        if type(callback).__name__ == "TensorBoardCallback" and writer is not None:
            return sink.followed(getattr(writer, "logdir", None) or getattr(writer, "log_dir", None))
    return False


def _listens(state: Any) -> bool:
    return bool(state.is_world_process_zero) and not _guard.silent() and nesting.counts()


def _params(args: Any, model: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if model is not None:
        found["model"] = type(model).__name__
        found["parameters"] = sum(p.numel() for p in model.parameters())
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        changed = _plain(value) != _plain(default) and "token" not in field.name
        wanted = field.name in _ALWAYS or (changed and field.name not in _NEVER)
        if wanted and (value is None or isinstance(value, _PLAIN)):
            found[field.name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value
