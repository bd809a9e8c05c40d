"""What replicas use, as metrics of their run: MLflow's names of system metrics, with Nacre's meaning.

They are of the replica, not of its machine: percentages are of what it asked for. The step is whole seconds
since the job first ran, so that curves of several attempts follow each other and runs can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy.orm import Session

from nacre.clock import epoch_ms
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.jobs import JobRow
from nacre.domain.run_columns import SYSTEM
from nacre.schema.launch import GpuSample, ReplicaSample
from nacre.schema.runs import TrackRecord
from nacre.services.runs import Runs

_MB = 1e6


def apply_samples(
    session: Session, runs: Runs, attempt: AttemptRow, rank: int, samples: Sequence[ReplicaSample]
) -> None:
    """Bring samples of a replica into its job's run; those of work without a run are dropped.

    That each is given once is the caller's promise. Raises RequestError as ``runs.apply``.
    """
    job = session.get(JobRow, attempt.subject_id) if attempt.run_id is not None else None
    if job is None or attempt.run_id is None:
        return
    gang = str(job.spec.get("replicas", 1)).rpartition("..")[2] != "1"  # as it may be at most: 1..4
    began_ms = epoch_ms(job.started_at or attempt.started_at or attempt.allocated_at)
    prefix = f"{SYSTEM}{rank}/" if gang else SYSTEM
    runs.apply(
        session,
        attempt.run_id,
        [
            TrackRecord(
                type="m",
                key=prefix + name,
                value=round(value, 3),
                step=max(0, (sample.time_ms - began_ms) // 1000),
                time_ms=sample.time_ms,
            )
            for sample in samples
            if 0 <= sample.time_ms < 2**53
            for name, value in _metrics(sample, attempt)
            if value is not None
        ],
    )


def _metrics(sample: ReplicaSample, attempt: AttemptRow) -> Iterator[tuple[str, float | None]]:
    """By name without its beginning."""
    memory = sample.memory_bytes
    yield "cpu_utilization_percentage", _part(sample.cpu_percent, attempt.cpu)
    yield "system_memory_usage_megabytes", _part(memory, _MB)
    yield "system_memory_usage_percentage", _part(memory, attempt.memory / 100)
    yield "disk_usage_megabytes", _part(sample.disk_bytes, _MB)
    yield "disk_read_megabytes_per_second", _part(sample.disk_read_bytes_s, _MB)
    yield "disk_write_megabytes_per_second", _part(sample.disk_write_bytes_s, _MB)
    if sample.network_receive_bytes or sample.network_transmit_bytes:  # no curve where nothing ever passes
        yield "network_receive_megabytes", _part(sample.network_receive_bytes, _MB)
        yield "network_transmit_megabytes", _part(sample.network_transmit_bytes, _MB)
    yield "processes", sample.processes
    for number, gpu in enumerate(sample.gpus):
        for name, value in _of_gpu(gpu):
            yield f"gpu_{number}_{name}", value


def _of_gpu(gpu: GpuSample) -> Iterator[tuple[str, float | None]]:
    yield "utilization_percentage", gpu.percent
    yield "memory_usage_megabytes", _part(gpu.memory_bytes, _MB)
    yield "memory_usage_percentage", gpu.memory_percent
    yield "power_usage_watts", gpu.power_watts


def _part(amount: float | None, whole: float) -> float | None:
    return None if amount is None or whole <= 0 else amount / whole
