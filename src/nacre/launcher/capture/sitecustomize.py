"""Python imports this at its start, from the work's site folder: capture begins, then whoever else's
``sitecustomize`` this one stands before has its turn (``start.py``). Short, because it may have no byte
code; and the package ``nacre`` is not imported: an empty program must not wait for it."""

import os

_here = os.path.dirname(os.path.abspath(__file__))
_name = "nacre.launcher.capture.start"
_path = os.path.join(_here, "nacre", "launcher", "capture", "start.py")
_found = {"__name__": _name, "__file__": _path}
exec(type(__loader__)(_name, _path).get_code(_name), _found)  # type: ignore # noqa: S102, PGH003 - our own file
_found["begin"](_here, __loader__)  # type: ignore # noqa: PGH003
