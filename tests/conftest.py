"""Fixtures that every test may use: a clock that stands still, a database of each kind, people."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.database_kit import PostgresCopies, sqlite_in

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.ids import new_id
from nacre.schema.access import Role

# How long an example takes is the machine's affair.
settings.register_profile("nacre", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nacre")

_LONGEST = (
    "e2e/chaos/test_chaos.py",
    "e2e/test_frameworks.py",
    "e2e/test_replica_frameworks.py",
    "e2e/console/test_console_pages.py",
    "e2e/test_replicas.py",
    "e2e/test_full_disk.py",
    "e2e/test_durability.py",
    "e2e/test_tensorboard.py",
    "unit/launcher/capture/test_capture_frameworks.py",
    "unit/workloads/test_starters.py",
    "unit/workloads/test_convert_pytorch.py",
    "unit/workloads/test_convert_keras.py",
    "unit/workloads/test_convert_sklearn.py",
    "conformance/test_engines.py",
    "unit/launcher/test_launcher_samples.py",
    "unit/modelserver/test_remote_revision.py",
    "unit/launcher/test_launcher_adoption.py",
    "unit/launcher/test_launcher_gang.py",
)
"""Files that take minutes, or the larger part of one, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, then those of many tests: so the workers of ``--dist loadfile`` end at
    about the same time. (In xdist's own order, which is off, a long test alone in its file is last.)"""
    here = Path(__file__).parent
    tests = Counter(item.path for item in items)
    first = {here / name: -len(_LONGEST) + index for index, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: (first.get(item.path, 0), -tests[item.path], str(item.path)))


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


def postgres_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, newest version first."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a private PostgreSQL server on loopback; ``NACRE_TEST_POSTGRES`` names another one."""
    if given := os.environ.get("NACRE_TEST_POSTGRES"):
        yield given
        return
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    # not in pytest's own folder: each run of pytest closes that to other users, such as PostgreSQL's
    folder = Path(tempfile.mkdtemp(prefix="nacre-postgres-"))
    demote: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        demote = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        subprocess.run(["chown", "nobody:nogroup", folder], check=True)
        for parent in folder.parents:
            if parent.stat().st_uid == 0 and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
    data, port = folder / "data", _free_port()
    subprocess.run(
        [*demote, programs / "initdb", "-D", data, "-A", "trust", "-U", "nacre", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
    settings += ["-c", "fsync=off", "-c", "full_page_writes=off"]  # nobody needs them after a crash
    server = subprocess.Popen(
        [*demote, programs / "postgres", "-D", data, "-p", str(port), "-k", folder, *settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"postgresql://nacre@127.0.0.1:{port}/postgres"
    ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
    try:
        deadline = time.monotonic() + 60
        while subprocess.run(ready, check=False).returncode != 0:  # a refused connection answers at once
            assert time.monotonic() < deadline, "PostgreSQL did not start within a minute"
            time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_copies(postgres_server: str) -> Iterator[PostgresCopies]:
    """Makes databases with every table on that server."""
    copies = PostgresCopies(postgres_server)
    yield copies
    copies.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database with every table, once on SQLite and once on a real PostgreSQL."""
    if request.param == "sqlite":
        found = sqlite_in(tmp_path)
        yield found
        found.close()
        return
    copies: PostgresCopies = request.getfixturevalue("postgres_copies")
    with copies.one() as found:
        yield found


@dataclass(frozen=True)
class People:
    """A project ``vision`` with one caller per role, and a stranger."""

    project: ProjectRef
    owner: Caller
    editor: Caller
    viewer: Caller
    stranger: Caller


@pytest.fixture
def people(database: Database, clock: FixedClock) -> People:
    """Rows and callers for tests of services."""
    project_id = new_id("prj")
    callers: dict[str, Caller] = {}
    with database.write() as session:
        session.add(
            ProjectRow(id=project_id, number=1, name="vision", description="", created_at=clock.now())
        )
        for name in ("owner", "editor", "viewer", "stranger"):
            user_id = new_id("usr")
            session.add(UserRow(id=user_id, name=name, admin=name == "owner", created_at=clock.now()))
            session.flush()
            role = Role(name) if name != "stranger" else None
            if role:
                session.add(
                    MemberRow(project_id=project_id, user_id=user_id, role=role, created_at=clock.now())
                )
            ref = ProjectRef(project_id, "vision", role)
            callers[name] = Caller(user_id, name, admin=name == "owner", project=ref)
    return People(ProjectRef(project_id, "vision", Role.OWNER), **callers)
