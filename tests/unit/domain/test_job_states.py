"""The life of a job, case by case."""

from __future__ import annotations

import pytest

from nacre.domain.jobs import (
    TRANSITIONS,
    Outcome,
    command_line,
    end_reason,
    may_follow,
    next_name,
    outcome,
    stem,
)
from nacre.schema.jobs import FINAL_STATES, JobState

RESTART = Outcome(JobState.QUEUED, restart=True)
FAILED = Outcome(JobState.FAILED)
CANCELLED = Outcome(JobState.CANCELLED)


class TestStates:
    def test_every_state_says_what_may_follow(self) -> None:
        assert set(TRANSITIONS) == set(JobState)

    def test_nothing_follows_a_final_state(self) -> None:
        assert not any(may_follow(final, state) for final in FINAL_STATES for state in JobState)

    @pytest.mark.parametrize(
        ("state", "following"),
        [
            ("queued", "preparing"),
            ("queued", "cancelled"),
            ("preparing", "running"),
            ("starting", "running"),
            ("running", "stopping"),
            ("running", "queued"),
            ("stopping", "cancelled"),
        ],
    )
    def test_forward_and_back_to_the_queue(self, state: str, following: str) -> None:
        assert may_follow(JobState(state), JobState(following))

    @pytest.mark.parametrize(
        ("state", "following"),
        [
            ("queued", "running"),
            ("queued", "succeeded"),
            ("running", "starting"),
            ("starting", "preparing"),
            ("stopping", "running"),
            ("running", "running"),
        ],
    )
    def test_late_reports_change_nothing(self, state: str, following: str) -> None:
        assert not may_follow(JobState(state), JobState(following))


@pytest.mark.parametrize(
    ("reason", "before", "max_restarts", "stopping", "expected"),
    [
        ("succeeded", [], 0, False, Outcome(JobState.SUCCEEDED)),
        ("succeeded", [], 3, True, Outcome(JobState.SUCCEEDED)),
        ("exit_nonzero", [], 0, False, FAILED),
        ("exit_nonzero", [], 1, False, RESTART),
        ("exit_nonzero", ["exit_nonzero"], 1, False, FAILED),
        ("exit_nonzero", [], 3, True, FAILED),
        ("out_of_memory", [], 1, False, RESTART),
        ("disk_full", [], 1, False, RESTART),
        ("node_lost", [], 0, False, RESTART),
        ("node_lost", ["node_lost"] * 4, 0, False, RESTART),
        ("node_lost", ["node_lost"] * 5, 3, False, FAILED),
        ("node_lost", [], 1, True, CANCELLED),
        ("preempted", ["preempted"] * 30, 0, False, RESTART),
        ("preempted", [], 0, True, CANCELLED),
        ("exit_nonzero", ["preempted", "node_lost"], 1, False, RESTART),
        ("exit_nonzero", ["preempted", "exit_nonzero"], 1, False, FAILED),
        ("launch_failed", [], 1, False, RESTART),
        ("launch_failed", [], 1, True, CANCELLED),
        ("timed_out", [], 5, False, FAILED),
        ("data_missing", [], 5, False, FAILED),
        ("cancelled_by_user", [], 5, False, CANCELLED),
        ("cancelled_by_user", [], 5, True, CANCELLED),
    ],
)
def test_what_an_end_means(
    reason: str, before: list[str | None], max_restarts: int, stopping: bool, expected: Outcome
) -> None:
    assert outcome(reason, before, max_restarts, stopping=stopping) == expected


@pytest.mark.parametrize(
    ("reason", "exit_code", "signal", "expected"),
    [
        ("exit_nonzero", None, None, "node_lost"),
        ("exit_nonzero", 1, None, "exit_nonzero"),
        ("exit_nonzero", None, 9, "exit_nonzero"),
        ("out_of_memory", None, None, "out_of_memory"),
        (None, None, None, "launch_failed"),
    ],
)
def test_work_that_left_neither_code_nor_signal_was_lost(
    reason: str | None, exit_code: int | None, signal: int | None, expected: str
) -> None:
    assert end_reason(reason, exit_code, signal) == expected


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        (["python train.py --epochs 5"], "train"),
        (["python 'src/my model/Train_CNN.py'"], "train_cnn"),
        (["set -x", "python -m lab.train"], "lab.train"),
        (["sh ./go.sh"], "go"),
        (["/usr/bin/env true"], "env"),
        (["echo hello"], "echo"),
        (["  "], "job"),
        (["---"], "job"),
        (["x" * 80], "x" * 50),
    ],
)
def test_a_job_is_named_after_what_it_runs(commands: list[str], expected: str) -> None:
    assert stem(commands) == expected


def test_numbers_go_on_after_the_highest() -> None:
    assert next_name("train", []) == "train-1"
    assert next_name("train", ["train-1", "train-9", "train-x", "train-2-3", "other-40"]) == "train-10"


def test_several_commands_end_at_the_first_that_fails() -> None:
    trap = "trap 'exit $?' TERM"
    assert command_line(["one"]) == ["/bin/sh", "-c", f"{trap}\none"]
    assert command_line(["one", "two"]) == ["/bin/sh", "-c", f"{trap}\nset -e\none\ntwo"]
