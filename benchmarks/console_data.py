"""Runs for looking at: N runs × points × keys, quickly, and points that keep coming.

    python benchmarks/console_data.py [--url URL --token TOKEN --project P] --runs 5 --points 10000
        [--keys 8] [--experiment demo] [--live 60 --rate 5]

Without ``--url`` it takes the server that the SDK finds (``nacre login``, or the one of this machine). Keys
are ``train/…``, ``val/…`` and ``system/…`` shaped as of trainings; params and tags differ between
runs. Other benchmarks import :func:`make`, :func:`grow` and :func:`finish`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import nacre

BATCH = 10_000
"""Records of one request: the most that ``runs.log`` takes."""
KEYS = (
    "train/loss",
    "train/accuracy",
    "val/loss",
    "val/accuracy",
    "train/lr",
    "train/grad_norm",
    "system/gpu_utilization",
    "system/memory_gb",
)
OPTIMIZERS = ("adam", "adamw", "sgd", "lion")


@dataclass(frozen=True)
class Made:
    """A run that was made: id, name, how many steps it has, and which curves are its own."""

    id: str
    name: str
    points: int
    seed: int


def keys_of(count: int) -> list[str]:
    """The first ``count`` keys: eight as trainings have them, then layers' norms."""
    more = (f"layers/{n // 8:02d}/w{n % 8}_norm" for n in range(max(0, count - len(KEYS))))
    return [*KEYS, *more][:count]


def params_of(number: int) -> dict[str, str]:
    """Params of run ``number``: the same for the same number."""
    chance = random.Random(number)
    return {
        "lr": f"{10 ** chance.uniform(-4, -1):.3g}",
        "batch_size": str(chance.choice((16, 32, 64, 128))),
        "optimizer": chance.choice(OPTIMIZERS),
        "layers": str(chance.randint(2, 12)),
        "dropout": f"{chance.choice((0, 0.1, 0.2, 0.5)):g}",
        "augment": chance.choice(("true", "false")),
        "seed": str(number),
    }


def value(key: str, seed: int, step: int, scale: float) -> float:
    """A point of a curve: a training's shape, a run's own level, and noise."""
    chance = random.Random(f"{key}{seed}").random()
    noise = math.sin(step * 12.9898 + seed * 78.233) * 43758.5453
    noise = noise - math.floor(noise) - 0.5
    far = step / scale
    if "loss" in key:
        return (
            (2.5 + chance) * math.exp(-far * (2 + 2 * chance))
            + 0.1
            + chance / 5
            + noise * 0.25 / (1 + far * 2)
        )
    if "accuracy" in key:
        return (0.75 + chance / 5) * (1 - math.exp(-far * (3 + 3 * chance))) + noise * 0.06
    if key.endswith("lr"):
        return 1e-3 * (0.5 + chance) * (1 + math.cos(math.pi * min(1.0, far))) / 2 + 1e-7
    if "utilization" in key:
        return 90 + noise * 18 - (40 if step % 997 < 20 else 0)
    return (1 + chance * 4) * (1 + 0.3 * math.sin(far * 9 + seed)) + noise * 0.4


def records(
    keys: Sequence[str], seed: int, first: int, last: int, scale: float, start_ms: int, every_ms: int
) -> Iterator[dict[str, Any]]:
    """Points of steps ``first`` to ``last`` - 1, step by step, as ``runs.log`` takes them."""
    for step in range(first, last):
        for key in keys:
            if key.startswith("val/") and step % 10:
                continue
            yield {
                "type": "m",
                "key": key,
                "value": value(key, seed, step, scale),
                "step": step,
                "time_ms": start_ms + step * every_ms,
            }


def _send(client: nacre.Client, run: str, batch: list[dict[str, Any]]) -> None:
    """``runs.log`` without a model for each record, which would take longer than the server."""
    client.transport.call("runs.log", None, json={"records": batch}, project=client.project, run=run)


