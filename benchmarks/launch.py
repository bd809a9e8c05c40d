"""Training under Nacre against the same training by hand: what the launch costs, and what running costs.

    python benchmarks/launch.py [--rounds 5] [--steps 1500] [--seconds 60] [--long-rounds 3]

Two comparisons, each in turns on the same machine with the same script, Python and number of threads:

- DistributedDataParallel on two processes: bare ``torchrun``, a job ``torchrun train.py`` with two
  processes, and a job ``python train.py`` with two replicas;
- one process that trains for about ``--seconds``: bare, and as a job with everything on (capture, samples,
  isolation).

``--rounds 0`` leaves the first out, ``--seconds 0`` the second.

The script prints the time of its first instruction and that of its last. ``wall`` is from asking until the
processes have ended and whoever asked has seen it. NACRE_TEST_ENVIRONMENTS names a folder of environments
to use and keep.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ports import free_ports

from nacre.schema.jobs import FINAL_STATES, JobSpec, JobState
from nacre.sdk.client import Client
from nacre.sdk.settings import find_connection
from nacre.sdk.snapshot import push_snapshot

TRAIN = """
import os, time
os.write(1, f"first {time.time()}\\n".encode())  # in one piece: two processes may share the log
import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch.nn.parallel import DistributedDataParallel

processes = int(os.environ.get("WORLD_SIZE", "1"))
rank = int(os.environ.get("RANK", "0"))
torch.manual_seed(0)
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x / 16, dtype=torch.float32)[rank::processes], torch.tensor(y)[rank::processes]
layers = [torch.nn.Linear(64, 512), torch.nn.ReLU(), torch.nn.Linear(512, 512), torch.nn.ReLU()]
model = torch.nn.Sequential(*layers, torch.nn.Linear(512, 10))
if processes > 1:
    dist.init_process_group("gloo")
    model = DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(int(os.environ["STEPS"])):
    batch = torch.randint(len(x), (64,))
    loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 500 == 0 and rank == 0:
        print(f"step={step} loss={loss.item():.4f}", flush=True)
if processes > 1:
    dist.destroy_process_group()
os.write(1, f"last {time.time()}\\n".encode())
os._exit(0)  # gloo's threads may abort Python's end (pytorch/pytorch#190489)
"""

THREADS = {"OMP_NUM_THREADS": "1"}
CALIBRATION_STEPS = 3000


class Timing(NamedTuple):
    """Seconds: until the last process's first line, from there to the last line, and in all."""

    first: float
    trained: float
    wall: float


def timing(asked: float, ended: float, said: str, processes: int) -> Timing:
    """From what the processes printed."""
    first = [float(found) for found in re.findall(r"^first (\S+)$", said, re.MULTILINE)]
    last = [float(found) for found in re.findall(r"^last (\S+)$", said, re.MULTILINE)]
    assert len(first) == len(last) == processes, said
    return Timing(max(first) - asked, max(last) - max(first), ended - asked)


def bare(
    command: list[str], folder: Path, variables: dict[str, str], processes: int
) -> Callable[[], Timing]:
    """The command as a child of this process, with no more variables than a job's."""

    def once() -> Timing:
        asked = time.time()
        done = subprocess.run(
            command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True, check=True
        )
        return timing(asked, time.time(), done.stdout, processes)

    return once


def job(client: Client, replicas: int, processes: int, **spec: Any) -> Callable[[], Timing]:
    """The same as a job, through the SDK."""
    full = {"environment": "pytorch", "replicas": replicas, "processes_per_replica": processes, **spec}

    def once() -> Timing:
        asked = time.time()
        found = client.jobs.submit(JobSpec.model_validate(full))
        while found.state not in FINAL_STATES:
            found = client.jobs.get(found.name, wait_s=30, unless=found.state)
        ended = time.time()
        logs = [b"".join(client.jobs.logs(found.name, replica=rank)).decode() for rank in range(replicas)]
        assert found.state is JobState.SUCCEEDED, f"{found.message}\n{logs}"
        return timing(asked, ended, "".join(logs), replicas * processes)

    return once


def in_turns(subjects: dict[str, Callable[[], Timing]], rounds: int) -> dict[str, list[Timing]]:
    """Each of them ``rounds`` times, every round begun by another; a round before them warms caches."""
    timings: dict[str, list[Timing]] = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(rounds + 1):
        for place in range(len(names)):
            name = names[(number + place) % len(names)]
            found = subjects[name]()
            if number:
                timings[name].append(found)
    return timings


