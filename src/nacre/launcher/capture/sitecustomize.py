"""Python imports this at its start, from the work's site folder: capture begins, then whoever else's
``sitecustomize`` this one stands before has its turn. The package ``nacre`` is not imported: an empty
program must not wait for it."""

import os
import sys

TYPE_CHECKING = False  # importing ``typing`` would cost more than all the rest
if TYPE_CHECKING:
    from typing import Any


def _run(loader: "Any", name: "str", path: "str") -> "dict[str, Any]":
    """The names of a file, read as this one was (so from its byte code where there is some)."""
    found = {"__name__": name, "__file__": path}  # type: dict[str, Any]
    exec(type(loader)(name, path).get_code(name), found)  # noqa: S102 - our own file
    return found


def _capture(here: "str", loader: "Any") -> None:
    folder = os.path.join(here, "nacre", "launcher", "capture")

    def load(name: "str") -> "dict[str, Any]":
        return _run(loader, "nacre.launcher.capture." + name, os.path.join(folder, name + ".py"))

    load("start")["start"](os.environ, load)


def _others(here: "str") -> "Any":
    """The module that Python would have taken without this one, or None."""
    rest = [path for path in sys.path if os.path.abspath(path) != here]
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find("sitecustomize", rest) if find is not None else None
        if spec is not None and spec.loader is not None:
            return spec
    return None


def _chain(here: "str") -> None:
    spec = _others(here)
    if spec is None:
        return
    module = spec.loader.create_module(spec) or type(sys)("sitecustomize")
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)  # what it raises is Python's to report, as ever


_here = os.path.dirname(os.path.abspath(__file__))
try:
    if os.environ.get("NACRE_RUN_ID") or os.environ.get("NACRE_DATASET_MANIFEST"):
        _capture(_here, __loader__)  # type: ignore[name-defined]
except Exception as error:
    print(f"[nacre] nothing is captured: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
_chain(_here)
