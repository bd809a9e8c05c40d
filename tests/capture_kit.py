"""Programs that run as in a job with capture on, what they report, and an environment of frameworks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacre.plugins.environments.uv import UvEnvironments
from nacre.ports.environments import Source

FRAMEWORKS = (
    "accelerate",
    "keras",
    "lightgbm",
    "lightning",
    "mlflow-skinny",
    "pandas",
    "scikit-learn",
    "tensorboard",
    "torch==2.13.0",
    "transformers",
    "xgboost",
)
"""Requirements of one environment with every framework that capture knows, on one backend."""

RUN_ID = "0123456789abcdef0123456789abcdef"


def build_frameworks(folder: Path) -> Path:
    """The Python of an environment with ``FRAMEWORKS``, built below ``folder`` unless it is there."""
    said: list[str] = []
    port = UvEnvironments(folder)
    lock = port.resolve(Source(requirements="\n".join(FRAMEWORKS)), said.append)
    return Path(port.build(lock, said.append).folder) / "bin" / "python"


@dataclass(frozen=True)
class Reported:
    """What a program printed, and what it logged to its run."""

    done: subprocess.CompletedProcess[str]
    records: list[dict[str, Any]]
    output: Path

    @property
    def params(self) -> dict[str, str]:
        return {r["key"]: r["text"] for r in self.records if r["type"] == "p"}

    @property
    def keys(self) -> list[str]:
        """Of the metrics, in the order of their first points."""
        return list(dict.fromkeys(r["key"] for r in self.records if r["type"] == "m"))

    def curve(self, key: str) -> list[tuple[int, float]]:
        """Steps and values of a metric, as they were logged."""
        found = [r for r in self.records if r["type"] == "m" and r["key"] == key]
        return [(r["step"], r["value"]) for r in found]

    @property
    def complaints(self) -> list[str]:
        """Lines of Nacre's own on the standard error."""
        return [line for line in self.done.stderr.splitlines() if "[nacre]" in line]


@dataclass(frozen=True)
class Job:
    """A folder to work in, and the site folder that jobs have on their path."""

    site: Path
    folder: Path
    python: Path = Path(sys.executable)

    def run(
        self, program: str, *, variables: Mapping[str, str] | None = None, check: bool = True
    ) -> Reported:
        """Run a program with capture on; ``check`` fails the test when it does not exit with 0."""
        script = self.folder / "train.py"
        script.write_text(textwrap.dedent(program))
        track, output = self.folder / "track.jsonl", self.folder / "output"
        output.mkdir(exist_ok=True)
        track.unlink(missing_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(self.site),
            "OMP_NUM_THREADS": "1",
            "NACRE_CAPTURE": "on",
            "NACRE_RUN_ID": RUN_ID,
            "NACRE_TRACK_FILE": str(track),
            "NACRE_OUTPUT_DIR": str(output),
        } | dict(variables or {})
        done = subprocess.run(
            [self.python, script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=280,
        )
        if check:
            assert done.returncode == 0, done.stderr
        lines = track.read_text().splitlines() if track.exists() else []
        return Reported(done, [json.loads(line) for line in lines], output)
