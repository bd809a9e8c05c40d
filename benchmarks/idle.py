"""What Nacre takes when nothing happens: time to start, memory and CPU while idle, time to import.

    python benchmarks/idle.py [--seconds 20] [--rounds 5]

Aims: `nacre up` to ready under 5 s; idle under 250 MB and 2 % of a core; `import nacre` under 150 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ports import free_ports

NACRE = str(Path(sys.executable).with_name("nacre"))
IMPORT = "import time; s = time.perf_counter(); import nacre; print(time.perf_counter() - s)"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def usage(pid: int) -> tuple[float, int]:
    """CPU seconds so far, and resident bytes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS, int(fields[21]) * PAGE


def start(home: Path, port: int) -> float:
    """Seconds from typing ``nacre up -d`` until it returns, which is when the server is ready."""
    began = time.perf_counter()
    subprocess.run(
        [NACRE, "up", "--detach", "--port", str(port)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"NACRE_HOME": str(home)},
    )
    return time.perf_counter() - began


def stop(home: Path) -> None:
    subprocess.run(
        [NACRE, "down"], check=False, capture_output=True, env=os.environ | {"NACRE_HOME": str(home)}
    )


def import_seconds() -> float:
    done = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory(prefix="nacre-idle-") as name:
        home, port = Path(name), free_ports(3)
        try:
            first = start(home, port)
            again = []
            for _ in range(options.rounds):
                stop(home)
                again.append(start(home, port))
            pid = json.loads((home / "server.json").read_text())["pid"]
            time.sleep(3.0)  # the start itself is over
            before, _ = usage(pid)
            time.sleep(options.seconds)
            after, resident = usage(pid)
        finally:
            stop(home)
    imports = [import_seconds() for _ in range(options.rounds + 1)][1:]
    rows.append(("nacre up to ready, empty home", f"{first:.2f} s", "< 5 s"))
    rows.append(("nacre up to ready, again (median)", f"{statistics.median(again):.2f} s", "< 5 s"))
    rows.append(("idle memory (RSS)", f"{resident / 1e6:.0f} MB", "< 250 MB"))
    rows.append(
        (
            f"idle CPU over {options.seconds:.0f} s",
            f"{100 * (after - before) / options.seconds:.2f} %",
            "< 2 %",
        )
    )
    rows.append(("import nacre (median)", f"{statistics.median(imports) * 1000:.1f} ms", "< 150 ms"))
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    for what, measured, aim in rows:
        print(f"{what:<36}{measured:>12}   aim {aim}")


if __name__ == "__main__":
    main()
