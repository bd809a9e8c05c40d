"""Limits hold, and the record says which one ended the work."""

from __future__ import annotations

import os
import re

import pytest
from launcher_host import Host

MB = 2**20

HOG = "b = [bytearray(8 << 20) for _ in range(60)]; print('survived', len(b))"
BOMB = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"
FILL = "f = open('big', 'wb')\nfor _ in range(4000): f.write(b'x' * (1 << 20)); f.flush()\n"


def test_a_command_that_takes_too_much_memory_ends_as_out_of_memory(host: Host) -> None:
    event = host.run("python3", "-c", HOG, limits={"memory_bytes": 128 * MB})
    assert event["reason"] == "out_of_memory"
    assert "128.0 MiB" in event["message"]
    assert "survived" not in host.log()


def test_memory_within_the_limit_is_not_disturbed(host: Host) -> None:
    code = "b = bytearray(40 << 20); print('survived', len(b))"
    event = host.run("python3", "-c", code, limits={"memory_bytes": 128 * MB})
    assert event["reason"] == "succeeded"


def test_memory_is_watched_where_the_kernel_does_not_count_it(plain: Host) -> None:
    """With a GPU there is no limit per process: CUDA reserves more than it uses."""
    code = "import mmap, time\nm = mmap.mmap(-1, 300 << 20)\nm.write(b'x' * (300 << 20))\ntime.sleep(30)"
    plain.spec("python3", "-c", code, limits={"memory_bytes": 128 * MB, "gpus": [0]})
    process = plain.start()
    assert process.wait(40) == 0
    assert plain.exit_event()["reason"] == "out_of_memory"


def limit_and_peak(message: str, limit: str) -> float:
    """The peak in MiB that the sentence tells, beside this limit."""
    each = r"( for each process, and one asked for more)?"
    found = re.search(rf"its limit is {re.escape(limit)}{each}\. It used (\d+\.\d) MiB", message)
    assert found, message
    return float(found[2])


WORKER = """import os, sys
pid = os.fork()
if pid == 0:
    held = [bytearray(8 << 20) for _ in range(60)]
    os._exit(0)
sys.exit(3 if os.waitpid(pid, 0)[1] else 0)
"""


def test_a_worker_that_takes_too_much_is_told_whatever_the_command_ends_with(host: Host) -> None:
    event = host.run("python3", "-c", WORKER, limits={"memory_bytes": 128 * MB})
    assert (event["reason"], event["exit_code"]) == ("out_of_memory", 3)
    assert limit_and_peak(event["message"], "128.0 MiB") > (
        60 if event["isolation"]["memory"] == "cgroup" else 1
    )


FOLDERS = """import time
for path in ('/dev/shm/a', '/tmp/b'):
    with open(path, 'wb') as f:
        for _ in range(48): f.write(bytes(1 << 20)); f.flush()
time.sleep(30)
"""


def test_folders_in_memory_count(boxed: Host) -> None:
    limits = {"memory_bytes": 96 * MB, "shm_bytes": 64 * MB}
    script = FOLDERS.replace("48", "36").replace("sleep(30)", "sleep(0.5)")
    assert boxed.run("python3", "-c", script, limits=limits)["reason"] == "succeeded"


def test_folders_in_memory_that_hold_too_much_are_out_of_memory(boxed: Host) -> None:
    limits = {"memory_bytes": 80 * MB, "shm_bytes": 64 * MB}
    event = boxed.run("python3", "-c", FOLDERS.replace("48", "39"), limits=limits)
    assert event["reason"] == "out_of_memory"
    assert limit_and_peak(event["message"], "80.0 MiB") >= 75


SHARED = """import mmap, os, time
m = mmap.mmap(-1, 40 << 20)
m.write(b'x' * (40 << 20))
own = bytearray(20 << 20)
for _ in range(5):
    if os.fork() == 0:
        sum(m[i] for i in range(0, 40 << 20, 4096)); own[0]
        time.sleep(2)
        os._exit(0)
time.sleep(2.5)
print('done')
"""


