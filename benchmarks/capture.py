"""What capture costs: the same programs with it and without it, in turns.

    python benchmarks/capture.py [--rounds 7] [--only keras]

Three programs: a training with Keras (torch), one with scikit-learn, and one that does nothing (Python's
start). Each runs as in a job: with the site folder on PYTHONPATH and a track file, once with capture on and
once with it off, and the start also without the site folder. The order of the two changes with each round.
The environment is built by uv and kept in ``.bench``. Aim: under 1 % of a training.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from nacre.plugins.environments.uv import UvEnvironments
from nacre.ports.environments import Source
from nacre.server.site import make_site

BENCH = Path(__file__).resolve().parent.parent / ".bench"
REQUIREMENTS = "keras\ntorch==2.13.0\nscikit-learn\n"

KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np
rng = np.random.default_rng(0)
x = rng.normal(size=(20000, 32)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype("int32")
layers = [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(64, activation="relu")]
model = keras.Sequential([*layers, keras.layers.Dense(2, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=10, batch_size=128, validation_split=0.1, verbose=2)
"""

SKLEARN = """
import warnings
warnings.simplefilter("ignore")
from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
print(model.fit(X_train, y_train).score(X_test, y_test))
forest = RandomForestClassifier(300, random_state=0).fit(X_train, y_train)
print(forest.score(X_test, y_test))
search = GridSearchCV(LogisticRegression(max_iter=60), {"C": [0.01, 0.1, 1, 10]}, cv=5)
search.fit(X_train, y_train)
print(search.best_score_)
boosted = GradientBoostingClassifier(n_estimators=20, random_state=0).fit(X_train, y_train)
print(boosted.score(X_test, y_test))
"""

NOTHING = "pass"
STARTS = 40
"""So many starts are one measurement: one is too short."""


@dataclass
class Cost:
    """Seconds that a program took on the clock and on the processors, and the points it reported."""

    wall_s: float
    cpu_s: float
    points: int


def run(python: Path, program: str, site: Path | None, capture: str, folder: Path, times: int = 1) -> Cost:
    """Run a program so many times, and add up."""
    track = folder / "track.jsonl"
    track.unlink(missing_ok=True)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": "" if site is None else str(site),
        "NACRE_CAPTURE": capture,
        "NACRE_RUN_ID": "0" * 32,
        "NACRE_TRACK_FILE": str(track),
        "NACRE_OUTPUT_DIR": tempfile.mkdtemp(dir=folder),
        "OMP_NUM_THREADS": "1",
    }
    began, cpu_s = time.perf_counter(), 0.0
    for _ in range(times):
        child = subprocess.Popen(
            [python, "-c", program], env=environment, cwd=folder, stdout=subprocess.DEVNULL
        )
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"the program failed with {child.returncode}")
        cpu_s += used.ru_utime + used.ru_stime
    points = track.read_text().count("\n") if track.exists() else 0
    return Cost((time.perf_counter() - began) / times, cpu_s / times, points)


def compare(name: str, off: list[Cost], on: list[Cost]) -> None:
    """One line of the table."""
    wall = statistics.median(b.wall_s / a.wall_s for a, b in zip(off, on, strict=True))
    cpu = statistics.median(b.cpu_s / a.cpu_s for a, b in zip(off, on, strict=True))
    least = min(c.wall_s for c in on) / min(c.wall_s for c in off)
    without, with_it = (statistics.median(c.wall_s for c in costs) for costs in (off, on))
    print(
        f"{name:<22}{without * 1e3:>11.1f}{with_it * 1e3:>11.1f}{wall - 1:>+11.2%}{least - 1:>+11.2%}"
        f"{cpu - 1:>+11.2%}{on[-1].points:>9}",
        flush=True,
    )


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=["keras", "sklearn", "start"])
    given = parser.parse_args()
    said: list[str] = []
    port = UvEnvironments(BENCH / "environments")
    built = port.build(port.resolve(Source(requirements=REQUIREMENTS), said.append), said.append)
    python = Path(built.folder) / "bin" / "python"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        site = make_site(folder / "site")
        head = ("off ms", "on ms", "wall", "best wall", "cpu", "records")
        print(
            f"{'median of ' + str(given.rounds):<22}" + "".join(f"{word:>11}" for word in head[:-1]), end=""
        )
        print(f"{head[-1]:>9}")
        cases = [
            ("keras", "Keras (torch)", KERAS, 1, site),
            ("sklearn", "scikit-learn", SKLEARN, 1, site),
            ("start", "start, capture off", NOTHING, STARTS, site),
            ("start", "start, no site folder", NOTHING, STARTS, None),
        ]
        for key, words, program, times, base in cases:
            if given.only in (None, key):
                run(python, program, site, "on", folder)  # once, for byte code and the page cache
                costs: dict[str, list[Cost]] = {"off": [], "on": []}
                for turn in range(given.rounds):
                    for capture in ("off", "on") if turn % 2 else ("on", "off"):
                        path = site if capture == "on" else base
                        costs[capture].append(run(python, program, path, capture, folder, times))
                compare(words, costs["off"], costs["on"])


if __name__ == "__main__":
    main()
