"""Fixtures: a real server process for the whole session, and more of them for tests that kill them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from real_server import MakeServer, Server


@pytest.fixture(scope="session")
def e2e_folder() -> Iterator[Path]:
    """A short path, not in pytest's own folder, which keeps what is big and is closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="nacre-e2e-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def built_environments(e2e_folder: Path) -> Path:
    """The folder of environments that every server of the session shares: ``base`` is built once."""
    folder = Path(os.environ.get("NACRE_TEST_ENVIRONMENTS") or e2e_folder / "environments")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make(folder: Path, environments: Path, variables: Mapping[str, str]) -> Server:
    home = Path(tempfile.mkdtemp(prefix="home-", dir=folder))
    (home / "environments").symlink_to(environments)
    return Server(home, variables)


@pytest.fixture(scope="session")
def nacre_server(e2e_folder: Path, built_environments: Path) -> Iterator[Server]:
    """One server for every test that leaves it as it was."""
    server = _make(e2e_folder, built_environments, {})
    try:
        server.start()
        yield server
    finally:
        server.end()


def _maker(folder: Path, environments: Path) -> Iterator[MakeServer]:
    made: list[Server] = []

    def make(*, start: bool = True, **variables: str) -> Server:
        server = _make(folder, environments, variables)
        made.append(server)
        if start:
            server.start()
        return server

    yield make
    for server in made:
        server.end()


@pytest.fixture
def make_server(e2e_folder: Path, built_environments: Path) -> Iterator[MakeServer]:
    """Servers of this test's own, started unless ``start=False``; variables by keyword. It ends them."""
    yield from _maker(e2e_folder, built_environments)


@pytest.fixture(scope="module")
def make_module_server(e2e_folder: Path, built_environments: Path) -> Iterator[MakeServer]:
    """The same for servers that the module's tests share."""
    yield from _maker(e2e_folder, built_environments)
