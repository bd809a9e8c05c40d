"""The servers that ``tracking.py`` compares: MLflow's and Nacre's, each on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from ports import free_ports
from sqlalchemy import MetaData, create_engine, text
from sqlalchemy.engine import Engine

BENCH = Path(__file__).resolve().parent.parent / ".bench"
MLFLOW = "3.17.2"
API = "/api/2.0/mlflow"
PARAMS, METRICS = 5, 5


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A private PostgreSQL that syncs its commits to the disk, as a real one does; yields its URL."""
    [programs] = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)[:1] or [None]
    if programs is None:
        raise SystemExit("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    demote = []
    if os.geteuid() == 0:
        demote = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        folder.mkdir()
        shutil.chown(folder, "nobody", "nogroup")
    data, port = folder / "data", free_ports(1)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(
        [*demote, programs / "initdb", "-D", data, "-A", "trust", "-U", "bench"], check=True, **quiet
    )
    options = ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300"]
    server = subprocess.Popen(
        [*demote, programs / "postgres", "-D", data, "-p", str(port), "-k", folder, *options], **quiet
    )
    try:
        ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, check=False).returncode:
            time.sleep(0.05)
        yield f"postgresql://bench@127.0.0.1:{port}/"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


class Contender:
    """A running server that speaks MLflow's protocol. ``headers`` authorise a request."""

    def __init__(
        self, name: str, port: int, headers: dict[str, str], pids: list[int], database: str
    ) -> None:
        self.name = name
        self.port = port
        self.headers = headers
        self.database = database
        self._pids = pids

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request; its JSON. Raises on a status over 399, with what the server said."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data,
            {**self.headers, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=600) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{self.name}: {path}: {error.code} {error.read()[:300]!r}") from error

    def experiment(self) -> str:
        """A new experiment's id."""
        name = f"bench-{uuid.uuid4().hex[:8]}"
        return str(self.call(f"{API}/experiments/create", {"name": name})["experiment_id"])

    def run(self, experiment: str) -> str:
        """A new run's id."""
        body = {"experiment_id": experiment, "start_time": int(time.time() * 1000), "run_name": "bench"}
        return str(self.call(f"{API}/runs/create", body)["run"]["info"]["run_id"])

    def rss(self) -> float:
        """Megabytes that the server's processes take together, shared pages counted once (PSS)."""
        total = 0
        for pid in self._pids:
            root = psutil.Process(pid)
            for process in [root, *root.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
        return total / 1e6

    def engine(self) -> Engine:
        """Its database, to seed and to measure."""
        return create_engine(self.database.replace("postgresql://", "postgresql+psycopg://"))

    def bytes(self) -> int:
        """What its database takes on the disk, everything written back."""
        engine = self.engine()
        try:
            if engine.dialect.name == "sqlite":
                with engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
                    free = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
                    return int(pages - free) * int(
                        connection.exec_driver_sql("PRAGMA page_size").scalar_one()
                    )
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM FULL"))
                return int(
                    connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
                )
        finally:
            engine.dispose()


def mlflow_python() -> Path:
    """The interpreter of a virtual environment with MLflow, made once."""
    python = BENCH / "mlflow" / "bin" / "python"
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", BENCH / "mlflow"], check=True)
        packages = [f"mlflow=={MLFLOW}", "psycopg2-binary"]
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return python


@contextmanager
def mlflow(folder: Path, database: str) -> Iterator[Contender]:
    """``mlflow server`` as it comes: no sign-in, its own number of workers."""
    folder.mkdir()
    port = free_ports(1)
    command = [mlflow_python(), "-m", "mlflow", "server", "--port", str(port), "--host", "127.0.0.1"]
    uri = database.replace("postgresql://", "postgresql+psycopg2://")
    command += ["--backend-store-uri", uri, "--artifacts-destination", folder / "artifacts"]
    log = (folder / "log").open("wb")
    server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(port, server, folder / "log")
        yield Contender("MLflow", port, {}, [server.pid], database)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
        log.close()


@contextmanager
def nacre(folder: Path, database: str | None) -> Iterator[Contender]:
    """``nacre up`` with everything on; the owner's token."""
    port = free_ports(3)
    env = {k: v for k, v in os.environ.items() if not k.startswith("NACRE_")}
    env["NACRE_HOME"] = str(folder)
    if database is not None:
        env["NACRE_DATABASE_URL"] = database
    program = [str(Path(sys.executable).with_name("nacre"))]
    subprocess.run(
        [*program, "up", "-d", "--port", str(port)], env=env, check=True, stdout=subprocess.DEVNULL
    )
    try:
        token = json.loads((folder / "owner.json").read_text())["token"]
        pid = json.loads((folder / "server.json").read_text())["pid"]
        headers = {"Authorization": f"Bearer {token}"}
        yield Contender("Nacre", port, headers, [pid], database or f"sqlite:///{folder / 'nacre.db'}")
    finally:
        subprocess.run([*program, "down", "--all"], env=env, check=False, stdout=subprocess.DEVNULL)


def _wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"the server did not start:\n{log.read_text()[-2000:]}")


