"""What ``kill -9`` costs: nothing. Two scripts, each on a server and home of its own.

    python benchmarks/durability.py [--seconds 60] [--kills 5]
    python benchmarks/durability.py --push [--size 1000] [--pushers 10]

The first kills the server while a job logs a metric and prints a line each 0.1 s. The second has many
processes push the same data and kills one. Both check everything that is left, and exit with 1 when
anything is missing, doubled or out of order.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_ports

from nacre.sdk.client import Client

NACRE = str(Path(sys.executable).with_name("nacre"))
SCRIPT = """
import os, sys, time, nacre
steps, started = int(sys.argv[1]), time.time()
for i in range(steps):
    nacre.log_metric("i", i, step=i)
    print(f"line {i} {time.time():.3f}", flush=True)
    time.sleep(max(0, started + (i + 1) * 0.1 - time.time()))
with open(os.environ["NACRE_OUTPUT_DIR"] + "/result.txt", "w") as file:
    file.write("done")
raise SystemExit(7)
"""


class Server:
    """A server that ``nacre up`` started, on a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("NACRE_")}
        self.env["NACRE_HOME"] = str(home)
        self.port = free_ports(3)

    def nacre(self, *words: str | Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [NACRE, *map(str, words)],
            cwd=cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def start(self) -> None:
        subprocess.run(
            [NACRE, "up", "-d", "--port", str(self.port)], env=self.env, check=True, capture_output=True
        )

    def kill(self) -> None:
        pid = json.loads((self.home / "server.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.005)

    def client(self) -> Client:
        kept = json.loads((self.home / "owner.json").read_text())
        return Client(kept["url"], kept["token"], project=kept["project"])


@contextmanager
def running() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="nacre-durability-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        server = Server(Path(name) / "home")
        try:
            server.start()
            yield server
        finally:
            subprocess.run([NACRE, "down", "--all"], env=server.env, check=False, capture_output=True)


def wait_until(true: Callable[[], bool], timeout_s: float = 120.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("this took too long: something is stuck")
        time.sleep(0.005)


def kills(seconds: float, count: int) -> list[tuple[str, bool]]:
    """Kill the server ``count`` times during a run; what was found afterwards."""
    steps = round(seconds * 10)
    chance = random.Random(7)
    with running() as server:
        code = server.home.parent / "code"
        code.mkdir()
        (code / "main.py").write_text(SCRIPT)
        attached = server.nacre("run", "--name", "long", "main.py", str(steps), cwd=code)
        wait_until(lambda: bool(list((server.home / "attempts").glob("*/0/io/started"))))
        began = time.monotonic()
        for n in range(count):
            at = (n + chance.uniform(0.2, 0.8)) * seconds / count
            time.sleep(max(0.0, began + at - time.monotonic()))
            server.kill()
            print(f"killed at {time.monotonic() - began:5.1f} s", end="", flush=True)
            time.sleep(chance.uniform(0.0, 1.5))
            server.start()
            print(f", back at {time.monotonic() - began:5.1f} s", flush=True)
        printed, _ = attached.communicate()
        with server.client() as nacre:
            job = nacre.jobs.wait("long", timeout_s=60)
            log = b"".join(nacre.jobs.logs("long")).decode().splitlines()
            points = nacre.runs.metric(job.run, "i").points
            files = [file.path for file in nacre.runs.artifacts(job.run).files]
            records = [r for r in nacre.usage.list(limit=None) if r.subject == job.id]
        first, last = (float(line.split()[2]) for line in (log[0], log[-1]))
        [record] = records
        assert record.ended_at is not None
        late = record.ended_at.timestamp() - last, first - record.started_at.timestamp()
        print(f"\nrun of {last - first:.1f} s; usage of {record.seconds:.1f} s")
        return [
            (
                f"{steps} log lines, once each, in order",
                [x.split()[1] for x in log] == [str(i) for i in range(steps)],
            ),
            (
                f"{steps} points, once each, in order",
                [p.value for p in points] == [float(i) for i in range(steps)],
            ),
            (
                "the attached client printed the same, and exited with 7",
                (printed.decode().splitlines(), attached.returncode) == (log, 7),
            ),
            ("exit code 7", job.exit_code == 7 and job.reason == "exit_nonzero"),
            ("the artifact is there", files == ["result.txt"]),
            ("one attempt, one usage record, of the run's time", len(job.attempts) == 1 and max(late) < 3),
        ]


def pushes(size_mb: int, count: int) -> list[tuple[str, bool]]:
    """``count`` processes push the same data, one is killed; what was found afterwards."""
    with running() as server:
        data = server.home.parent / "data.bin"
        with data.open("wb") as stream:
            for _ in range(size_mb):
                stream.write(os.urandom(1_000_000))
        began = time.monotonic()
        pushers = [server.nacre("data", "push", data, "--name", f"copy-{n}") for n in range(count)]
        blobs = server.home / "blobs"
        wait_until(lambda: on_disk(blobs / "staging") > size_mb * 100_000)
        victim = pushers.pop(count // 2)
        victim.kill()
        victim.communicate()
        ends = [pusher.communicate() and pusher.returncode for pusher in pushers]
        taken = time.monotonic() - began
        last = server.nacre("data", "push", data, "--name", f"copy-{count // 2}")
        last.communicate()
        print(f"{count} pushes of {size_mb} MB in {taken:.1f} s")
        whole = []
        for n in range(count):
            folder = server.home.parent / "pulled"
            pull = server.nacre("data", "pull", f"copy-{n}", folder, "--force")
            pull.communicate()
            whole.append(pull.returncode == 0 and same(folder / "data.bin", data))
            (folder / "data.bin").unlink(missing_ok=True)
        stored = on_disk(blobs)
        return [
            (
                "every push but the killed one succeeded, and that one again",
                {*ends, last.returncode} == {0},
            ),
            (f"one copy on disk: {stored / 1e6:.0f} MB", stored < size_mb * 1_010_000 + 2_000_000),
            (f"all {count} versions are whole", all(whole)),
        ]


def on_disk(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def same(one: Path, other: Path) -> bool:
    if not one.is_file():
        return False
    return subprocess.run(["cmp", "-s", one, other], check=False).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the run")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--push", action="store_true", help="the script of pushes instead")
    parser.add_argument("--size", type=int, default=1000, help="MB")
    parser.add_argument("--pushers", type=int, default=10)
    options = parser.parse_args()
    found = pushes(options.size, options.pushers) if options.push else kills(options.seconds, options.kills)
    for what, good in found:
        print(f"{'ok    ' if good else 'FAILED'} {what}")
    sys.exit(0 if all(good for _, good in found) else 1)


if __name__ == "__main__":
    main()
