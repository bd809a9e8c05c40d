"""Tracking: Nacre's server beside MLflow's, each on SQLite and on PostgreSQL, in one run.

    python benchmarks/tracking.py [--seconds 5] [--only sqlite] [--points 10000 100000 1000000] [--quick]

Both answer the same requests of MLflow's protocol, from the same raw HTTP clients. Nacre checks a token and
the project's role on each; MLflow runs without any sign-in, with its default of four workers. PostgreSQL
syncs its commits. MLflow is asked for no more than 100,000 points and 10,000 runs: beyond, an answer takes
minutes. Read the ratios: machines are noisy.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import tracking_servers as servers
from tracking_servers import API, Contender

Figures = dict[str, float]
LOAD = str(Path(__file__).with_name("tracking_load.py"))
MLFLOW_MOST = {"points": 100_000, "runs": 10_000}


def drive(server: Contender, clients: int, seconds: float, **plan: Any) -> dict[str, Any]:
    """Load from another process, each client on a run of its own."""
    experiment = server.experiment()
    runs = [server.run(experiment) for _ in range(clients)]
    whole = {"port": server.port, "headers": server.headers, "runs": runs, "seconds": seconds, **plan}
    done = subprocess.run([sys.executable, LOAD, json.dumps(whole)], capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{server.name}: {done.stderr.decode()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"runs": runs}


def logging(server: Contender, seconds: float) -> Figures:
    """Calls and rows a second, with one client and with eight."""
    figures: Figures = {}
    for clients in (1, 8):
        found = drive(server, clients, seconds, kind="metric")
        figures[f"log_metric calls/s, {clients} clients"] = found["requests"] / found["seconds"]
        figures[f"log_metric p99 ms, {clients} clients"] = found["p99"]
        found = drive(server, clients, seconds, kind="batch", rows=1000)
        figures[f"log_batch rows/s, {clients} clients"] = found["rows"] / found["seconds"]
    return figures


def milliseconds(ask: Callable[[], Any], rounds: int) -> float:
    """Median of so many, after one that warms up; of one alone when that takes seconds."""
    began = time.perf_counter()
    ask()
    first = (time.perf_counter() - began) * 1e3
    if first > 1000:
        return first
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def history(server: Contender, run: str, count: int) -> None:
    """Every point of a metric, page by page, as MLflow's client reads it."""
    token, seen = "", 0
    while True:
        path = f"{API}/metrics/get-history?run_id={run}&metric_key=k0&max_results=25000"
        page = server.call(path + (f"&page_token={quote(token)}" if token else ""))
        seen += len(page.get("metrics", []))
        token = page.get("next_page_token", "")
        if not token:
            break
    if seen != count:
        raise SystemExit(f"{server.name}: {seen} of {count} points came back")