# ---- runs to search in, put straight into the tables: through the API MLflow would take minutes


def seed_runs(server: Contender, experiment: str, count: int) -> None:
    """``count`` runs with five params and five metrics each, the same in both systems."""
    engine = server.engine()
    tables = MetaData()
    tables.reflect(engine)
    chance = random.Random(count)
    rows = [(uuid.uuid4().hex, n, [chance.random() for _ in range(METRICS)]) for n in range(count)]
    put = _mlflow_rows if server.name == "MLflow" else _nacre_rows
    with engine.begin() as connection:
        for at in range(0, count, 5000):
            for name, values in put(connection, tables, experiment, rows[at : at + 5000]):
                connection.execute(tables.tables[name].insert(), values)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    engine.dispose()


_Rows = list[tuple[str, int, list[float]]]
_NOW = 1_700_000_000_000


def _mlflow_rows(_connection: Any, _tables: Any, experiment: str, rows: _Rows) -> Any:
    run = {"experiment_id": int(experiment), "status": "FINISHED", "lifecycle_stage": "active",
           "user_id": "bench", "source_type": "LOCAL", "source_name": "", "entry_point_name": "",
           "source_version": "", "artifact_uri": "mlflow-artifacts:/0"}  # fmt: skip
    yield (
        "runs",
        [
            {**run, "run_uuid": r, "name": f"run-{n}", "start_time": _NOW + n, "end_time": _NOW + n}
            for r, n, _ in rows
        ],
    )
    yield (
        "params",
        [
            {"run_uuid": r, "key": f"p{k}", "value": str((n >> k) % 7)}
            for r, n, _ in rows
            for k in range(PARAMS)
        ],
    )
    latest = [
        {"run_uuid": r, "key": f"m{k}", "value": v, "timestamp": _NOW, "step": 1, "is_nan": False}
        for r, _, values in rows
        for k, v in enumerate(values)
    ]
    yield "latest_metrics", latest
    yield "metrics", latest
    yield "tags", [{"run_uuid": r, "key": "mlflow.runName", "value": f"run-{n}"} for r, n, _ in rows]


def _nacre_rows(connection: Any, tables: Any, experiment: str, rows: _Rows) -> Any:
    runs = tables.tables["runs"]
    project, user = connection.execute(
        runs.select().with_only_columns(runs.c.project_id, runs.c.user_id).limit(1)
    ).one()
    base = {"project_id": project, "user_id": user, "experiment_id": int(experiment), "state": "finished"}
    yield (
        "runs",
        [
            {
                **base,
                "uuid": r,
                "name": f"run-{n}",
                "created_at": _NOW + n,
                "started_at": _NOW + n,
                "ended_at": _NOW + n,
            }
            for r, n, _ in rows
        ],
    )
    first, last = rows[0][0], rows[-1][0]
    low, high = (
        connection.execute(runs.select().with_only_columns(runs.c.id).where(runs.c.uuid == u)).scalar_one()
        for u in (first, last)
    )
    found = connection.execute(
        runs.select().with_only_columns(runs.c.uuid, runs.c.id).where(runs.c.id.between(low, high))
    )
    ids = dict(found.tuples().all())
    yield (
        "run_params",
        [
            {"run_id": ids[r], "key": f"p{k}", "value": str((n >> k) % 7)}
            for r, n, _ in rows
            for k in range(PARAMS)
        ],
    )
    yield "metric_series", [
        {"run_id": ids[r], "key": f"m{k}", "last_step": 1, "last_ts": _NOW, "last_value": v, "n": 1,
         "min": v, "max": v, "tail": 1, "blocks": 0}
        for r, _, values in rows
        for k, v in enumerate(values)
    ]  # fmt: skip
    yield "run_tags", [{"run_id": ids[r], "key": "mlflow.runName", "value": f"run-{n}"} for r, n, _ in rows]
