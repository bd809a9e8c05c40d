"""The life of a job as pure decisions: which state follows which, and what an attempt's end means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nacre.schema.jobs import FINAL_STATES, JobState
from nacre.schema.launch import ExitReason

NODE_LOST = "node_lost"
PREEMPTED = "preempted"
RESIZED = "resized"
GANG_STOPPED = "gang_stopped"
RENDEZVOUS_TIMEOUT = "rendezvous_timeout"
BACKING_OFF = "backing_off"
FENCING = "fencing"
"""It waits until nothing of an earlier attempt can still write."""
_BACK_OFF_S, _BACK_OFF_MAX_S = 1.0, 300.0
ENVIRONMENT_FAILED = "environment_failed"
ENVIRONMENT_BUILDING = "environment_building"
CANCELLED = ExitReason.CANCELLED_BY_USER.value
CANNOT = 2
"""Exit code of the server's own programs (``nacre.workloads``) that cannot do it, whatever the machine."""

_Q, _P, _S, _R, _X = (
    JobState.QUEUED,
    JobState.PREPARING,
    JobState.STARTING,
    JobState.RUNNING,
    JobState.STOPPING,
)

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    _Q: frozenset({_P, JobState.FAILED, JobState.CANCELLED}),
    _P: frozenset({_Q, _S, _R, _X}) | FINAL_STATES,
    _S: frozenset({_Q, _R, _X}) | FINAL_STATES,
    _R: frozenset({_Q, _X}) | FINAL_STATES,
    _X: frozenset({_Q}) | FINAL_STATES,
    **{state: frozenset() for state in FINAL_STATES},
}
"""Which states may follow each one. Back to ``queued`` means that another attempt is due."""

_RETRIED = frozenset(
    {
        ExitReason.EXIT_NONZERO.value,
        ExitReason.OUT_OF_MEMORY.value,
        ExitReason.DISK_FULL.value,
        ExitReason.LAUNCH_FAILED.value,
        RENDEZVOUS_TIMEOUT,
    }
)
FREE_RESTARTS: dict[str, int | None] = {PREEMPTED: None, RESIZED: None, NODE_LOST: 5}
"""Ends that are nobody's fault: how often a job is started again after each (None: always), uncounted."""
_NOT_THE_WORK = frozenset(
    {ExitReason.LAUNCH_FAILED.value, RENDEZVOUS_TIMEOUT, NODE_LOST, PREEMPTED, RESIZED, CANCELLED}
)


def may_follow(state: JobState, following: JobState) -> bool:
    """Whether a job in ``state`` may go to ``following``; a report that comes late may not."""
    return following in TRANSITIONS[state]


@dataclass(frozen=True)
class Outcome:
    """What a job becomes when its attempt has ended."""

    state: JobState
    restart: bool = False


def outcome(reason: str, before: Sequence[str | None], max_restarts: int, *, stopping: bool) -> Outcome:
    """What follows from the end of an attempt.

    ``max_restarts`` counts restarts after any failure but a time limit, missing data and a stop by the
    user. Coming back after pre-emption or a lost node is not counted. A job that somebody asked to stop is
    never started again.

    Args:
        reason: of the attempt's end: an ``ExitReason``, ``node_lost`` or ``preempted``.
        before: the reasons of the attempts before it.
        max_restarts: of the job.
        stopping: whether somebody asked the job to stop.
    """
    if reason == ExitReason.SUCCEEDED:
        return Outcome(JobState.SUCCEEDED)
    if reason == CANCELLED or (stopping and reason in _NOT_THE_WORK):
        return Outcome(JobState.CANCELLED)
    if not stopping and reason in FREE_RESTARTS:
        free = FREE_RESTARTS[reason]
        if free is None or list(before).count(reason) < free:
            return Outcome(JobState.QUEUED, restart=True)
    if not stopping and reason in _RETRIED and counted(before) < max_restarts:
        return Outcome(JobState.QUEUED, restart=True)
    return Outcome(JobState.FAILED)


def counted(before: Sequence[str | None]) -> int:
    """How many attempts ended in a way that ``max_restarts`` counts, from their reasons."""
    return sum(reason not in FREE_RESTARTS for reason in before)


def back_off_s(failures: int) -> float:
    """How long a job rests after so many failures that count: not after the first, then 1, 2, 4 … at most
    300 seconds."""
    return min(_BACK_OFF_MAX_S, _BACK_OFF_S * 2.0 ** min(failures - 2, 20)) if failures > 1 else 0.0


def per_node(commands: Sequence[str]) -> bool:
    """Whether the command starts the processes of its node itself, as torchrun does."""
    return any(_STARTER.search(command) for command in commands)


def end_reason(reason: str | None, exit_code: int | None, signal: int | None) -> str:
    """The reason of an attempt's end, from its exit event.

    A command that a later launcher found gone, without exit code or signal, was lost with its node: the
    machine restarted, or everything there was killed.
    """
    if reason == ExitReason.EXIT_NONZERO and exit_code is None and signal is None:
        return NODE_LOST
    return reason or ExitReason.LAUNCH_FAILED.value


_STARTER = re.compile(
    r"(?:^|[\s;&|/])(?:torchrun|mpirun|mpiexec|horovodrun|deepspeed|accelerate\s+launch|"
    r"-m\s+(?:torch\.distributed\.(?:run|launch)|accelerate\.commands\.launch|lightning\.fabric))(?=$|\s)"
)
_SCRIPT = re.compile(r"(?:^|[\s/'\"])([A-Za-z0-9_][\w.-]*)\.(?:py|sh|ipynb)(?=$|[\s'\"])")
_MODULE = re.compile(r"python[\d.]*\s+-m\s+([A-Za-z_][\w.]*)")


def stem(commands: list[str]) -> str:
    """What a job without a name is called, before its number: its script, module or program."""
    text = "\n".join(commands)
    found = _SCRIPT.search(text) or _MODULE.search(text)
    word = found[1] if found else text.split()[0].rsplit("/", 1)[-1] if text.split() else "job"
    clean = re.sub(r"[^a-z0-9._-]+", "-", word.lower()).strip("-._")[:50].strip("-._")
    return clean or "job"


def next_name(base: str, taken: Iterable[str]) -> str:
    """``base-N`` with the number after the highest one taken."""
    numbers = [
        int(name[len(base) + 1 :]) for name in taken if re.fullmatch(re.escape(base) + r"-\d{1,9}", name)
    ]
    return f"{base}-{max(numbers, default=0) + 1}"


def command_line(commands: list[str]) -> list[str]:
    """The argument vector that runs the commands in one shell, ending at the first that fails.

    Asked to end, the shell waits for the command that runs, which is asked too, and starts no other one.
    """
    first = ["trap 'exit $?' TERM"] if len(commands) == 1 else ["trap 'exit $?' TERM", "set -e"]
    return ["/bin/sh", "-c", "\n".join([*first, *commands])]


def joined(first: str | None, second: str | None) -> str | None:
    """Both sentences; one that is there already is not said again."""
    if first and second and second not in first:
        return f"{first} {second}"[:4000]
    return (first or second or "")[:4000] or None
