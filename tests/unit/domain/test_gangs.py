"""Whose end is a gang's, what it leaves, and how long a job rests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from nacre.domain.gangs import cause, merged
from nacre.domain.jobs import back_off_s, per_node
from nacre.schema.launch import FileEntry, Manifest

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class One:
    rank: int
    reason: str | None = None
    after_s: float | None = None

    @property
    def ended_at(self) -> datetime | None:
        return None if self.after_s is None else START + timedelta(seconds=self.after_s)


def who(*ended: tuple[str, float] | None, asked: str | None = None) -> int | None:
    """Rank of the replica that decided, of these by rank."""
    found = cause([One(rank, *(end or (None, None))) for rank, end in enumerate(ended)], asked)
    return None if found is None else found.rank


class TestCause:
    def test_nobody_has_ended(self) -> None:
        assert who(None, None) is None

    def test_the_first_that_failed(self) -> None:
        assert who(("exit_nonzero", 9.0), ("exit_nonzero", 3.0), ("gang_stopped", 1.0)) == 1

    def test_a_clear_reason_goes_before_one_that_only_noticed(self) -> None:
        assert who(("exit_nonzero", 3.0), ("out_of_memory", 3.4)) == 1

    def test_but_not_one_that_came_much_later(self) -> None:
        assert who(("exit_nonzero", 3.0), ("timed_out", 30.0)) == 0

    def test_success_only_when_nobody_failed_or_was_stopped(self) -> None:
        assert who(("succeeded", 1.0), None) == 0
        assert who(("succeeded", 1.0), ("exit_nonzero", 9.0)) == 1
        assert who(("succeeded", 1.0), ("cancelled_by_user", 9.0)) == 1

    def test_who_was_asked_to_stop_did_not_fail(self) -> None:
        ends = (("exit_nonzero", 1.0), ("cancelled_by_user", 2.0))
        assert who(*ends) == 0
        assert who(*ends, asked="cancelled_by_user") == 1
        assert who(("exit_nonzero", 1.0), ("gang_stopped", 2.0), asked="gang_stopped") == 0


def manifest(*paths: str) -> Manifest:
    return Manifest(files=[FileEntry(path=path, size=1, digest="0" * 64) for path in paths])


def test_what_a_gang_leaves_is_replica_0s_and_the_others_beside() -> None:
    found = merged({1: manifest("model.pt", "shard-1"), 0: manifest("model.pt")})
    assert [one.path for one in found.files] == ["model.pt", "replicas/1/model.pt", "replicas/1/shard-1"]


def test_replica_0_wins_where_it_uses_the_others_names() -> None:
    mine = Manifest(files=[FileEntry(path="replicas/1/a", size=7, digest="1" * 64)])
    assert merged({0: mine, 1: manifest("a")}).files == mine.files


def test_restarts_wait_longer_each_time_and_never_for_ever() -> None:
    assert [back_off_s(n) for n in range(6)] == [0, 0, 1, 2, 4, 8]
    assert back_off_s(10**6) == 300


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("torchrun train.py", True),
        ("cd src && torchrun --standalone train.py", True),
        ("python -m torch.distributed.run train.py", True),
        ("accelerate launch train.py", True),
        ("/usr/bin/mpirun -n 2 ./train", True),
        ("python train.py", False),
        ("python torchrun_notes.py", False),
        ("python my-torchrun.py", False),
    ],
)
def test_commands_that_start_their_processes_themselves(command: str, expected: bool) -> None:
    assert per_node([command]) is expected
