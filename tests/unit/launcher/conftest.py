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


def _mark(mode: str) -> Any:
    return pytest.param(mode, marks=[pytest.mark.sandbox] if mode != "none" else [])


@pytest.fixture(params=[_mark(mode) for mode in MODES])
def host(request: pytest.FixtureRequest, make_host: Callable[[str], Host]) -> Host:
    """Once for each mode of this host."""
    return make_host(request.param)


@pytest.fixture(params=[_mark(mode) for mode in BOXED])
def boxed(request: pytest.FixtureRequest, make_host: Callable[[str], Host]) -> Host:
    """Once for each mode with bubblewrap."""
    return make_host(request.param)


@pytest.fixture
def plain(make_host: Callable[[str], Host]) -> Host:
    """Without a sandbox."""
    return make_host("none")
