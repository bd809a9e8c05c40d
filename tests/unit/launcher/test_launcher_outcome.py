"""The sentence of work that ran out of memory: limit and peak, whoever kept the limit."""

from __future__ import annotations

import pytest

from nacre.launcher.outcome import Seen, decide, memory_message

MIB = 2**20


def seen(code: int | None, **fields: object) -> Seen:
    """A command with a limit of 64 MiB, which it reached once."""
    base = Seen(
        code=code,
        started=True,
        last_line="a worker is gone",
        tail="a worker is gone\n",
        oom_kills=1,
        peak_bytes=64 * MIB,
        memory_limit=64 * MIB,
        memory_by_rlimit=False,
    )
    return base._replace(**fields)  # type: ignore[arg-type]


BOTH = "its limit is 64.0 MiB. It used 64.0 MiB at its peak."


def test_the_command_itself_was_killed() -> None:
    outcome = decide(seen(137))
    assert (outcome.reason, outcome.signal, outcome.exit_code) == ("out_of_memory", 9, None)
    assert outcome.message == f"The command ran out of memory: {BOTH} Ask for more memory, or use less."


def test_only_a_process_of_it_was_killed_and_it_gave_up() -> None:
    outcome = decide(seen(3))
    assert (outcome.reason, outcome.exit_code) == ("out_of_memory", 3)
    assert BOTH in outcome.message
    assert "The command then ended with exit code 3: a worker is gone." in outcome.message


def test_a_command_that_succeeds_without_it_succeeded() -> None:
    assert decide(seen(0)).reason == "succeeded"


@pytest.mark.parametrize("code", [None, 125, 137])
def test_the_sandbox_was_killed_before_the_command_began(code: int | None) -> None:
    outcome = decide(seen(code, started=False))
    assert outcome.reason == "out_of_memory"
    assert BOTH in outcome.message


def test_the_machine_had_no_more() -> None:
    outcome = decide(seen(137, at_limit=False, peak_bytes=10 * MIB))
    assert outcome.reason == "out_of_memory"
    assert outcome.message.startswith("The machine ran out of memory")
    assert "which may use 64.0 MiB. It used 10.0 MiB at its peak." in outcome.message


def test_each_process_had_the_limit() -> None:
    gone = seen(1, oom_kills=0, memory_by_rlimit=True, tail="MemoryError\n", peak_bytes=50 * MIB)
    message = decide(gone).message
    assert "its limit is 64.0 MiB for each process, and one asked for more." in message
    assert "It used 50.0 MiB at its peak, as far as seen. Ask" in message
    assert decide(gone._replace(tail="ValueError\n")).reason == "exit_nonzero"
    assert decide(gone._replace(memory_by_rlimit=False)).reason == "exit_nonzero"


def test_a_watcher_says_the_same() -> None:
    assert memory_message(64 * MIB, 65 * MIB) == (
        "The command ran out of memory: its limit is 64.0 MiB. It used 65.0 MiB at its peak. "
        "Ask for more memory, or use less."
    )
