"""A virtual environment of the work's own, on top of its environment, which nobody can write.

What ``pip install`` and ``uv pip install`` put there is found before what the environment has; to pip the
environment's packages are installed, outside of what it may change. It lies in the home, so that an
instance keeps it, and is made by the work itself: nobody else writes where work could have laid a trap.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from nacre.launcher.folder import Folder
from nacre.launcher.spec import Spec

NAME = ".nacre-venv"
UV = "/opt/nacre-bin/uv"
TEMPLATE = "/opt/nacre-venv"

MAKE = r"""
mkdir -p "$1" && cp -RP --remove-destination "$2/." "$1/"
shift 2
"""
"""The first part of the shell's prelude: the template becomes the environment. Work goes on without."""

_PIP = """\
#!/bin/sh
exec "$(dirname -- "$0")/python" -m pip "$@"
"""
_NO_PIP = """\
#!/bin/sh
exec "$(dirname -- "$0")/uv" pip "$@"
"""


class Overlay(NamedTuple):
    """Where it is, as the command sees it: the environment that it becomes, and the template of that."""

    venv: str
    template: str


def overlay(spec: Spec, folder: Folder, home: str) -> Overlay | None:
    """None when the work has no network to install from, or no environment to install upon."""
    if spec.network == "none" or spec.packages is None or spec.environment is None:
        return None
    return Overlay(f"{home}/{NAME}", TEMPLATE if spec.boxed else template(folder))


def template(folder: Folder) -> str:
    """Where the launcher writes it."""
    return folder.path("etc", "venv")


def variables(spec: Spec, found: Overlay) -> dict[str, str]:
    """What pip and uv are told, and ``NACRE_ENVIRONMENT``: what the virtual environment is on top of."""
    assert spec.environment is not None
    assert spec.packages is not None
    return {
        **spec.packages.variables,
        "VIRTUAL_ENV": found.venv,
        "NACRE_ENVIRONMENT": os.path.normpath(spec.environment),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def write_template(spec: Spec, folder: Folder) -> None:
    """Write it, for anybody to read. Raises OSError."""
    environment = os.path.normpath(spec.environment or "")
    versions = _names(f"{environment}/lib", "python3.")
    if not versions:
        return  # not an environment that we know how to build upon
    version = versions[0]
    below = f"{environment}/lib/{version}/site-packages"
    root = template(folder)
    site = f"{root}/lib/{version}/site-packages"
    for path in (f"{root}/bin", site):
        os.makedirs(path, 0o755, exist_ok=True)
    with open(f"{environment}/pyvenv.cfg", encoding="utf-8") as file:
        _write(f"{root}/pyvenv.cfg", file.read())
    for name in _names(f"{environment}/bin", "python"):
        if os.path.islink(f"{environment}/bin/{name}"):
            _link(os.readlink(f"{environment}/bin/{name}"), f"{root}/bin/{name}")
    lines = [f"import site; site.addsitedir({below!r})"]
    pip = _pip(spec.interpreter or "", version)
    if pip is not None and pip.endswith(".whl"):
        lines.append(pip)
    elif pip is not None:
        os.makedirs(f"{root}/pip", 0o755, exist_ok=True)
        _link(pip, f"{root}/pip/pip")
        lines.append("../../../pip")
    _write(f"{site}/_nacre.pth", "".join(f"{line}\n" for line in lines))
    for name in ("pip", "pip3"):
        _write(f"{root}/bin/{name}", _PIP if pip is not None else _NO_PIP, 0o755)
    if spec.packages is not None and spec.packages.uv is not None:
        _link(UV if spec.boxed else spec.packages.uv, f"{root}/bin/uv")


def _pip(interpreter: str, version: str) -> str | None:
    """The pip that came with the interpreter: it knows that version of Python."""
    places = [
        f"{interpreter}/lib/{version}/site-packages",
        f"{interpreter}/lib/{version}/ensurepip/_bundled",
    ]
    if interpreter == "/usr":  # Debian's
        places = ["/usr/lib/python3/dist-packages", "/usr/share/python-wheels"]
    packages, wheels = places
    if os.path.exists(f"{packages}/pip/__main__.py"):
        return f"{packages}/pip"
    bundled = [name for name in _names(wheels, "pip-") if name.endswith(".whl")]
    return f"{wheels}/{bundled[-1]}" if bundled else None


def _names(folder: str, beginning: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.startswith(beginning))
    except OSError:
        return []


def _write(path: str, text: str, mode: int = 0o644) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def _link(target: str, path: str) -> None:
    if not os.path.lexists(path):
        os.symlink(target, path)
