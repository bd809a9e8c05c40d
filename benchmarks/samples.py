"""What sampling costs: CPU time of a launcher with samples and without, side by side, of the same work.

    python benchmarks/samples.py [--seconds 60] [--rounds 3] [--workers 8] [--threads 16]

The work is a sandbox (where this machine has one) with ``--workers`` processes of ``--threads`` threads
each that sleep, as loaders of a training do most of the time: more to look at than one busy process. A
launcher samples when the work has a run. Both launchers of a round run at once, so that whatever else this
machine does disturbs both. A small HTTP server takes what they send; its time does not count.

Aim: under 0.5 % of a core.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from nacre.launcher.isolation import detect

TICKS = os.sysconf("SC_CLK_TCK")
WORK = """
import os, sys, threading, time
workers, threads, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for _ in range(workers):
    if os.fork() == 0:
        break
for _ in range(threads - 1):
    threading.Thread(target=time.sleep, args=(seconds,), daemon=True).start()
time.sleep(seconds)
"""


class Taker(BaseHTTPRequestHandler):
    """Takes every byte of every channel, and counts samples."""

    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    taken: dict[str, int] = {}
    lines: dict[str, int] = {}

    def log_message(self, *_args: object) -> None:
        pass

    def do_PUT(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.lock:
            offset = max(
                self.taken.get(address.path, 0), int(parse_qs(address.query)["offset"][0]) + len(body)
            )
            self.taken[address.path] = offset
            self.lines[address.path] = self.lines.get(address.path, 0) + body.count(b"\n")
        answer = json.dumps({"offset": offset}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def launch(root: Path, name: str, url: str, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    """A launcher of the work, as the local engine starts it; only ``on`` has a run."""
    folder = root / "attempts" / name / "0"
    folder.mkdir(parents=True)
    root_user = os.geteuid() == 0
    modes = [
        mode for mode in ("bwrap-root" if root_user else "bwrap-user", "none") if mode in detect().modes
    ]
    spec = {
        "version": 1,
        "project": "benchmark",
        "subject_id": "job_1",
        "subject_name": name,
        "attempt_id": name,
        "run_id": "f" * 32 if name.startswith("on") else None,
        "folder": str(folder),
        "server": url,
        "token": "token",
        "blobs_root": str(root / "blobs"),
        "trees_root": str(root / "cache" / "trees"),
        "command": [
            "python3",
            "-c",
            WORK,
            str(options.workers),
            str(options.threads),
            str(options.seconds),
        ],
        "sandbox": modes[0],
        "uid": 61234 if root_user else None,
        "limits": {"cpu": 1.0, "memory_bytes": 2**30},
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    path = os.pathsep.join(part for part in sys.path[1:] if part and os.path.exists(part))
    return subprocess.Popen(
        [sys.executable, "-S", "-P", "-m", "nacre.launcher", str(folder)],
        env={"PATH": os.defpath, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )


def cpu_seconds(pid: int) -> float:
    """Of the process itself, to the microsecond where the kernel keeps that."""
    total = 0.0
    for thread in os.listdir(f"/proc/{pid}/task"):
        total += int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]) / 1e9
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--threads", type=int, default=16)
    options = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    used: dict[str, list[float]] = {"off": [], "on": []}
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="nacre-samples-") as name:
            os.chmod(name, 0o755)  # the work's user goes through it
            running = {kind: launch(Path(name), f"{kind}{number}", url, options) for kind in used}
            time.sleep(min(5.0, options.seconds / 4))  # starting is over
            began = time.monotonic()
            before = {kind: cpu_seconds(child.pid) for kind, child in running.items()}
            time.sleep(options.seconds * 0.75 - 5)
            passed = time.monotonic() - began
            for kind, child in running.items():
                used[kind].append((cpu_seconds(child.pid) - before[kind]) / passed)
            for child in running.values():
                child.wait(120)
    samples = {path: count for path, count in Taker.lines.items() if path.endswith("samples")}
    off, on = (100 * statistics.median(used[kind]) for kind in ("off", "on"))
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; {options.workers + 1} processes, ", end=""
    )
    print(f"{(options.workers + 1) * options.threads} threads; samples by launch: {[*samples.values()]}")
    print(f"launcher without samples {off:8.3f} % of a core")
    print(f"launcher with samples    {on:8.3f} % of a core")
    print(f"sampling                 {on - off:8.3f} % of a core   aim < 0.5 %")


if __name__ == "__main__":
    main()