def log(client: nacre.Client, run: str, found: Iterator[dict[str, Any]]) -> int:
    """Send records in full batches; how many there were."""
    count = 0
    batch: list[dict[str, Any]] = []
    for record in found:
        batch.append(record)
        if len(batch) == BATCH:
            _send(client, run, batch)
            count += len(batch)
            batch = []
    if batch:
        _send(client, run, batch)
    return count + len(batch)


def make(
    client: nacre.Client,
    *,
    runs: int,
    points: int,
    keys: int = 8,
    experiment: str = "demo",
    name: str = "run",
    end: bool = True,
    workers: int = 4,
    every_ms: int = 500,
) -> list[Made]:
    """Make runs with ``points`` steps of ``keys`` metrics, params and tags.

    Args:
        end: whether they are finished then (a few as failed); else they stay running, to grow.
        workers: how many are made at the same time.
    """
    names = keys_of(keys)
    start_ms = int(time.time() * 1000) - points * every_ms

    def one(number: int) -> Made:
        made = client.runs.create(f"{name}-{number:05d}", experiment=experiment)
        now = int(time.time() * 1000)
        words = [
            {"type": "p", "key": key, "text": text, "time_ms": now}
            for key, text in params_of(number).items()
        ]
        words.append({"type": "t", "key": "team", "text": ("vision", "speech")[number % 2], "time_ms": now})
        scale = max(1.0, points * 0.8)
        log(
            client,
            made.id,
            (
                r
                for part in (words, records(names, number, 0, points, scale, start_ms, every_ms))
                for r in part
            ),
        )
        if end:
            client.runs.update(made.id, state="failed" if number % 23 == 7 else "finished")
        return Made(made.id, made.name, points, number)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, range(runs)))


def grow(
    client: nacre.Client,
    made: Sequence[Made],
    *,
    seconds: float,
    rate: float,
    keys: int = 8,
    every_ms: int = 500,
    stop: threading.Event | None = None,
) -> int:
    """Log ``rate`` further steps a second to each run, for so long or until ``stop`` is set; how many
    records were sent."""
    names = keys_of(keys)
    stop = stop or threading.Event()
    begin = time.monotonic()
    done = {one.id: one.points for one in made}
    count = 0
    while (gone := time.monotonic() - begin) < seconds and not stop.is_set():
        for one in made:
            upto = one.points + int(gone * rate)
            start_ms = int(time.time() * 1000) - upto * every_ms
            scale = max(1.0, one.points * 0.8)
            count += log(
                client, one.id, records(names, one.seed, done[one.id], upto, scale, start_ms, every_ms)
            )
            done[one.id] = upto
        stop.wait(min(0.2, 1 / rate))
    return count


def finish(client: nacre.Client, made: Sequence[Made]) -> None:
    """End runs."""
    for one in made:
        client.runs.update(one.id, state="finished")


def main() -> None:
    """Make runs as the command line says, and print their ids as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url")
    parser.add_argument("--token")
    parser.add_argument("--project")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=8)
    parser.add_argument("--experiment", default="demo")
    parser.add_argument("--name", default="run")
    parser.add_argument("--live", type=float, default=0, help="seconds for which points keep coming")
    parser.add_argument("--rate", type=float, default=5, help="steps a second while they do")
    args = parser.parse_args()
    with nacre.Client(args.url, args.token, project=args.project) as client:
        begin = time.monotonic()
        live = args.live > 0
        made = make(
            client, runs=args.runs, points=args.points, keys=args.keys, experiment=args.experiment,
            name=args.name, end=not live,
        )  # fmt: skip
        took = time.monotonic() - begin
        sys.stderr.write(f"{args.runs} runs × {args.points} points × {args.keys} keys in {took:.1f} s\n")
        sys.stdout.write(json.dumps([one.id for one in made]) + "\n")
        sys.stdout.flush()
        if live:
            grow(client, made, seconds=args.live, rate=args.rate, keys=args.keys)
            finish(client, made)


if __name__ == "__main__":
    main()