def chart(server: Contender, run: str, width: int = 320) -> None:
    """About 320 points of a metric: each by the call that its own charts use."""
    if server.name == "Nacre":
        body = {"runs": [run], "keys": ["k0"], "width": width}
        assert server.call("/api/v1/projects/default/runs/chart", body)
    else:
        query = f"run_ids={run}&metric_key=k0&max_results={width}"
        assert server.call(f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?{query}")["metrics"]


def reading(server: Contender, sizes: list[int]) -> Figures:
    """Histories and charts of metrics of several lengths, and what a point takes on the disk."""
    figures: Figures = {}
    widths = itertools.count(310)  # another each time: a drawn curve may be remembered
    for count in sizes:
        if server.name == "MLflow" and count > MLFLOW_MOST["points"]:
            continue
        before = server.bytes()
        found = drive(server, 1, 1e9, kind="batch", rows=1000, keys=1, steps=count)
        settle(server)
        if count >= 100_000:  # with fewer, what the database does besides is more than the points
            figures[f"bytes a point, {count:,}"] = (server.bytes() - before) / count
        [run] = found["runs"]
        if count <= 1_000_000:
            figures[f"history ms, {count:,} points"] = milliseconds(lambda: history(server, run, count), 3)  # noqa: B023
        figures[f"chart ms, {count:,} → 320"] = milliseconds(lambda: chart(server, run, next(widths)), 20)  # noqa: B023
    return figures


def settle(server: Contender) -> None:
    """Wait until the points that can be packed have been."""
    if server.name != "Nacre":
        return
    engine = server.engine()
    end = time.monotonic() + 120
    try:
        while time.monotonic() < end:
            with engine.connect() as connection:
                if not connection.exec_driver_sql(
                    "SELECT count(*) FROM metric_series WHERE tail >= 512"
                ).scalar():
                    return
            time.sleep(0.2)
    finally:
        engine.dispose()
    raise SystemExit("the points were not packed within two minutes")


def searching(server: Contender, sizes: list[int]) -> Figures:
    """100 runs of many: the newest, and the best of those that a filter leaves."""
    figures: Figures = {}
    for count in sizes:
        if server.name == "MLflow" and count > MLFLOW_MOST["runs"]:
            continue
        experiment = server.experiment()
        if server.name == "Nacre":
            server.run(experiment)
        servers.seed_runs(server, experiment, count)
        plain = {"experiment_ids": [experiment], "max_results": 100}
        asked = plain | {
            "filter": "metrics.m0 > 0.5 and params.p1 = '3'",
            "order_by": ["metrics.m1 DESC"],
        }
        for name, body in (("newest 100", plain), ("filter + order, 100", asked)):
            if len(server.call(f"{API}/runs/search", body)["runs"]) != 100 and count >= 10_000:
                raise SystemExit(f"{server.name}: not 100 runs came back")
            ask = lambda body=body: server.call(f"{API}/runs/search", body)  # noqa: E731
            figures[f"search {name} of {count:,} runs, ms"] = milliseconds(ask, 10)
    return figures


def memory(server: Contender, seconds: float) -> Figures:
    """Resident memory before, and its peak while 50 clients stream."""
    peak = before = server.rss()
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.2):
            peak = max(peak, server.rss())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        drive(server, 50, seconds, kind="batch", rows=1000)
    finally:
        stop.set()
        thread.join()
    return {"memory MB, idle": before, "memory MB, 50 clients streaming": peak}


@contextlib.contextmanager
def contenders(kind: str) -> Iterator[list[Contender]]:
    """MLflow and Nacre on databases of the kind."""
    folder = Path(tempfile.mkdtemp(prefix="nacre-tracking-"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        urls: dict[str, str | None] = {"mlflow": f"sqlite:///{folder / 'mlflow.db'}", "nacre": None}
        if kind == "postgres":
            base = stack.enter_context(servers.postgres(folder / "postgres"))
            for name in urls:
                subprocess.run(
                    ["psql", "-q", f"{base}postgres", "-c", f"CREATE DATABASE {name}"], check=True
                )
                urls[name] = base + name
        theirs = urls["mlflow"]
        assert theirs is not None
        yield [
            stack.enter_context(servers.mlflow(folder / "mlflow", theirs)),
            stack.enter_context(servers.nacre(folder / "nacre", urls["nacre"])),
        ]


def table(kind: str, theirs: Figures, ours: Figures) -> None:
    """What was measured; the ratio says how many times better Nacre is."""
    print(f"\n{kind:44}{'MLflow':>12}{'Nacre':>12}{'better':>10}")
    for name, figure in ours.items():
        peer = theirs.get(name)
        more = "/s" in name
        ratio = "" if peer is None else f"{(figure / peer if more else peer / figure):9.1f}×"
        print(
            f"{name:44}{'–' if peer is None else f'{peer:,.1f}':>12}{figure:12,.1f}{ratio:>10}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--only", choices=("sqlite", "postgres"))
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--runs", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--quick", action="store_true", help="logging only")
    given = parser.parse_args()
    for kind in [given.only] if given.only else ["sqlite", "postgres"]:
        with contenders(kind) as found:
            measured: dict[str, Figures] = {}
            for server in found:
                figures = measured[server.name] = logging(server, given.seconds)
                if not given.quick:
                    figures |= reading(server, given.points)
                    figures |= searching(server, given.runs)
                    if server.name == "Nacre":  # MLflow's pool of connections gives up on 50 clients
                        figures |= memory(server, given.seconds)
        table(kind, measured["MLflow"], measured["Nacre"])


if __name__ == "__main__":
    main()
