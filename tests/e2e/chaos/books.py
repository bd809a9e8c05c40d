"""The books after a storm: everything is there once, paid for once, and nothing is left behind."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from real_server import Server, wait_until
from workloads import STEP_S, Work

from nacre.errors import NotFound
from nacre.schema.jobs import Job, JobState
from nacre.schema.usage import UsageRecord
from nacre.sdk.client import Client


def check_job(client: Client, work: Work, job: Job, usage: Sequence[UsageRecord]) -> None:
    """What the job printed, tracked, left, how it ended and what it cost: ``usage`` has its records."""
    logs = [b"".join(client.jobs.logs(job.id, replica=rank)).decode() for rank in range(work.replicas)]
    points = _points(client, job)
    assert all(record.ended_at is not None for record in usage), "somebody still pays for it"
    assert len(usage) == len(job.attempts) >= 1, f"{len(usage)} usage records"
    assert {record.cpu for record in usage} == {0.1 * work.replicas}, "other cpus were paid for"
    if work.excused and (job.state is not JobState.SUCCEEDED or len(job.attempts) > 1):
        assert job.reason or job.state is JobState.SUCCEEDED, "it has no reason"
        for log in logs:
            for part in re.split(r"^--- attempt .* ---$", log, flags=re.MULTILINE):
                lines = [line for line in part.splitlines() if line in work.lines]
                assert len(set(lines)) == len(lines), "a line is there twice"
        most = max(Counter(points).values(), default=0)
        assert most <= len(job.attempts), "an attempt's point is there twice"
        assert set(points) <= set(work.points), "it has points that it never logged"
        return
    assert len(job.attempts) == 1, "it ran more than once"
    for rank, log in enumerate(logs):
        _same(f"the log of replica {rank}", _printed(log, excused=work.excused), work.lines)
    _same("its points", points, work.points)
    wanted = (
        (JobState.SUCCEEDED, None, 0) if work.code == 0 else (JobState.FAILED, "exit_nonzero", work.code)
    )
    assert (job.state, job.reason, job.exit_code) == wanted, "it ended another way"
    left = sorted(file.path for file in client.runs.artifacts(job.run).files)
    _same("what it left", left, sorted(work.files))
    [record] = usage
    assert record.ended_at == job.ended_at, f"paid for until {record.ended_at}, ended {job.ended_at}"
    assert job.started_at is not None
    assert job.ended_at is not None
    ran_s, least_s = (job.ended_at - job.started_at).total_seconds(), work.steps * STEP_S
    assert ran_s >= least_s, f"it ran for {ran_s:.3f} s, not {least_s:.3f} s"
    times = [job.created_at, record.started_at, job.started_at]
    assert times == sorted(times), f"created, paid for, started: {times}"


def told(work: Work, job: Job) -> str:
    """One line about a job, for whoever reads what is wrong with it."""
    attempts = [f"{one.reason} ({(one.message or '').partition(chr(10))[0]})" for one in job.attempts]
    excused = ", the disk was full" if work.excused else ""
    return f"{job.name}: {job.state}, {job.reason}, exit code {job.exit_code}; {attempts}{excused}"


def _printed(log: str, *, excused: bool) -> list[str]:
    """Lines of a log, without what the SDK says (where, what, the source) of a disk that was full."""
    lines = log.splitlines()
    for at in range(len(lines) - 1, -1, -1) if excused else ():
        if "RuntimeWarning: nacre: metrics cannot be written" in lines[at]:
            source = lines[at + 1 : at + 2] == ['  nacre.log_metric("value", i * 0.5, step=i)']
            del lines[at : at + 1 + source]
    return lines


def _same(what: str, found: list[Any], wanted: list[Any]) -> None:
    """Name the first difference."""
    pairs = enumerate(zip_longest(found, wanted))
    at = next((f"at {n}: {str(a)[:60]!r}, not {str(b)[:60]!r}" for n, (a, b) in pairs if a != b), "")
    assert found == wanted, f"{what}: {len(found)} of {len(wanted)}, {at}"


def _points(client: Client, job: Job) -> list[tuple[int, float]]:
    try:
        found = client.runs.metric(job.run, "value").points
    except NotFound:  # it was ended before the first
        return []
    return [(point.step, point.value) for point in found]


def check_nothing_left(server: Server) -> None:
    """No folder, process, mount or control group of any attempt; the server still runs."""
    try:
        wait_until("nothing is left of the work", lambda: not _left(server), 60, 0.5)
    except AssertionError as error:
        error.add_note(f"left: {_left(server)}")
        raise


def _left(server: Server) -> list[str]:
    attempts = {path.name for path in (server.home / "logs").glob("att_*")}
    found = [str(path) for path in (server.home / "attempts").iterdir()]
    found += [f"process {pid}" for pid in server.work()]
    found += [line for line in server.launchers() if "nacre.launcher" in line]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [line for line in mounts if f"{server.home}/attempts" in line]
    for base, names, _ in os.walk("/sys/fs/cgroup"):
        found += [f"{base}/{name}" for name in names if name.rpartition("-")[0] in attempts]
    return found
