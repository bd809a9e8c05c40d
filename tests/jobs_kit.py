"""A real HTTP server over a ``JobsWorld``, and a machine whose work ends at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, cast

from fastapi import FastAPI
from tests.conftest import People
from tests.tracking_kit import Table

from nacre.api.app import make_app
from nacre.control.loop import LoopThread
from nacre.control.queue import QueueLoop
from nacre.errors import NotFound
from nacre.services.registry import Services
from nacre.testing.jobs import JobsWorld


def app_of(world: JobsWorld, people: People) -> FastAPI:
    """The application over a world's services; tokens are people's names, or those of attempts."""
    table = Table(people)
    known: dict[str, Any] = dict.fromkeys(f.name for f in fields(Services))
    known |= {
        "tokens": _Tokens(table, world),
        "projects": table,
        "signals": world.signals,
        "blobs": world.ledger,
        "datasets": world.datasets,
        "environments": world.environments,
        "runs": world.runs,
        "usage": world.usage,
        "attempts": world.attempts,
        "jobs": world.jobs,
        "quotas": world.quotas,
        "scheduling": world.scheduling,
    }
    return make_app(Services(**cast("dict[str, Any]", known)), "0")


@dataclass
class _Tokens:
    table: Table
    world: JobsWorld

    def resolve(self, secret: str) -> Any:
        return self.table.resolve(secret) or self.world.tokens.resolve(secret)


@dataclass
class Script:
    """What every job on the machine prints and how it ends."""

    output: bytes = b"hello\n"
    reason: str = "succeeded"
    exit_code: int | None = 0


@contextmanager
def machine(world: JobsWorld, script: Script) -> Iterator[None]:
    """Start what is queued, and bring it to its end as the script says."""
    stopping = threading.Event()
    queue = LoopThread(QueueLoop(world.queue, world.elastic), world.signals)

    def work() -> None:
        done: set[str] = set()
        while not stopping.wait(0.01):
            world.build_environments()
            for attempt in set(world.engine.launched) - done:
                done.add(attempt)
                try:
                    world.report(attempt, {"type": "state", "state": "running"})
                    world.attempts.report(attempt, 0, "log", offset=0, body=script.output)
                    world.exit(attempt, script.reason, script.exit_code)
                except NotFound:
                    continue

    thread = threading.Thread(target=work)
    queue.start()
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(20)
        assert queue.stop()
