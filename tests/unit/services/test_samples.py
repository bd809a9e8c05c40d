"""Samples of replicas become metrics of their run."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.conftest import People

from nacre.clock import FixedClock, epoch_ms
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.runs import MetricSeriesRow
from nacre.schema.jobs import Job
from nacre.schema.launch import ReplicaSample
from nacre.services.samples import apply_samples
from nacre.testing.jobs import JobsWorld

MB = 1_000_000


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


def running(world: JobsWorld, people: People, **fields: object) -> tuple[Job, str]:
    """A job that runs, with two cores and 1 GB."""
    job, attempt = world.running(people.editor, resources={"cpu": 2, "memory": "1GB"}, **fields)
    world.report(attempt, {"type": "state", "state": "running"})
    return job, attempt


def apply(world: JobsWorld, attempt: str, *samples: ReplicaSample, rank: int = 0) -> None:
    with world.db.write() as session:
        row = session.get(AttemptRow, attempt)
        assert row is not None
        apply_samples(session, world.runs, row, rank, samples)


def last(world: JobsWorld, people: People, job: Job) -> dict[str, float]:
    return {one.key: one.last for one in world.runs.get(people.viewer, job.run).metrics}


def test_names_are_mlflows_and_percentages_of_what_was_asked_for(
    world: JobsWorld, people: People, clock: FixedClock
) -> None:
    job, attempt = running(world, people)
    gpu = {"percent": 87, "memory_bytes": 20_000 * MB, "memory_percent": 25, "power_watts": 350.5}
    sample = {
        "time_ms": epoch_ms(clock.now()),
        "cpu_percent": 150.0,
        "memory_bytes": 2**28,
        "disk_bytes": 3 * MB,
        "disk_read_bytes_s": 1.5 * MB,
        "disk_write_bytes_s": 0,
        "network_receive_bytes": 2 * MB,
        "network_transmit_bytes": 4 * MB,
        "processes": 3,
        "gpus": [{}, gpu],
    }
    apply(world, attempt, ReplicaSample.model_validate(sample))
    found = last(world, people, job)
    assert found == {
        "system/cpu_utilization_percentage": 75.0,
        "system/system_memory_usage_megabytes": 268.435,
        "system/system_memory_usage_percentage": 25.0,
        "system/disk_usage_megabytes": 3.0,
        "system/disk_read_megabytes_per_second": 1.5,
        "system/disk_write_megabytes_per_second": 0.0,
        "system/network_receive_megabytes": 2.0,
        "system/network_transmit_megabytes": 4.0,
        "system/processes": 3.0,
        "system/gpu_1_utilization_percentage": 87.0,
        "system/gpu_1_memory_usage_megabytes": 20_000.0,
        "system/gpu_1_memory_usage_percentage": 25.0,
        "system/gpu_1_power_usage_watts": 350.5,
    }


def test_what_is_not_known_makes_no_curve(world: JobsWorld, people: People, clock: FixedClock) -> None:
    job, attempt = running(world, people)
    now = epoch_ms(clock.now())
    quiet = ReplicaSample(time_ms=now, network_receive_bytes=0, network_transmit_bytes=0, processes=1)
    apply(world, attempt, ReplicaSample(time_ms=now), quiet)
    assert last(world, people, job) == {"system/processes": 1.0}


def test_steps_are_seconds_since_the_job_first_ran_over_all_attempts(
    world: JobsWorld, people: People, clock: FixedClock
) -> None:
    """Waiting does not count, and a later attempt goes on where time is."""
    job = world.submit(people.editor, max_restarts=1)
    clock.advance(3600)
    world.queue.advance()
    first = world.attempt(job).id
    world.report(first, {"type": "state", "state": "running"})
    began = epoch_ms(clock.now())
    times = [began - 3000, began + 1200, began + 6200]  # the first by a clock that is behind
    apply(world, first, *(ReplicaSample(time_ms=ms, processes=1) for ms in times))
    with world.db.write() as session:
        row = session.get(AttemptRow, first)
        assert row is not None
        row.started_at = clock.now() + timedelta(seconds=100)  # as a second attempt's is later
    apply(world, first, ReplicaSample(time_ms=began + 111_000, processes=1))
    points = world.runs.metric(people.viewer, job.run, "system/processes").points
    assert [point.step for point in points] == [0, 1, 6, 111]
    assert points[1].time_ms == began + 1200


@pytest.mark.parametrize(
    ("replicas", "name"),
    [
        (1, "system/processes"),
        ("1..1", "system/processes"),
        (2, "system/1/processes"),
        ("1..4", "system/1/processes"),
    ],
)
def test_replicas_are_told_apart_in_a_gang_also_in_one_that_shrank(
    world: JobsWorld, people: People, clock: FixedClock, replicas: object, name: str
) -> None:
    job, attempt = running(world, people)
    with world.db.write() as session:
        row = session.get(JobRow, job.id)
        assert row is not None
        row.spec = {**row.spec, "replicas": replicas}
    apply(world, attempt, ReplicaSample(time_ms=epoch_ms(clock.now()), processes=1), rank=1)
    assert list(last(world, people, job)) == [name]


def test_samples_of_work_without_a_run_or_from_no_time_are_dropped(
    world: JobsWorld, people: People, clock: FixedClock
) -> None:
    job, attempt = running(world, people)
    apply(world, attempt, *(ReplicaSample(time_ms=ms, processes=1) for ms in (-5, 2**60)))
    with world.db.write() as session:
        row = session.get(AttemptRow, attempt)
        assert row is not None
        row.run_id, run = None, row.run_id
        apply_samples(session, world.runs, row, 0, [ReplicaSample(time_ms=1, processes=1)])
        row.run_id = run
        assert session.scalar(select(func.count()).select_from(MetricSeriesRow)) == 0
    assert last(world, people, job) == {}


class TestChannel:
    def test_samples_count_once_whatever_is_repeated(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        job, attempt = running(world, people)
        now = epoch_ms(clock.now())
        whole = b"".join(
            json.dumps({"time_ms": now + 5000 * at, "cpu_percent": 2.0 * at}).encode() + b"\n"
            for at in range(20)
        )
        cut = whole.index(b"\n", len(whole) // 2) + 1

        def send(offset: int, body: bytes) -> int:
            return world.attempts.report(attempt, 0, "samples", offset=offset, body=body).offset

        assert send(0, whole[:cut]) == cut
        assert send(0, whole[:cut]) == cut
        assert send(0, whole + b"no sample\n") == len(whole) + 10
        assert send(len(whole) + 100, b"{}\n") == len(whole) + 10
        points = world.runs.metric(people.viewer, job.run, "system/cpu_utilization_percentage").points
        assert [(point.step, point.value) for point in points] == [(5 * at, 1.0 * at) for at in range(20)]
