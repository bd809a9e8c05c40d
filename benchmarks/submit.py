"""From submission to the first line of the user's program: a bare process, Nacre, Ray's Jobs API.

    python benchmarks/submit.py [--rounds 10] [--no-ray]

One run measures all of them, in turns, on the same machine. The program prints the time of its first
instruction; each figure is that time minus the time at which it was asked to start. ``seen`` is when that
line had arrived at whoever asked. Ray gets a virtual environment of its own (kept in ``.bench``).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ports import free_ports

from nacre.schema.jobs import JobSpec
from nacre.sdk.client import Client
from nacre.sdk.settings import find_connection

PROGRAM = "import time; print(time.time(), flush=True)"
COMMAND = f'python -c "{PROGRAM}"'
BENCH = Path(__file__).resolve().parent.parent / ".bench"
Timing = tuple[float, float]
"""Seconds until the first instruction, and until its line was seen."""


def bare(python: str) -> Callable[[], Timing]:
    """The program as a child of this process, with the same interpreter that the job gets."""

    def once() -> Timing:
        asked = time.time()
        child = subprocess.Popen([python, "-c", PROGRAM], stdout=subprocess.PIPE)
        assert child.stdout is not None
        line = child.stdout.readline()
        seen = time.time()
        child.wait()
        return float(line) - asked, seen - asked

    return once


def nacre(client: Client) -> Callable[[], Timing]:
    """A job in a warm environment, through the SDK, with its log followed."""

    def once() -> Timing:
        asked = time.time()
        job = client.jobs.submit(JobSpec.model_validate({"commands": [COMMAND], "environment": "base"}))
        text = b""
        for chunk in client.jobs.logs(job.name, follow=True):
            text += chunk
            if b"\n" in text:
                break
        seen = time.time()
        while client.jobs.get(job.name, wait_s=5, unless="running").state not in ("succeeded", "failed"):
            pass
        return float(text.splitlines()[0]) - asked, seen - asked

    return once


def ray_environment() -> Path:
    """A virtual environment with Ray, made once."""
    python = BENCH / "ray" / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", BENCH / "ray"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "ray[default]==2.60.*"], check=True)
    return python


def start_ray(python: Path) -> tuple[str, dict[str, str]]:
    """A head on loopback; its dashboard's address and the environment for its clients."""
    port = free_ports(8)
    env = os.environ | {
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
    }
    command = [python.parent / "ray", "start", "--head", "--node-ip-address=127.0.0.1", f"--port={port}"]
    ports = [
        f"--dashboard-port={port + 1}",
        "--dashboard-host=127.0.0.1",
        f"--ray-client-server-port={port + 2}",
    ]
    subprocess.run([*command, *ports, "--num-cpus=2"], check=True, env=env, stdout=subprocess.DEVNULL)
    return f"http://127.0.0.1:{port + 1}", env


def ray(python: Path, address: str, env: dict[str, str]) -> Callable[[], Timing]:
    """Ray's Jobs API, by its own command: submit, and follow until the line is there."""

    def once() -> Timing:
        asked = time.time()
        child = subprocess.Popen(
            [python.parent / "ray", "job", "submit", "--address", address, "--", "python", "-c", PROGRAM],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            text=True,
        )
        assert child.stdout is not None
        started = seen = float("nan")
        for line in child.stdout:
            word = line.strip()
            if word.replace(".", "", 1).isdigit():
                started, seen = float(word) - asked, time.time() - asked
        child.wait()
        return started, seen

    return once


def table(timings: dict[str, list[Timing]]) -> None:
    """Medians, and the difference to the bare process."""
    base = statistics.median(t for t, _ in timings["bare process"])
    print(f"{'':28}{'first line':>12}{'over bare':>12}{'seen':>10}{'slowest':>10}   (seconds, medians)")
    for name, found in timings.items():
        first = statistics.median(t for t, _ in found)
        seen = statistics.median(s for _, s in found)
        slowest = max(t for t, _ in found)
        print(f"{name:28}{first:12.3f}{first - base:12.3f}{seen:10.3f}{slowest:10.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--no-ray", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nacre-bench-") as home:
        os.environ["NACRE_HOME"] = home
        command = [sys.executable, "-m", "nacre.cli"]
        subprocess.run([*command, "up", "--detach", "--port", str(free_ports(3))], check=True)
        try:
            subprocess.run([*command, "env", "build", "base"], check=True)
            connection = find_connection()
            client = Client(connection.url, connection.token, project=connection.project)
            python = next(Path(home, "environments").glob("*/bin/python"))
            subjects: dict[str, Callable[[], Timing]] = {
                "bare process": bare(str(python)),
                "nacre": nacre(client),
            }
            if not given.no_ray:
                program = ray_environment()
                subjects["ray job submit"] = ray(program, *start_ray(program))
            timings: dict[str, list[Timing]] = {name: [] for name in subjects}
            for number in range(given.rounds + 1):
                for name, once in subjects.items():
                    if name.startswith("ray") and number > 3:
                        continue  # seconds each: three rounds tell enough
                    timing = once()
                    if number:  # the first round warms caches
                        timings[name].append(timing)
            table(timings)
        finally:
            subprocess.run([*command, "down", "--all"], check=False)
            if not given.no_ray:
                subprocess.run(
                    [BENCH / "ray" / "bin" / "ray", "stop", "--force"],
                    check=False,
                    stdout=subprocess.DEVNULL,
                )


if __name__ == "__main__":
    main()
