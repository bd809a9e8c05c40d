"""Work whose every line, point and end is known beforehand."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

STEP_S = 0.1

STEADY = """
import os, time, nacre
name, steps, code = os.environ["NAME"], int(os.environ["STEPS"]), int(os.environ["CODE"])
for i in range(steps):
    nacre.log_metric("value", i * 0.5, step=i)
    print(f"{name} line {i} " + "x" * (i % 50), flush=True)
    time.sleep(0.1)
with open(os.environ["NACRE_OUTPUT_DIR"] + "/result.txt", "w") as file:
    file.write(name)
raise SystemExit(code)
"""

GANG = """
import os, socket, time, nacre
name, steps, code = os.environ["NAME"], int(os.environ["STEPS"]), int(os.environ["CODE"])
rank = int(os.environ["RANK"])
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    peer = socket.create_server(address).accept()[0]
else:
    while True:
        try:
            peer = socket.create_connection(address)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
stream = peer.makefile("rwb")
for i in range(steps):
    stream.write(b"%d\\n" % i)
    stream.flush()
    assert int(stream.readline()) == i
    if rank == 0:
        nacre.log_metric("value", i * 0.5, step=i)
    print(f"{name} line {i} " + "x" * (i % 50), flush=True)
    time.sleep(0.1)
with open(os.environ["NACRE_OUTPUT_DIR"] + "/result.txt", "w") as file:
    file.write(name)
if rank == 0:
    stream.readline()  # the other one ends first
    raise SystemExit(code)
"""


@dataclass
class Work:
    """One job. ``excused``: the disk was full while it ran, so that it may have failed; what is known of it
    is still right and told once."""

    name: str
    steps: int
    code: int
    replicas: int = 1
    excused: bool = False

    @property
    def spec(self) -> dict[str, Any]:
        variables = {"NAME": self.name, "STEPS": str(self.steps), "CODE": str(self.code)}
        return {
            "name": self.name,
            "env": variables,
            "replicas": self.replicas,
            "resources": {"cpu": 0.1, "memory": "128MB", "shm_size": "16MB"},
            "capture": "off",
        }

    @property
    def code_files(self) -> dict[str, str]:
        return {"main.py": STEADY if self.replicas == 1 else GANG}

    @property
    def lines(self) -> list[str]:
        """The log of each replica."""
        return [f"{self.name} line {i} " + "x" * (i % 50) for i in range(self.steps)]

    @property
    def points(self) -> list[tuple[int, float]]:
        """The metric ``value``: step and value."""
        return [(i, i * 0.5) for i in range(self.steps)]

    @property
    def files(self) -> list[str]:
        """What it leaves."""
        return ["result.txt", *(f"replicas/{rank}/result.txt" for rank in range(1, self.replicas))]


def draw(rng: random.Random, number: int) -> Work:
    """The next piece of work: a job of one process, or now and then of two."""
    gang = rng.random() < 0.3
    return Work(
        name=f"{'gang' if gang else 'job'}-{number}",
        steps=rng.randrange(20, 150),
        code=rng.choice([0, 0, 0, 3, 7]),
        replicas=2 if gang else 1,
    )
