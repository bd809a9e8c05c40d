"""Nacre: a deep-learning cloud that you own.

Inside a job or a notebook::

    import nacre
    nacre.log_param("lr", 1e-3)
    nacre.log_metric("loss", 0.12, step=40)

From anywhere::

    client = nacre.Client()
    client.jobs.list()

Names are loaded on first use: importing the package costs next to nothing and needs no dependency, so it
works in every environment. Modules of Nacre never import this package root's names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nacre.sdk.client import Client as Client
    from nacre.sdk.track import (
        end_run as end_run,
    )
    from nacre.sdk.track import (
        log_artifact as log_artifact,
    )
    from nacre.sdk.track import (
        log_confusion_matrix as log_confusion_matrix,
    )
    from nacre.sdk.track import (
        log_figure as log_figure,
    )
    from nacre.sdk.track import (
        log_image as log_image,
    )
    from nacre.sdk.track import (
        log_metric as log_metric,
    )
    from nacre.sdk.track import (
        log_metrics as log_metrics,
    )
    from nacre.sdk.track import (
        log_model as log_model,
    )
    from nacre.sdk.track import (
        log_param as log_param,
    )
    from nacre.sdk.track import (
        log_params as log_params,
    )
    from nacre.sdk.track import (
        log_table as log_table,
    )
    from nacre.sdk.track import (
        log_text as log_text,
    )
    from nacre.sdk.track import (
        set_tag as set_tag,
    )
    from nacre.sdk.track import (
        start_run as start_run,
    )

__version__ = "0.1.0"

_HOMES = {
    "Client": "nacre.sdk.client",
    "end_run": "nacre.sdk.track",
    "log_artifact": "nacre.sdk.track",
    "log_confusion_matrix": "nacre.sdk.track",
    "log_figure": "nacre.sdk.track",
    "log_image": "nacre.sdk.track",
    "log_metric": "nacre.sdk.track",
    "log_metrics": "nacre.sdk.track",
    "log_model": "nacre.sdk.track",
    "log_param": "nacre.sdk.track",
    "log_params": "nacre.sdk.track",
    "log_table": "nacre.sdk.track",
    "log_text": "nacre.sdk.track",
    "set_tag": "nacre.sdk.track",
    "start_run": "nacre.sdk.track",
}

__all__ = ["Client", "__version__", *sorted(set(_HOMES) - {"Client"})]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return found
    raise AttributeError(f"module 'nacre' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