def test_memory_that_processes_share_counts_once(host: Host) -> None:
    event = host.run("python3", "-c", SHARED, limits={"memory_bytes": 160 * MB, "gpus": [0]})
    assert event["reason"] == "succeeded", event
    assert host.log() == "done\n"


def test_a_fork_bomb_is_held_and_swept_away(host: Host) -> None:
    if host.mode == "none" and os.geteuid() != 0:
        pytest.skip("the limit on a user's processes would hold this test run too")
    limits = {"processes": 40, "max_duration_s": 1.0, "grace_s": 0.2}
    event = host.run("python3", "-c", BOMB, limits=limits)
    assert event["reason"] == "timed_out"
    assert not any_process_of(host)


def any_process_of(host: Host) -> bool:
    mark = f"NACRE_ATTEMPT_ID={host.folder.name}".encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    return True
        except OSError:
            continue
    return False


def test_a_single_file_past_the_disk_quota_ends_the_work(host: Host) -> None:
    event = host.run("python3", "-c", FILL, limits={"disk_bytes": 20 * MB})
    assert event["reason"] == "disk_full"
    assert "20.0 MiB" in event["message"]


def test_many_files_past_the_disk_quota_end_the_work(host: Host) -> None:
    many = """import os, time
for i in range(30):
    with open(os.environ['NACRE_OUTPUT_DIR'] + f'/{i}', 'wb') as f: f.write(b'x' * (1 << 20))
time.sleep(60)
"""
    event = host.run("python3", "-c", many, limits={"disk_bytes": 20 * MB})
    assert event["reason"] == "disk_full"


def test_printing_past_the_limit_is_cut_and_said(host: Host) -> None:
    code = "import sys\nfor i in range(200_000): sys.stdout.write('x' * 99 + '\\n')\nprint('the end')"
    event = host.run("python3", "-c", code, limits={"log_bytes": MB, "disk_bytes": 10 * MB})
    assert event["reason"] == "succeeded"
    log = host.api.channel("log")
    assert log[:MB] == (b"x" * 99 + b"\n") * (MB // 100) + b"x" * (MB % 100)
    notice = log[MB:].decode()
    assert notice == (
        f"\n[nacre] The log ends here: the command printed {20_000_008 - MB:,} bytes more than the "
        f"{MB:,} that are kept.\n"
    )


def test_the_disk_does_not_fill_with_output_that_is_cut(plain: Host) -> None:
    code = """import os, time
for i in range(4000): os.write(1, b'y' * 65536)
time.sleep(0.5)
"""
    plain.spec("python3", "-c", code, limits={"log_bytes": MB})
    process = plain.start()
    largest = 0
    while process.poll() is None:
        try:
            largest = max(largest, os.stat(plain.folder / "log").st_blocks * 512)
        except FileNotFoundError:
            continue
    assert process.returncode == 0
    assert plain.exit_event()["reason"] == "succeeded"
    assert largest < 128 * MB


def test_any_bytes_may_be_printed(host: Host) -> None:
    event = host.run("python3", "-c", "import os; os.write(1, bytes(range(256)) * 300)")
    assert event["reason"] == "succeeded"
    assert host.api.channel("log") == bytes(range(256)) * 300


def test_the_number_of_threads_follows_the_cpu_limit(host: Host) -> None:
    host.run("sh", "-c", "echo $OMP_NUM_THREADS", limits={"cpu": 2.5})
    assert host.log() == "2\n"


def test_a_large_log_arrives_whole(plain: Host) -> None:
    code = "import os\nfor i in range(480): os.write(1, bytes([i % 251]) * 65536)"
    event = plain.run("python3", "-c", code)
    assert event["reason"] == "succeeded"
    assert plain.api.channel("log") == b"".join(bytes([i % 251]) * 65536 for i in range(480))
