"""Nacre's model server against those that a Python team would pick, and against ONNX Runtime in process.

    python benchmarks/serving.py [--peers triton,mlserver,… | all | none] [--seconds 1] [--rounds 6]
                                 [--only main,resnet,workers,dialects,many] [--more]
                                 [--cache FOLDER] [--output benchmarks/results/serving.md]

One sample of a 784-128-10 MLP a request, as JSON and as v2 binary, over 1, 16 and 64 connections; then
Nacre alone: ResNet-18 on 64×64 images, two workers, other dialects (beside Triton's gRPC), 500 models. Each
peer gets an environment of its own below ``--cache``, made with uv (its variables hold: UV_FIND_LINKS,
UV_CONSTRAINT); one that does not install or start is left out, and the table says why. Every server has
one core, the load generator another; rounds go through all servers in turn, the others stopped
meanwhile. All answers are compared with ONNX Runtime's before they are measured. Machines differ: read
ratios.

Each figure is the best of its rounds, for every server by the same rule and apart from the others: a host
that takes a core away for some milliseconds spoils the 99th percentile of one round and not of all. So many
short rounds are better than a few long ones. The medians of the rounds are told for what is judged by p99.

With ``--output`` the figures of all rounds are kept beside the report (``.json``) after each round, and the
report is written from all of them: parts may run one by one. A part that runs again replaces its figures,
or with ``--more`` adds its rounds to them.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime as ort
import serving_parts as parts
from serving_report import Figures, report
from serving_servers import PEERS, cores

PARTS: dict[str, Callable[[parts.Run], None]] = {
    "main": parts.everybody,
    "resnet": parts.resnet,
    "workers": parts.workers,
    "dialects": parts.dialects,
    "many": parts.many,
}
SPIN = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
end = time.perf_counter() + 1
last, lost, worst = time.perf_counter(), 0.0, 0.0
while last < end:
    now = time.perf_counter()
    if now - last > 0.001:
        lost += now - last
        worst = max(worst, now - last)
    last = now
print(lost, worst)
"""


def gaps() -> str:
    """What a program that only reads the clock for a second loses, on both cores at once."""
    spinning = [
        subprocess.Popen([sys.executable, "-c", SPIN, str(core)], stdout=subprocess.PIPE, text=True)
        for core in set(cores())
    ]
    found = [[float(word) for word in one.communicate()[0].split()] for one in spinning]
    lost, worst = max(lost for lost, _ in found), max(worst for _, worst in found)
    return f"{lost:.1%} of a core is lost in gaps of up to {worst * 1e3:.0f} ms"


def machine() -> str:
    with open("/proc/cpuinfo") as file:
        model = next(
            (line.partition(": ")[2].strip() for line in file if line.startswith("model name")), "?"
        )
    return (
        f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"ONNX Runtime {ort.__version__}"
    )


def run(options: argparse.Namespace) -> None:
    figures = Figures(options.output, machine())
    figures.data["runs"].append(
        {
            "command": shlex.join(["python", "benchmarks/serving.py", *sys.argv[1:]]),
            "time": time.strftime("%Y-%m-%d %H:%M"),
            "parts": options.only,
            "load": os.getloadavg()[0],
            "gaps": gaps(),
        }
    )
    failed = []
    for name in options.only:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            begin = time.monotonic()
            found: dict[str, Any] = figures.part(name, keep=options.more)
            part = parts.Run(Path(folder), options, found, figures.save)
            try:
                PARTS[name](part)
            except (RuntimeError, AssertionError, OSError) as error:
                failed.append(name)
                found["failed"] = str(error)
                print(f"{name} failed: {error}", file=sys.stderr)
            figures.save()
            print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    print("\n".join(report(figures.data)))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def stop(*_: Any) -> None:
    """As an interrupt from the keyboard: what was started is ended."""
    sys.exit("stopped")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peers", default="all")
    parser.add_argument("--seconds", type=float, default=1, help="of one load")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--most", type=float, default=3600, help="seconds; no round of a part begins later")
    parser.add_argument("--connections", default="1,16,64", help="of the main part")
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas")
    parser.add_argument("--more", action="store_true", help="add to the rounds that are there")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "nacre-benchmarks")
    parser.add_argument("--output", type=Path, help="file for the report")
    options = parser.parse_args()
    options.only = options.only.split(",")
    options.connections = [int(count) for count in options.connections.split(",")]
    options.peers = {"all": list(PEERS), "none": []}.get(options.peers, options.peers.split(","))
    for given, known in ((options.only, PARTS), (options.peers, PEERS)):
        unknown = set(given) - set(known)
        if unknown:
            parser.error(f"there is no {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    signal.signal(signal.SIGTERM, stop)
    run(options)


if __name__ == "__main__":
    main()
