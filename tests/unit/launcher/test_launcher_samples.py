"""Samples: rates, the file that survives launchers, and launches of real work."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from launcher_api import FakeApi
from launcher_host import Host, wait_for

from nacre.launcher import sampler as launcher_sampler
from nacre.launcher import samples
from nacre.launcher.cgroups import Groups
from nacre.launcher.channels import SamplesChannel
from nacre.launcher.folder import Folder
from nacre.launcher.usage import Reading
from nacre.schema.launch import ReplicaSample

MB = 2**20


class Meter:
    """In the place of ``Usage``: what the test says."""

    def __init__(self) -> None:
        self.reading = Reading()
        self.ended = Reading()

    def now(self) -> Reading:
        return self.reading

    def after(self) -> Reading:
        return self.ended


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        time_ns = time.time_ns
        monkeypatch.setattr(samples, "time", SimpleNamespace(monotonic=lambda: self.now, time_ns=time_ns))
        monkeypatch.setattr(samples, "processes", SimpleNamespace(elapsed_s=lambda _start: 2.0))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def sampler(folder: Path, meter: Meter, gpus: list[dict[str, float]] | None = None) -> samples.Samples:
    devices: Any = type("Devices", (), {"now": lambda _self: gpus or []})()
    reader: Any = meter
    return samples.Samples(
        Folder(str(folder)), reader, devices, start=0, extra_processes=2, disk=lambda: 4096
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_rates_are_averages_since_the_sample_before(tmp_path: Path, clock: Clock) -> None:
    meter = Meter()
    found = sampler(tmp_path, meter, [{"percent": 87}])
    meter.reading = Reading(1.0, 2000, 400, 70, 30, 5 * MB, 4)
    found.take()
    clock.now += 5
    meter.reading = Reading(3.5, 2000, 1400, 90, 30, 6 * MB, 2)
    found.take()
    clock.now += 2
    meter.ended = Reading(cpu_s=3.7)
    found.take(last=True)
    first, second, last = lines(tmp_path)
    assert (first["cpu_percent"], first["disk_read_bytes_s"]) == (
        50.0,
        1000,
    )  # since it started, 2 s before
    assert (second["cpu_percent"], second["disk_write_bytes_s"]) == (50.0, 200)
    assert (second["network_receive_bytes"], second["processes"]) == (90, 0)
    assert first["gpus"] == [{"percent": 87}]
    assert last["cpu_percent"] == 10.0
    assert not {"memory_bytes", "processes", "gpus"} & set(last)  # the work holds nothing any more
    for line in (first, second, last):
        ReplicaSample.model_validate(line)
        assert line["disk_bytes"] == 4096


def test_the_last_sample_needs_a_second_and_something_to_say(tmp_path: Path, clock: Clock) -> None:
    meter = Meter()
    found = sampler(tmp_path, meter)
    meter.reading = Reading(cpu_s=1.0)
    found.take()
    clock.now += 0.5
    meter.ended = Reading(cpu_s=1.2)
    found.take(last=True)
    clock.now += 3
    meter.ended = Reading()
    found.take(last=True)
    assert len(lines(tmp_path)) == 1


def test_a_count_that_dips_gives_no_rate_and_no_peak_after(tmp_path: Path, clock: Clock) -> None:
    """A process that ended is in no sum until its parent has waited for it."""
    meter = Meter()
    found = sampler(tmp_path, meter)
    for total in (10.0, 4.0, 12.0):
        meter.reading = Reading(cpu_s=2.0, written_bytes=int(total))
        found.take()
        clock.now += 1
    assert [line.get("disk_write_bytes_s") for line in lines(tmp_path)] == [5, None, 1]


def test_a_count_that_lost_something_for_good_goes_on(tmp_path: Path, clock: Clock) -> None:
    meter = Meter()
    found = sampler(tmp_path, meter)
    for total in (100, 4, 5, 6, 7, 9):
        meter.reading = Reading(read_bytes=total)
        found.take()
        clock.now += 1
    assert [line.get("disk_read_bytes_s") for line in lines(tmp_path)] == [50, None, None, None, None, 2]


def test_a_launcher_that_goes_on_repairs_the_file_and_knows_no_rates_yet(
    tmp_path: Path, clock: Clock
) -> None:
    meter = Meter()
    meter.reading = Reading(cpu_s=100.0, memory_bytes=MB)
    sampler(tmp_path, meter).take()
    with (tmp_path / "samples.jsonl").open("a") as file:
        file.write('{"time_ms":17000000')
    again = sampler(tmp_path, meter)
    again.take()
    clock.now += 4
    meter.reading = Reading(cpu_s=101.0, memory_bytes=MB)
    again.take()
    assert [line.get("cpu_percent") for line in lines(tmp_path)][1:] == [None, 25.0]


def test_half_a_first_line_is_no_sample(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "samples.jsonl").write_text('{"time_ms":17000')
    meter = Meter()
    meter.reading = Reading(cpu_s=1.0)
    sampler(tmp_path, meter).take()
    assert [line["cpu_percent"] for line in lines(tmp_path)] == [50.0]


def test_a_full_disk_costs_samples_and_nothing_else(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Meter()
    meter.reading = Reading(cpu_s=1.0)
    found = sampler(tmp_path, meter)
    found.take()
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))
    found.take()

    def refuse(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    found.take()
    assert len(lines(tmp_path)) == 1
    monkeypatch.setattr(os, "write", write)
    found.take()
    assert len(lines(tmp_path)) == 2


def test_the_file_is_bounded_while_the_server_is_away(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "_MOST_BYTES", 64 * 2**10)
    meter = Meter()
    meter.reading = Reading(1.0, 2000, 400, 70, 30, 5 * MB, 4)
    found = sampler(tmp_path, meter)
    for _ in range(1000):
        found.take()
    size = (tmp_path / "samples.jsonl").stat().st_size
    assert 48 * 2**10 < size < 80 * 2**10
    assert all(ReplicaSample.model_validate(line) for line in lines(tmp_path))


def test_what_the_server_has_goes_back_to_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    line = b'{"time_ms":1}' + b" " * 86 + b"\n"
    path.write_bytes(line * 30_000)
    channel = SamplesChannel(str(path), 0)
    before = path.stat().st_blocks
    while data := channel.peek():
        assert data == line * (len(data) // len(line))
        channel.offset += len(data)
        channel.trim()
    assert channel.offset == 3_000_000 == path.stat().st_size
    if path.stat().st_blocks == before:
        pytest.skip("this disk cannot give parts of a file back")
    assert path.stat().st_blocks * 512 <= 3_000_000 - 2 * MB + 8192
    with path.open("ab") as file:
        file.write(line)
    assert channel.peek() == line  # what lies before is zeros now, the end of the line before is not
    again = SamplesChannel(str(path), channel.offset)
    assert again.peek() == line


def test_work_of_hours_is_sampled_more_seldom() -> None:
    assert [samples.interval_s(s) for s in (0, 3600, 10_000, 40_000, 10**6)] == [5, 5, 5, 20, 30]
    count, age = 0, 0.0
    while age < 30 * 86400:
        age += samples.interval_s(age)
        count += 1
    assert count < 100_000


def test_a_look_that_takes_long_is_done_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree of thousands of threads must not cost more than half a percent of a core."""
    meter = Meter()
    found = sampler(tmp_path, meter)
    spent = iter(range(100))
    monkeypatch.setattr(time, "thread_time", lambda: float(next(spent)))
    waited: list[float] = []

    class Ended(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            return True

    found.run(Ended())
    assert waited == [250.0]


# Of real launches

BURN = """
import time
kept = bytearray(200_000_000)
start = time.time()
while time.time() - start < SECONDS:
    pass
print(time.process_time(), time.time() - start)
"""


def taken(api: FakeApi) -> list[dict[str, Any]]:
    return [json.loads(line) for line in api.channel("samples").splitlines() if line.strip()]


def test_a_launch_tells_what_its_work_used(host: Host) -> None:
    limits = {"memory_bytes": 1000 * MB, "disk_bytes": 100 * MB, "cpu": 1.0}
    event = host.run("python3", "-c", BURN.replace("SECONDS", "7.5"), limits=limits)
    assert event["reason"] == "succeeded", host.log()
    used, wall = map(float, host.log().split())
    found = taken(host.api)
    assert 2 <= len(found) <= 3
    share = 100 * used / wall
    assert found[1]["cpu_percent"] == pytest.approx(share, rel=0.5)
    assert 190 * MB < found[1]["memory_bytes"] < 260 * MB
    assert found[1]["processes"] == 1
    assert ("network_receive_bytes" in found[0]) is (host.mode != "none")
    assert all(ReplicaSample.model_validate(one) for one in found)
    assert not (host.folder / "samples.jsonl").exists()
    channels = [key for _, key, _, size in host.api.puts if size]
    assert channels.index("0/samples") < len(channels) - 1 - channels[::-1].index("0/events")


def test_short_work_and_work_without_a_run_are_not_sampled(plain: Host) -> None:
    assert plain.run("true")["reason"] == "succeeded"
    assert taken(plain.api) == []


def test_work_without_a_run_is_not_sampled(plain: Host) -> None:
    assert plain.run("sleep", "1.5", run_id=None)["reason"] == "succeeded"
    assert taken(plain.api) == []
    assert not any(key.endswith("samples") for _, key, _, _ in plain.api.puts)


@pytest.mark.sandbox
def test_a_killed_launcher_costs_at_most_a_sample_and_doubles_none(every_host: list[Host]) -> None:
    firsts = []
    for host in every_host:
        host.api.lose_every = 3
        host.spec("sleep", "14", limits={"grace_s": 2, "cpu": 1.0})
        firsts.append(host.start())
    seconds = []
    for host, first in zip(every_host, firsts, strict=True):
        wait_for(lambda host=host: len(taken(host.api)) >= 2)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        with (host.folder / "samples.jsonl").open("ab") as file:
            file.write(b'{"time_ms":1')  # it was killed in the middle of a write
        seconds.append(host.start("--adopt"))
    for host, second in zip(every_host, seconds, strict=True):
        assert second.wait(60) == 0, host.mode
        assert host.exit_event()["reason"] == "succeeded", host.mode
        times = [one["time_ms"] for one in taken(host.api)]
        assert len(times) >= 4, host.mode
        assert times == sorted(set(times)), host.mode
        gaps = [after - before for before, after in pairwise(times)]
        assert max(gaps) < 10_000, host.mode


def test_a_driver_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        asked.set()
        go_on.wait(60)
        raise OSError

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=hang))
    monkeypatch.setattr(launcher_sampler, "_SOON_S", 0.01)
    monkeypatch.setattr(launcher_sampler, "_PATIENCE_S", 0.2)
    spec: Any = SimpleNamespace(
        run_id="f" * 32, boxed=False, network="full", limits=SimpleNamespace(gpus=[0])
    )
    work: Any = SimpleNamespace(pid=os.getpid(), start=0)
    found = launcher_sampler.Sampler(spec, Folder(str(tmp_path)), work, Groups(0, {}, []), None)
    found.begin()
    assert asked.wait(20)
    began = time.monotonic()
    found.finish()
    assert time.monotonic() - began < 20
    go_on.set()
