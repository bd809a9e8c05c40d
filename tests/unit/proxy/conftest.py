"""The content listener's stage, on SQLite."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import People
from tests.database_kit import sqlite_in
from tests.unit.proxy.content_stage import Stage, serving

from nacre.clock import FixedClock
from nacre.db.connect import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """One database is enough here: both are tried with the services."""
    found = sqlite_in(tmp_path)
    yield found
    found.close()


@pytest.fixture
def stage(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Iterator[Stage]:
    found = Stage(database, clock, people, tmp_path)
    below = socket.socket(socket.AF_UNIX)
    below.bind(str(found.socket))
    below.listen(16)
    with found.listener, below, serving(found.work, below), serving(found.app(), found.listener):
        yield found
        for client in found.clients:
            client.close()
