"""MLflow's client: what the program sends to the same run through it is not captured a second time."""

from __future__ import annotations

import functools
import os
from typing import Any

from nacre.launcher.capture.guard import Guard
from nacre.sdk.tracking import captured

_guard = Guard("mlflow")


def patch(module: Any) -> None:
    """Note the keys that pass by."""
    client = module.MlflowClient
    for name, note in (("log_metric", _metric), ("log_param", _param), ("log_batch", _batch)):
        original = getattr(client, name, None)
        if original is not None and not hasattr(original, "nacre"):
            setattr(client, name, _wrap(original, note))


def _wrap(original: Any, note: Any) -> Any:
    @functools.wraps(original)
    def noted(self: Any, run_id: Any, *args: Any, **kwargs: Any) -> Any:
        if run_id == os.environ.get("NACRE_RUN_ID"):
            note(*args, **kwargs)
        return original(self, run_id, *args, **kwargs)

    noted.nacre = True  # type: ignore[attr-defined]
    return noted


@_guard.careful
def _metric(key: Any, *_: Any, **__: Any) -> None:
    captured.claim("m", key)


@_guard.careful
def _param(key: Any, *_: Any, **__: Any) -> None:
    captured.claim("p", key)


@_guard.careful
def _batch(metrics: Any = (), params: Any = (), *_: Any, **__: Any) -> None:
    for metric in metrics:
        captured.claim("m", metric.key)
    for param in params:
        captured.claim("p", param.key)
