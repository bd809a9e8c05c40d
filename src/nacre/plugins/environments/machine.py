"""What this machine has: GPUs, local wheels, Pythons."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ASK = "import json, sys; print(json.dumps([list(sys.version_info[:2]), sys.base_prefix]))"


def has_nvidia() -> bool:
    """Whether the NVIDIA driver is loaded."""
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia/version").exists()


def torch_wheel(find_links: str, minor: str, gpu: bool) -> str | None:
    """The newest torch of the local find-links folders that fits this Python and machine.

    Returns:
        Its version with local label, such as ``2.13.0+cpu``; null when there is none. A CPU build does
        not fit a machine with a GPU, nor a GPU build one without.
    """
    tag = f"cp{minor.replace('.', '')}"
    machine = platform.machine()
    found: list[tuple[tuple[int, ...], str]] = []
    for folder in find_links.split(","):
        path = Path(folder.strip().removeprefix("file://"))
        if not folder.strip() or not path.is_dir():
            continue
        for wheel in path.glob("torch-*.whl"):
            match = re.match(r"torch-([^-]+)-(?:[^-]+-)?([^-]+)-([^-]+)-([^-]+)\.whl$", wheel.name)
            if match is None or tag not in match[2].split(".") or machine not in match[4]:
                continue
            public, _, label = match[1].partition("+")
            if label and (label == "cpu") == gpu:
                continue
            numbers = tuple(int(n) for n in re.findall(r"\d+", public))
            found.append((numbers, match[1]))
    return max(found)[1] if found else None


@dataclass(frozen=True)
class Python:
    """An interpreter: ``minor`` such as ``3.11``, its program, and its base folder."""

    minor: str
    program: str
    base: str


def own_python() -> Python:
    """The base interpreter of the Python that runs this."""
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    base = Path(sys.base_prefix).resolve()
    program = base / "bin" / f"python{minor}"
    return Python(minor, str(program if program.exists() else Path(sys.executable)), str(base))


def find_python(minor: str, variables: Mapping[str, str]) -> Python | None:
    """An interpreter of that minor version: on PATH, or installed beside our own."""
    own = own_python()
    if minor == own.minor:
        return own
    name = f"python{minor}"
    candidates = [Path(folder) / name for folder in variables.get("PATH", "").split(":") if folder]
    # version managers (pyenv, uv) keep their Pythons side by side; pyenv's shims on PATH refuse to run
    candidates += sorted(Path(own.base).parent.glob(f"*{minor}*/bin/{name}"), reverse=True)
    for candidate in candidates:
        found = ask_python(candidate, variables) if candidate.is_file() else None
        if found is not None and found.minor == minor:
            return found
    return None


def ask_python(program: Path, variables: Mapping[str, str]) -> Python | None:
    """What an interpreter says of itself; null when it does not run."""
    try:
        said = subprocess.run(
            [str(program), "-I", "-c", _ASK],
            env=dict(variables),
            capture_output=True,
            timeout=20,
            check=True,
            text=True,
        ).stdout
        version, base = json.loads(said)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    folder = Path(base).resolve()
    minor = f"{version[0]}.{version[1]}"
    real = folder / "bin" / f"python{minor}"
    return Python(minor, str(real if real.exists() else program), str(folder))