def table(title: str, timings: dict[str, list[Timing]]) -> None:
    """Medians, and against the first of them."""
    print(f"\n{title}")
    print(f"{'':26}{'first line':>12}{'trained':>10}{'wall':>10}{'over bare':>12}{'ratio':>8}   walls")
    base = statistics.median(one.wall for one in next(iter(timings.values())))
    for name, found in timings.items():
        first, trained, wall = (statistics.median(column) for column in zip(*found, strict=True))
        figures = f"{first:12.2f}{trained:10.2f}{wall:10.2f}{wall - base:12.2f}{wall / base:8.3f}"
        print(f"{name:26}{figures}   {' '.join(f'{one.wall:.2f}' for one in found)}")


class Measured:
    """The script by hand and as a job, in the same environment."""

    def __init__(self, client: Client, home: Path) -> None:
        self.client = client
        self.code = home / "code"
        self.code.mkdir()
        (self.code / "train.py").write_text(TRAIN)
        self.manifest = push_snapshot(client.transport, client.project, self.code).manifest
        self.bins = home / "environments" / str(client.environments.get("pytorch").digest) / "bin"
        self.variables = {"PATH": f"{self.bins}:/usr/bin:/bin", "HOME": str(home), "PYTHONUNBUFFERED": "1"}

    def bare(self, command: str, steps: int, processes: int) -> Callable[[], Timing]:
        """By hand, with no more variables than a job's."""
        variables = self.variables | THREADS | {"STEPS": str(steps)}
        return bare([*command.split()], self.code, variables, processes)

    def job(
        self, command: str, steps: int, replicas: int, processes: int, **spec: Any
    ) -> Callable[[], Timing]:
        """As a job with a core for each process."""
        spec["resources"] = {"cpu": processes, "memory": "2GB", "shm_size": "64MB"}
        spec |= {"commands": [command], "code": self.manifest, "env": {**THREADS, "STEPS": str(steps)}}
        return job(self.client, replicas, processes, **spec)

    def pair(self, steps: int, rounds: int) -> None:
        """Two processes that train together."""
        spec = {"distribution": {"type": "pytorch"}}
        subjects = {
            "torchrun, bare": self.bare("torchrun --standalone --nproc-per-node 2 train.py", steps, 2),
            "nacre: torchrun train.py": self.job("torchrun train.py", steps, 1, 2, **spec),
            "nacre: two replicas": self.job("python train.py", steps, 2, 1, **spec),
        }
        title = f"DDP on 2 processes, {steps} steps; medians of {rounds} rounds, seconds"
        table(title, in_turns(subjects, rounds))

    def alone(self, seconds: float, rounds: int) -> None:
        """One process that trains for about so long."""
        once = self.bare("python train.py", CALIBRATION_STEPS, 1)
        fastest = min(once().trained for _ in range(3))
        steps = max(1, round(CALIBRATION_STEPS * seconds / fastest))
        subjects = {
            "python, bare": self.bare("python train.py", steps, 1),
            "nacre": self.job("python train.py", steps, 1, 1),
        }
        title = f"One process, {steps} steps; medians of {rounds} rounds, seconds"
        table(title, in_turns(subjects, rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500, help="of each process of the pair")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--long-rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nacre-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        if kept := os.environ.get("NACRE_TEST_ENVIRONMENTS"):
            (home / "environments").symlink_to(kept)
        os.environ["NACRE_HOME"] = name
        command = [sys.executable, "-m", "nacre.cli"]
        port = free_ports(3)
        ports = ["--port", port, "--content-port", port + 1, "--inference-port", port + 2]
        subprocess.run([*command, "up", "--detach", *map(str, ports)], check=True)
        try:
            subprocess.run([*command, "env", "build", "pytorch"], check=True, stdout=subprocess.DEVNULL)
            connection = find_connection()
            client = Client(connection.url, connection.token, project=connection.project)
            load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
            print(f"{os.cpu_count()} cores, load before: {load}")
            measured = Measured(client, home)
            if given.rounds > 0:
                measured.pair(given.steps, given.rounds)
            if given.seconds > 0:
                measured.alone(given.seconds, given.long_rounds)
        finally:
            subprocess.run([*command, "down", "--all"], check=False)


if __name__ == "__main__":
    main()
