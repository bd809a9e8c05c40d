"""Environments by uv, as a subprocess. The recipe and its traps: ``docs/decisions/uv.md``."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from blake3 import blake3

from nacre.domain.requirements import lacking, logical_lines, pins
from nacre.errors import InvalidSpec, NacreError, PluginError
from nacre.plugins.environments import sources
from nacre.plugins.environments.bytecode import Bytecode
from nacre.plugins.environments.explain import is_network, to_error
from nacre.plugins.environments.files import locked, open_to_all
from nacre.plugins.environments.indexes import read_indexes
from nacre.plugins.environments.machine import (
    Python,
    ask_python,
    find_python,
    has_nvidia,
    own_python,
    torch_wheel,
)
from nacre.plugins.environments.pip_settings import uv_variables
from nacre.plugins.environments.program import Uv
from nacre.ports.environments import Built, Environments, Indexed, Indexes, Lock, Log, Source

_MARK = ".nacre.json"
_BACKEND = re.compile(r"^# torch-backend: (\w+)$", re.MULTILINE)
_WHEELS_ONLY = ["--only-binary", ":all:"]


class UvEnvironments(Environments, Indexed):
    """Environments under ``root``, one folder per digest.

    ``variables`` are the server's environment variables; uv gets only what it needs of them. Beside the
    environments lie uv's cache (one file system: files are hard links), locks, and what is being built.
    """

    def __init__(self, root: Path, variables: Mapping[str, str] | None = None) -> None:
        self.root = root
        given = os.environ if variables is None else variables
        self._variables = uv_variables(given) | {
            "UV_CACHE_DIR": str(root / ".cache"),
            "UV_PYTHON_INSTALL_DIR": str(root / ".pythons"),
            "UV_NO_PROGRESS": "1",
            "NO_COLOR": "1",
        }
        self._given = given
        self._uv = Uv(self._variables)
        self._bytecode = Bytecode(root / ".bytecode")
        self._gpu = has_nvidia()

    def resolve(self, source: Source, log: Log) -> Lock:
        """Exact versions for the requirements."""
        python = self._python(source.python, log)
        if source.lock is not None:
            text = source.lock
            if sources.is_uv_lock(text):
                text = self._export(text, python, log)
            return self._lock(sources.from_lock(text), python)
        if source.pyproject is not None:
            wanted = sources.from_pyproject(source.pyproject)
        else:
            wanted = sources.from_requirements(source.requirements or "")
        for note in wanted.notes:
            log(note)
        return self._lock(self._compile(wanted.lines, wanted.options, python, log), python)

    def extend(self, lock: Lock, requirements: list[str], log: Log) -> Lock:
        """The lock with more packages; the same lock when it has them already."""
        if not lacking(lock.text, requirements):
            return lock
        python = self._python(lock.python, log)
        more = sources.from_requirements("\n".join(requirements))
        kept = [re.sub(r"\s--hash=\S+", "", line).strip() for line in logical_lines(lock.text)]
        options = [line for line in kept if line.startswith("-")]
        lines = [line for line in kept if not line.startswith("-")]
        text = self._compile([*lines, *more.lines], [*options, *more.options], python, log)
        if pins(text) == pins(lock.text):
            return lock
        return self._lock(text, python)

    def find(self, digest: str) -> Built | None:
        """The finished environment, if it is there."""
        folder = self._folder(digest)
        try:
            mark = json.loads((folder / _MARK).read_text())
        except (OSError, ValueError):
            return None
        if not (folder / "bin" / "python").exists():  # the Python that it was made with is gone
            return None
        return Built(digest, str(folder), mark["interpreter"], mark["size"], mark["seconds"])

    def build(self, lock: Lock, log: Log) -> Built:
        """The environment, built now when it is not there."""
        found = self.find(lock.digest)
        if found is not None:
            log("it is there already")
            return found
        self._prepare_root()
        with locked(self._lock_file(lock.digest), log) as held:
            found = self.find(lock.digest)
            if found is not None:
                log("another builder has built it")
                return found
            return self._build(lock, held, log)

    def delete(self, digest: str) -> None:
        """Remove it; no error when it is absent."""
        folder = self._folder(digest)
        if not folder.exists():
            return
        self._prepare_root()
        with locked(self._lock_file(digest), lambda _: None):
            self._remove(folder)

    def indexes(self) -> Indexes:
        """What pip and uv of this server are told, and this uv."""
        return read_indexes(self._given, self._uv.path)

    def _folder(self, digest: str) -> Path:
        assert re.fullmatch(r"[0-9a-f]{64}", digest), digest
        return self.root / digest

    def _lock_file(self, digest: str) -> Path:
        return self.root / ".locks" / digest

    def _prepare_root(self) -> None:
        for folder in (self.root, *(self.root / name for name in (".building", ".locks", ".cache"))):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o755)

    def _remove(self, folder: Path) -> None:
        """Out of sight in one step, then gone."""
        doomed = self.root / ".building" / f"{folder.name}-{secrets.token_hex(4)}"
        try:
            folder.rename(doomed)
        except FileNotFoundError:
            return
        shutil.rmtree(doomed, ignore_errors=True)

    def _python(self, minor: str | None, log: Log) -> Python:
        if minor is None:
            return own_python()
        found = find_python(minor, self._variables)
        if found is None:
            log(f"Python {minor} is not installed; asking uv to install it")
            code, _ = self._uv.run(["python", "install", minor], log)
            if code == 0:
                _, said = self._uv.run(["python", "find", "--managed-python", minor], lambda _: None)
                found = ask_python(Path(said[-1]), self._variables) if said else None
        if found is None:
            own = own_python().minor
            raise InvalidSpec(
                f"there is no Python {minor} on this machine and it could not be downloaded: "
                f"install it and build the environment again, or make one for Python {own}",
                python=minor,
            )
        return found

    def _lock(self, text: str, python: Python) -> Lock:
        covered = [text, python.minor, sysconfig.get_platform(), self._uv.minor, "1"]
        return Lock(text, python.minor, blake3("\0".join(covered).encode()).hexdigest())

    def _compile(self, lines: list[str], options: list[str], python: Python, log: Log) -> str:
        """Resolve. torch is taken from a local wheel that fits, else from the index that has one for this
        machine: the one on PyPI brings 5 GB of CUDA to machines that have no GPU."""
        wheel = torch_wheel(self._variables.get("UV_FIND_LINKS", ""), python.minor, self._gpu)
        backend = "auto" if self._gpu else "cpu"
        first: NacreError | None = None
        if wheel is not None:
            code, said, text = self._try(lines, options, python, log, constraint=f"torch=={wheel}")
            if code == 0:
                _warn_of_mixed_builds(pins(text), log)
                return text
            first = to_error("resolving", said, code)
            if f"torch=={wheel}" not in "\n".join(said):
                raise first
            log(f"torch {wheel} of the local wheels does not fit; trying PyTorch's index")
        code, said, text = self._try(lines, options, python, log, backend=backend)
        if code == 0:
            return text
        if first is not None and is_network(said):
            raise InvalidSpec(f"{first.detail} (torch {wheel} is the one that this machine has)")
        if self._gpu and is_network(said):
            log("PyTorch's index cannot be reached; trying without it")
            code, said, text = self._try(lines, options, python, log)
            if code == 0:
                return text
        raise to_error("resolving", said, code)

    def _try(
        self,
        lines: list[str],
        options: list[str],
        python: Python,
        log: Log,
        *,
        constraint: str | None = None,
        backend: str | None = None,
    ) -> tuple[int, list[str], str]:
        self._prepare_root()
        with tempfile.TemporaryDirectory(dir=self.root / ".building", prefix="resolve-") as name:
            folder = Path(name)
            (folder / "requirements.in").write_text("\n".join([*options, *lines]) + "\n")
            command = ["pip", "compile", "--python", python.program, "--generate-hashes", "--quiet"]
            command += ["--no-header", "--no-annotate", *_WHEELS_ONLY, "-o", "requirements.lock"]
            if constraint is not None:
                (folder / "constraints.txt").write_text(constraint + "\n")
                command += ["-c", "constraints.txt"]
            if backend is not None:
                command += ["--torch-backend", backend]
            code, said = self._uv.run([*command, "requirements.in"], log, cwd=folder)
            text = (folder / "requirements.lock").read_text() if code == 0 else ""
        header = [f"# torch-backend: {backend}"] if backend and "torch" in pins(text) else []
        return code, said, "\n".join([*header, *options, text])

    def _export(self, text: str, python: Python, log: Log) -> str:
        """A ``uv.lock`` as requirements; uv wants a project beside it."""
        root = sources.uv_lock_root(text)
        self._prepare_root()
        with tempfile.TemporaryDirectory(dir=self.root / ".building", prefix="export-") as name:
            folder = Path(name)
            (folder / "uv.lock").write_text(text)
            project = f'[project]\nname = "{root}"\nversion = "0"\nrequires-python = ">=3.8"\n'
            (folder / "pyproject.toml").write_text(project)
            command = ["export", "--frozen", "--no-emit-project", "--no-default-groups", "--no-header"]
            command += ["--no-annotate", "--quiet", "--python", python.program, "-o", "out.txt"]
            code, said = self._uv.run(command, log, cwd=folder)
            if code != 0:
                error = to_error("reading the lock", said, code)
                raise InvalidSpec(error.detail) from error
            return (folder / "out.txt").read_text()

    def _build(self, lock: Lock, held: int, log: Log) -> Built:
        began = time.monotonic()
        python = self._python(lock.python, log)
        building = self.root / ".building"
        for leftover in building.glob(f"{lock.digest}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        self._remove(self._folder(lock.digest))
        folder = building / f"{lock.digest}-{secrets.token_hex(4)}"
        try:
            self._fill(folder, lock, python, held, log)
            size = open_to_all(folder)
            seconds = round(time.monotonic() - began, 3)
            mark = {"digest": lock.digest, "python": lock.python, "interpreter": python.base}
            (folder / _MARK).write_text(json.dumps(mark | {"size": size, "seconds": seconds}))
            (folder / _MARK).chmod(0o644)
            os.sync()  # after a power cut it must not be there with empty files in it
            folder.rename(self._folder(lock.digest))
        except OSError as error:
            raise PluginError(f"the environment could not be written: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return Built(lock.digest, str(self._folder(lock.digest)), python.base, size, seconds)

    def _fill(self, folder: Path, lock: Lock, python: Python, held: int, log: Log) -> None:
        command = ["venv", "--relocatable", "--no-project", "--quiet", "--python", python.program]
        # the lock stays held by uv itself, should this process be killed while uv goes on
        code, said = self._uv.run([*command, str(folder)], log, keep=held)
        if code != 0:
            raise to_error("making the environment", said, code)
        file = folder / "environment.lock"
        file.write_text(lock.text)
        command = ["pip", "sync", "--python", str(folder / "bin" / "python"), "--require-hashes"]
        command += [*_WHEELS_ONLY, "--link-mode", "hardlink"]
        if backend := _BACKEND.search(lock.text):
            command += ["--torch-backend", backend[1]]
        code, said = self._uv.run([*command, str(file)], log, keep=held)
        if code != 0:
            raise to_error("building", said, code)
        compiled = self._bytecode.warm(folder, lock.python, self._variables)
        if compiled:
            log(f"Compiled {compiled} modules")


def _warn_of_mixed_builds(found: dict[str, str], log: Log) -> None:
    """PyPI's torchvision is linked to CUDA's torch and does not import with another."""
    for name in ("torchvision", "torchaudio"):
        if name in found and "+" in found["torch"] and "+" not in found[name]:
            log(f"warning: {name} {found[name]} may not import with torch {found['torch']}: builds differ")
