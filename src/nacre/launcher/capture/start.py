"""What is watched in this process, decided from its environment variables at its start.

Run by ``sitecustomize.py`` before anything is imported: ``os`` and ``sys`` only, which Python has by then.
"""

import os
import sys

TYPE_CHECKING = False  # importing ``typing`` would cost more than all the rest
if TYPE_CHECKING:
    from typing import Any

_HERE = "nacre.launcher.capture."

# Where values pass by in each framework, and the module here that stands there.
WATCHED = {
    "keras.src.callbacks.callback_list": "keras",  # Keras 3
    "keras.src.callbacks": "keras",  # 2.13 to 2.15
    "keras.callbacks": "keras",  # to 2.12
    "tf_keras.src.callbacks": "keras",
    "tensorflow.python.keras.callbacks": "keras",  # TensorFlow to 2.5
    "lightning.pytorch.loggers.utilities": "lightning",
    "lightning.pytorch.trainer.connectors.logger_connector.logger_connector": "lightning",
    "pytorch_lightning.loggers.utilities": "lightning",
    "pytorch_lightning.trainer.connectors.logger_connector.logger_connector": "lightning",
    "transformers.trainer_callback": "transformers",
    "sklearn.base": "sklearn",
    "sklearn.model_selection._validation": "sklearn",
    "xgboost.callback": "xgboost",
    "lightgbm.engine": "lightgbm",
    "mlflow.tracking.client": "mlflow",
}

# The finder of data sets that frameworks load by name (``datasets.py``).
DATASETS = {
    "keras.src.utils.file_utils": "datasets",  # Keras 3
    "keras.src.utils.data_utils": "datasets",  # 2.13 to 2.15
    "keras.utils.data_utils": "datasets",  # to 2.12
    "tf_keras.src.utils.data_utils": "datasets",
    "mxnet.gluon.utils": "datasets",
    "torchvision.datasets.utils": "datasets",
    "paddle.dataset.common": "datasets",
}


def captures(variables: "Any") -> "bool":
    """Whether this process reports to a run: in a job, with capture on, as the first of its replicas.

    Frameworks of many processes report the same values in each; they are taken from the one of rank 0.
    """
    return (
        variables.get("NACRE_CAPTURE") == "on"
        and bool(variables.get("NACRE_RUN_ID"))
        and bool(variables.get("NACRE_TRACK_FILE"))
        and all(variables.get(name) in (None, "", "0") for name in ("NACRE_RANK", "RANK", "LOCAL_RANK"))
    )


def start(variables: "Any", load: "Any") -> None:
    """Begin to watch, when there is something to watch for.

    Args:
        variables: the process's environment variables.
        load: gives the names of a neighbouring file without importing the package ``nacre``.
    """
    watched = dict(WATCHED) if captures(variables) else {}
    if variables.get("NACRE_DATASET_MANIFEST"):
        watched.update(DATASETS)
    if variables.get("NACRE_RUN_ID") and variables.get("MLFLOW_RUN_ID") == variables.get("NACRE_RUN_ID"):
        watched["mlflow.tracking.fluent"] = "mlflow_run"
    if watched:
        load("hook")["install"]({name: _HERE + patcher for name, patcher in watched.items()})


def begin(here: "str", loader: "Any") -> None:
    """Start what this process needs; then run the ``sitecustomize`` that ours stands before.

    Args:
        here: our folder, on ``sys.path``.
        loader: what loaded our ``sitecustomize``; it reads from byte code where there is some.
    """

    def load(name: "str") -> "dict[str, Any]":
        path = os.path.join(here, "nacre", "launcher", "capture", name + ".py")
        found = {"__name__": _HERE + name, "__file__": path}  # type: dict[str, Any]
        exec(type(loader)(_HERE + name, path).get_code(_HERE + name), found)  # noqa: S102 - our own file
        return found

    _stack(os.environ)
    try:
        start(os.environ, load)
    except Exception as error:
        print(f"[nacre] nothing is captured: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
    _chain(here)


def _stack(variables: "Any") -> None:
    """In the work's environment itself: find what was installed on top of it too, and first.

    The programs of that environment, such as ``torchrun`` and ``pytest``, run from below.
    """
    top = variables.get("VIRTUAL_ENV")
    if not top or top == sys.prefix or variables.get("NACRE_ENVIRONMENT") != sys.prefix:
        return
    import site  # noqa: PLC0415 - most processes have no use for it, or have it already

    path = "%s/lib/python%d.%d/site-packages" % ((top,) + sys.version_info[:2])  # noqa: RUF005, UP031 - Python 3.6
    own = [place for place in sys.path if place.startswith(sys.prefix + os.sep)]
    if own and os.path.isdir(path):
        site.addsitedir(path)
        sys.path.remove(path)
        sys.path.insert(sys.path.index(own[0]), path)


def _chain(here: "str") -> None:
    spec = _others(here)
    if spec is None:
        return
    module = spec.loader.create_module(spec) or type(sys)("sitecustomize")
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)  # what it raises is Python's to report, as ever


def _others(here: "str") -> "Any":
    """The module that Python would have taken without this one, or None."""
    rest = [path for path in sys.path if os.path.abspath(path) != here]
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find("sitecustomize", rest) if find is not None else None
        if spec is not None and spec.loader is not None:
            return spec
    return None
