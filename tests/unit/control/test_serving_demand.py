"""The loop that waits at the model server for requests without a replica."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from nacre.control.model_server import ModelServer
from nacre.control.serving import DemandLoop, ServingLoop
from nacre.schema.serving import Demand, Routes, ServedEndpoint, ServedRevision
from nacre.services.signals import Signals


class Server:
    """In place of the model server: what waits, and how often it was asked."""

    def __init__(self) -> None:
        self.waiting: dict[str, int] = {}
        self.running = True
        self.asked: list[float] = []

    def state(self) -> str:
        return "running" if self.running else "stopped"

    def demand(self, wait_s: float) -> Demand:
        self.asked.append(wait_s)
        return Demand(waiting=self.waiting)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr("nacre.control.serving.time", SimpleNamespace(sleep=found.append))
    return found


def loop(server: Server, signals: Signals, *, cold: bool) -> DemandLoop:
    serving = cast("ServingLoop", SimpleNamespace(cold=cold))
    return DemandLoop(cast("ModelServer", server), serving, signals)


def test_requests_that_wait_wake_the_scaling_and_leave_it_time(naps: list[float]) -> None:
    server, signals = Server(), Signals()
    with signals.listen("endpoints") as woken:
        waits = loop(server, signals, cold=True)
        waits.run_once()
        assert (woken.is_set(), naps, len(server.asked)) == (False, [], 1)
        server.waiting = {"vision/ask": 2}
        waits.run_once()
        assert (woken.is_set(), len(naps)) == (True, 1)


def test_nobody_is_asked_while_nothing_can_wait(naps: list[float]) -> None:
    server, signals = Server(), Signals()
    loop(server, signals, cold=False).run_once()
    server.running = False
    loop(server, signals, cold=True).run_once()
    assert (server.asked, len(naps)) == ([], 2)


@pytest.mark.parametrize(
    ("runtime", "cold", "expected"),
    [("replicas", True, True), ("replicas", False, False), ("onnx", True, False)],
)
def test_only_replicas_that_may_be_none_are_waited_for(runtime: str, cold: bool, expected: bool) -> None:
    revision = ServedRevision.model_validate(
        {"revision": 1, "model": "m", "model_version": 1, "runtime": runtime}
    )
    serving = ServingLoop.__new__(ServingLoop)
    serving._applied = None
    assert not serving.cold
    served = {"p/e": ServedEndpoint(revisions=[revision], cold=cold)}
    serving._applied = Routes(generation=1, endpoints=served)
    assert serving.cold == expected
