"""A server, and hosts in every sandbox mode that really works on this machine."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from launcher_api import FakeApi
from launcher_host import BOXED, MODES, Host

from nacre.ids import new_id


@pytest.fixture
def api() -> Iterator[FakeApi]:
    server = FakeApi()
    yield server
    server.close()
    assert server.wrong == []


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="nacre-launcher-"))
    path.chmod(0o755)
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)


@pytest.fixture
def make_host(root: Path, api: FakeApi) -> Iterator[Callable[[str], Host]]:
    made: list[Host] = []

    def make(mode: str) -> Host:
        made.append(Host(root, api, mode))
        return made[-1]

    yield make
    for host in made:
        host.end()


@pytest.fixture
def make_gang(root: Path) -> Iterator[Callable[[str], list[Host]]]:
    """Two replicas of one attempt, with a server of their own."""
    servers: list[FakeApi] = []
    made: list[Host] = []

    def make(mode: str) -> list[Host]:
        servers.append(api := FakeApi())
        attempt = new_id("att")
        gang = [Host(root, api, mode, attempt, rank) for rank in range(2)]
        made.extend(gang)
        api.gang = 2
        return gang

    yield make
    for host in made:
        host.end()
    for server in servers:
        server.close()
        assert server.wrong == []


def _mark(mode: str) -> Any:
    return pytest.param(mode, marks=[pytest.mark.sandbox] if mode != "none" else [])


@pytest.fixture(params=[_mark(mode) for mode in MODES])
def host(request: pytest.FixtureRequest, make_host: Callable[[str], Host]) -> Host:
    """Once for each mode of this host."""
    return make_host(request.param)


@pytest.fixture
def every_host(root: Path) -> Iterator[list[Host]]:
    """One for each mode of this host, each with its own home and server: for what takes long, and can
    be done in all of them at once."""
    servers = [FakeApi() for _ in MODES]
    made: list[Host] = []
    for mode, server in zip(MODES, servers, strict=True):
        (root / mode).mkdir(mode=0o755)
        made.append(Host(root / mode, server, mode))
    yield made
    for host in made:
        host.end()
    for server in servers:
        server.close()
        assert server.wrong == []


@pytest.fixture(params=[_mark(mode) for mode in BOXED])
def boxed(request: pytest.FixtureRequest, make_host: Callable[[str], Host]) -> Host:
    """Once for each mode with bubblewrap."""
    return make_host(request.param)


@pytest.fixture(params=[_mark(mode) for mode in MODES])
def gang(request: pytest.FixtureRequest, make_gang: Callable[[str], list[Host]]) -> list[Host]:
    """Two replicas, in each mode of this host."""
    return make_gang(request.param)


@pytest.fixture(params=[_mark(mode) for mode in BOXED])
def boxed_gang(request: pytest.FixtureRequest, make_gang: Callable[[str], list[Host]]) -> list[Host]:
    """Two replicas, in each mode with bubblewrap."""
    return make_gang(request.param)


@pytest.fixture
def plain_gang(make_gang: Callable[[str], list[Host]]) -> list[Host]:
    """Two replicas without a sandbox."""
    return make_gang("none")


@pytest.fixture
def plain(make_host: Callable[[str], Host]) -> Host:
    """Without a sandbox."""
    return make_host("none")
