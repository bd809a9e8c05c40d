"""``mlflow.set_experiment`` in a job: the job's run is in its experiment already, and goes on being used.

MLflow's client refuses to go on with the run of ``MLFLOW_RUN_ID`` when the program has chosen another
experiment than the run's. Here that choice moves the job's run there, where the server allows it; else the
run stays where it is, and the log says so. Runs that it begins later are in the chosen experiment.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from typing import Any

from nacre.sdk.settings import find_connection
from nacre.sdk.tracking.wire import Wire

_NAME = "MLFLOW_EXPERIMENT_NAME"


def patch(module: Any) -> None:
    """``module``: ``mlflow.tracking.fluent``, before the package takes these names from it."""
    ours = os.environ.get(_NAME)
    for name, wrap in (("set_experiment", _chosen), ("start_run", _started)):
        original = getattr(module, name, None)
        if original is not None and not hasattr(original, "nacre"):
            wrapped = wrap(original, module, ours)
            wrapped.nacre = True
            setattr(module, name, wrapped)


def _chosen(original: Any, _module: Any, ours: str | None) -> Any:
    @functools.wraps(original)
    def set_experiment(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        # The client tells child processes by an id, and would refuse one that contradicts our name.
        if ours is not None and os.environ.get(_NAME) == ours:
            del os.environ[_NAME]
        return found

    return set_experiment


def _started(original: Any, module: Any, _ours: str | None) -> Any:
    @functools.wraps(original)
    def start_run(run_id: Any = None, *args: Any, **kwargs: Any) -> Any:
        job_run = os.environ.get("NACRE_RUN_ID")
        chosen = getattr(module, "_active_experiment_id", None)
        if run_id or chosen is None or job_run is None or os.environ.get("MLFLOW_RUN_ID") != job_run:
            return original(run_id, *args, **kwargs)
        try:
            if _fits(module, job_run, chosen):
                return original(run_id, *args, **kwargs)
            module._active_experiment_id = None
            return original(run_id, *args, **kwargs)
        finally:
            module._active_experiment_id = chosen

    return start_run


def _fits(module: Any, run: str, chosen: str) -> bool:
    """Whether the run is in the experiment, where it is moved if need be."""
    client = module.MlflowClient()
    if client.get_run(run).info.experiment_id == chosen:
        return True
    name = client.get_experiment(chosen).name
    try:
        found = find_connection()
        body = json.dumps({"experiment": name}).encode()
        Wire(found.url, found.token or "").call(
            "PATCH", f"/api/v1/projects/{found.project}/runs/{run}", body
        )
    except Exception as error:
        line = f"[nacre] this job's run stays in its experiment; runs after it are in {name!r}: {error}"
        print(" ".join(line.split())[:400], file=sys.stderr, flush=True)  # noqa: T201 - the job's log
        return False
    return bool(client.get_run(run).info.experiment_id == chosen)
