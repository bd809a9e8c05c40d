"""Converters run as in a job: in an environment of the catalogue, built by uv, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import nacre
from nacre.plugins.environments.uv import UvEnvironments
from nacre.ports.environments import Source
from nacre.services.catalogue import catalogue

_SOURCE = Path(nacre.__file__).parents[1]


@dataclass(frozen=True)
class Framework:
    """A catalogue environment, and a folder to work in: the code's, as a job sees it."""

    python: Path
    folder: Path

    def script(self, text: str, name: str = "train.py") -> None:
        """Write a training script and run it, as the job did that made the model."""
        (self.folder / name).write_text(textwrap.dedent(text))
        done = self._run(name)
        assert done.returncode == 0, done.stderr

    def convert(self, framework: str, *arguments: str) -> Converted:
        """Run a converter."""
        for name in ("model.onnx", "conversion.json"):
            (self.folder / "output" / name).unlink(missing_ok=True)
        done = self._run("-m", f"nacre.workloads.convert_{framework}", *arguments)
        return Converted(done, self.folder / "output")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "output").mkdir(exist_ok=True)
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "PYTHONPATH": str(_SOURCE),
                "PYTHONDONTWRITEBYTECODE": "1",
                "NACRE_OUTPUT_DIR": str(self.folder / "output"),
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            check=False,
            text=True,
            timeout=280,
        )


@dataclass(frozen=True)
class Converted:
    """What a converter left, and what it said."""

    done: subprocess.CompletedProcess[str]
    output: Path

    @property
    def log(self) -> str:
        return self.done.stdout + self.done.stderr

    @property
    def signature(self) -> dict[str, Any]:
        assert self.done.returncode == 0, self.log
        found: dict[str, Any] = json.loads((self.output / "conversion.json").read_text())["signature"]
        return found

    @property
    def inputs(self) -> list[tuple[str, str, list[int]]]:
        """Name, datatype and shape of each input."""
        return [(t["name"], t["datatype"], t["shape"]) for t in self.signature["inputs"]]

    @property
    def refusal(self) -> str:
        """The sentence with which it refused."""
        assert self.done.returncode == 2, self.log
        assert not (self.output / "conversion.json").exists()
        last = self.done.stderr.strip().splitlines()[-1]
        assert last.startswith("error: ")
        return last.removeprefix("error: ")

    def answers_as(self, expected: Path) -> None:
        """ONNX Runtime's answers are the framework's: ``.npz`` with ``in_NAME`` and ``out_NAME`` arrays, of
        another number of samples than the converter tried."""
        assert self.done.returncode == 0, self.log
        with np.load(expected) as arrays:
            given = {k.removeprefix("in_"): arrays[k] for k in arrays.files if k.startswith("in_")}
            wanted = {k.removeprefix("out_"): arrays[k] for k in arrays.files if k.startswith("out_")}
        session = onnxruntime.InferenceSession(str(self.output / "model.onnx"))
        for name, answer in zip(wanted, session.run(list(wanted), given), strict=True):
            if wanted[name].dtype.kind == "f":
                np.testing.assert_allclose(answer, wanted[name], rtol=1e-3, atol=1e-4)
            else:
                assert np.asarray(answer).astype(wanted[name].dtype).tolist() == wanted[name].tolist()


@pytest.fixture(scope="session")
def frameworks() -> Iterator[Callable[[str], Path]]:
    """Builds an environment of the catalogue and gives its Python. ``NACRE_TEST_ENVIRONMENTS`` names a
    folder that keeps them between runs."""
    kept = os.environ.get("NACRE_TEST_ENVIRONMENTS")
    # not in pytest's own folder, which keeps the gigabytes of three runs
    folder = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="nacre-frameworks-"))
    port = UvEnvironments(folder)

    def build(name: str) -> Path:
        said: list[str] = []
        lock = port.resolve(
            Source(requirements="\n".join(catalogue(False)[name].requirements)), said.append
        )
        return Path(port.build(lock, said.append).folder) / "bin" / "python"

    yield build
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pytorch(frameworks: Callable[[str], Path], tmp_path: Path) -> Framework:
    return Framework(frameworks("pytorch"), tmp_path)


@pytest.fixture
def sklearn(frameworks: Callable[[str], Path], tmp_path: Path) -> Framework:
    return Framework(frameworks("sklearn"), tmp_path)


@pytest.fixture
def keras(frameworks: Callable[[str], Path], tmp_path: Path) -> Framework:
    return Framework(frameworks("keras"), tmp_path)
