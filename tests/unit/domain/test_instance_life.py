"""The life of an instance, by tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from nacre.domain.instances import Kernel, Terminal, ending, last_active

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("attempt", "asked", "state", "reason"),
    [
        ("cancelled_by_user", "stopped_by_user", "stopped", "stopped_by_user"),
        ("succeeded", "stopped_by_user", "stopped", "stopped_by_user"),
        ("exit_nonzero", "idle", "stopped", "idle"),
        ("node_lost", "idle", "stopped", "idle"),
        ("cancelled_by_user", "not_ready", "failed", "not_ready"),
        ("cancelled_by_user", None, "stopped", "stopped_by_user"),
        ("succeeded", None, "stopped", "shut_down"),
        ("out_of_memory", None, "failed", "out_of_memory"),
        ("node_lost", None, "failed", "node_lost"),
        ("launch_failed", None, "failed", "launch_failed"),
    ],
)
def test_what_an_attempts_end_means(attempt: str, asked: str | None, state: str, reason: str) -> None:
    found = ending(attempt, asked)
    assert (found.state, found.reason) == (state, reason)


@pytest.mark.parametrize(
    ("kernels", "terminals", "expected"),
    [
        ([], [], 60),
        ([Kernel("idle", ago(30))], [], 30),
        ([Kernel("busy", ago(500))], [], 0),
        ([Kernel("idle", ago(90)), Kernel("busy", ago(90))], [], 0),
        ([Kernel("starting", ago(90))], [], 60),
        ([], [Terminal(ago(5)), Terminal(ago(7))], 5),
        ([Kernel("idle", ago(-10))], [], 0),  # its clock is ahead of ours
    ],
)
def test_when_it_was_last_at_work(
    kernels: list[Kernel], terminals: list[Terminal], expected: float
) -> None:
    assert last_active(NOW, ago(60), kernels, terminals) == ago(expected)
