"""Scripts that go wrong in every way: each has its reason word, its sentence, and leaves nothing behind."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from memory import Memory
from real_server import Server

from nacre.schema.jobs import Job, JobState

pytestmark = [pytest.mark.timeout(120), pytest.mark.sandbox]


def script(folder: Path, text: str, name: str = "main.py") -> Path:
    """A folder of code with one script."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / name).write_text(text)
    return folder / "code"


def finish(server: Server, job: Job, timeout_s: float = 60) -> Job:
    """The job when it has ended and nothing of it is left."""
    ended = server.wait(job, timeout_s=timeout_s)
    server.assert_gone(ended)
    return ended


def test_a_script_that_does_not_exist_is_refused_before_anything_is_sent(
    nacre_server: Server, tmp_path: Path
) -> None:
    code = script(tmp_path, "print('not this one')")
    before = [job.id for job in nacre_server.client().jobs.list()]
    done = nacre_server.run("run", "nowhere.py", cwd=code, check=False)
    assert done.returncode == 1
    assert done.stdout == b""
    said = f"error: there is no script nowhere.py in {code}: check the path, or give --workdir"
    assert said in done.stderr.decode()
    assert [job.id for job in nacre_server.client().jobs.list()] == before


def test_a_program_that_does_not_exist_ends_the_job_with_the_shells_words(nacre_server: Server) -> None:
    job = finish(nacre_server, nacre_server.submit(commands=["python nowhere.py"]))
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "exit_nonzero", 2)
    assert job.message is not None
    assert re.search(r"exit code 2: .*nowhere\.py.*No such file", job.message)


def test_a_failing_script_hands_its_exit_code_through(nacre_server: Server, tmp_path: Path) -> None:
    code = script(tmp_path, "import sys\nprint('so far')\nsys.exit('the data has no labels')\n")
    done = nacre_server.run("run", "--name", "fails", "main.py", cwd=code, check=False)
    assert done.returncode == 1
    assert done.stdout == b"so far\nthe data has no labels\n"
    assert "failed (exit_nonzero): The command ended with exit code 1: the data has no labels" in (
        done.stderr.decode()
    )
    script(tmp_path, "raise SystemExit(42)")
    assert nacre_server.run("run", "main.py", cwd=code, check=False).returncode == 42
    assert nacre_server.run("logs", "fails").stdout == done.stdout
    job = nacre_server.client().jobs.get("fails")
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "exit_nonzero", 1)
    nacre_server.assert_gone(job)


def test_running_out_of_memory_is_told_with_limit_and_peak(nacre_server: Server, tmp_path: Path) -> None:
    text = "held = []\nwhile True:\n    held.append(bytearray(8 << 20))\n"
    code = script(tmp_path, text)
    done = nacre_server.run("run", "--name", "hungry", "--memory", "96MB", "main.py", cwd=code, check=False)
    assert done.returncode == 1
    job = nacre_server.client().jobs.get("hungry")
    assert (job.state, job.reason) == (JobState.FAILED, "out_of_memory")
    assert job.message == (
        "The command ran out of memory: its limit is 96.0 MiB. It used 96.0 MiB at its peak. "
        "Ask for more memory, or use less."
    )
    assert job.message in done.stderr.decode()
    assert job.attempts[0].peak_memory == 96 * 2**20
    nacre_server.assert_gone(job)


def test_a_job_that_never_ends_is_stopped_at_its_max_duration(nacre_server: Server) -> None:
    text = "import signal, time\nsignal.signal(15, lambda *_: print('no', flush=True))\n"
    text += "print('on and on', flush=True)\nwhile True:\n    time.sleep(1)\n"
    job = nacre_server.submit({"main.py": text}, max_duration=2, stop_duration=1)
    job = finish(nacre_server, job)
    assert job.started_at is not None
    assert job.ended_at is not None
    assert 2.5 < (job.ended_at - job.started_at).total_seconds() < 10
    assert (job.state, job.reason) == (JobState.FAILED, "timed_out")
    assert job.message == "The command was stopped after its max_duration of 2 seconds."
    assert nacre_server.log(job) == b"on and on\nno\n"


def test_max_duration_gives_time_to_end_well(nacre_server: Server) -> None:
    text = "import signal, sys, time\nsignal.signal(15, lambda *_: (print('saved'), sys.exit(0)))\n"
    job = nacre_server.submit({"main.py": text + "time.sleep(99)\n"}, max_duration=1, stop_duration=30)
    job = finish(nacre_server, job, timeout_s=20)
    assert (job.state, job.reason) == (JobState.FAILED, "timed_out")
    assert nacre_server.log(job) == b"saved\n"


BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""


def test_forking_without_limit_ends_the_job_and_not_the_machine(nacre_server: Server) -> None:
    job = nacre_server.submit({"main.py": BOMB}, max_duration=3, stop_duration=0.1)
    slowest = 0.0
    deadline = time.monotonic() + 60
    while (now := nacre_server.client().jobs.get(job.id)).ended_at is None:
        began = time.monotonic()
        assert nacre_server.http().get("/api/v1/status").status_code == 200
        slowest = max(slowest, time.monotonic() - began)
        assert time.monotonic() < deadline, f"still {now.state}"
        time.sleep(0.1)
    job = finish(nacre_server, job)
    assert job.state is JobState.FAILED
    assert job.reason in ("timed_out", "out_of_memory")
    assert slowest < 5


def test_processes_are_counted(nacre_server: Server) -> None:
    text = "import os, signal\ncount = 0\ntry:\n    while os.fork():\n        count += 1\n"
    text += (
        "    signal.pause()\nexcept OSError as error:\n    print(count, error.strerror)\n    os._exit(9)\n"
    )
    resources = {"cpu": 2, "memory": "4GB"}
    job = finish(nacre_server, nacre_server.submit({"main.py": text}, resources=resources))
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "exit_nonzero", 9)
    count, why = nacre_server.log(job).split(maxsplit=1)
    assert why == b"Resource temporarily unavailable\n"
    assert 4000 < int(count) <= 4096


def test_a_full_disk_quota_ends_the_job(nacre_server: Server) -> None:
    text = "import os\nwith open(os.environ['NACRE_OUTPUT_DIR'] + '/big', 'wb') as f:\n"
    text += "    while True:\n        f.write(bytes(1 << 20))\n"
    job = nacre_server.submit(
        {"main.py": text}, resources={"cpu": 0.5, "memory": "256MB", "disk": "24MB", "shm_size": "8MB"}
    )
    job = finish(nacre_server, job)
    assert (job.state, job.reason) == (JobState.FAILED, "disk_full")
    assert job.message is not None
    assert re.fullmatch(
        r"The command filled its disk quota: \d+\.\d MiB of 24\.0 MiB\. Ask for more, or write less\.",
        job.message,
    )


def test_many_small_files_fill_the_quota_too(nacre_server: Server) -> None:
    text = "n = 0\nwhile True:\n    n += 1\n    open(f'f{n}', 'wb').write(bytes(4096))\n"
    job = nacre_server.submit(
        {"main.py": text}, resources={"cpu": 0.5, "memory": "256MB", "disk": "16MB", "shm_size": "8MB"}
    )
    job = finish(nacre_server, job)
    assert (job.state, job.reason) == (JobState.FAILED, "disk_full")
    assert job.message is not None
    assert "of 16.0 MiB" in job.message


def test_a_gigabyte_of_output_is_cut_and_says_so(nacre_server: Server) -> None:
    line = "0123456789" * 6 + "123"
    command = f"yes {line} | head -c {2**30}"
    with Memory(nacre_server) as memory:
        job = nacre_server.submit(commands=[command], resources={"cpu": 2, "memory": "256MB"})
        job = finish(nacre_server, job)
    assert (job.state, job.reason, job.exit_code) == (JobState.SUCCEEDED, None, 0)
    kept = 256 * 2**20
    log = nacre_server.home / "logs" / job.attempts[0].id / "0.log"
    notice = (
        f"\n[nacre] The log ends here: the command printed {2**30 - kept:,} bytes more than the "
        f"{kept:,} that are kept.\n"
    ).encode()
    assert log.stat().st_size == kept + len(notice)
    with log.open("rb") as stream:
        assert stream.read(3 * 64) == f"{line}\n".encode() * 3
        stream.seek(kept - 64)
        assert stream.read() == f"{line}\n".encode() + notice
    assert memory.grown < 100 * 2**20, f"{memory.grown / 2**20:.0f} MiB"
    nacre_server.client().jobs.delete(job.id)
    assert not log.exists()


def test_binary_output_arrives_as_it_was(nacre_server: Server, tmp_path: Path) -> None:
    text = (
        "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 64 + b'\\xff\\xfe\\x00 no end of line')\n"
    )
    expected = bytes(range(256)) * 64 + b"\xff\xfe\x00 no end of line"
    code = script(tmp_path, text)
    done = nacre_server.run("run", "--name", "binary", "main.py", cwd=code)
    assert done.stdout == expected
    assert nacre_server.run("logs", "binary").stdout == expected
    job = nacre_server.client().jobs.get("binary")
    assert job.state is JobState.SUCCEEDED
    nacre_server.assert_gone(job)


def test_a_message_made_of_binary_output_is_printable(nacre_server: Server) -> None:
    text = "import os\nos.write(2, bytes(range(128, 256)) + b'\\x1b]0;title\\x07 broke\\n')\nos._exit(5)\n"
    job = finish(nacre_server, nacre_server.submit({"main.py": text}))
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "exit_nonzero", 5)
    assert job.message is not None
    assert job.message.endswith("broke")
    assert job.message.isprintable()


def test_what_a_script_leaves_running_ends_with_it(nacre_server: Server) -> None:
    text = "import subprocess\nsubprocess.Popen(['sh', '-c', 'trap \"\" 15 1; setsid sleep 1000'])\n"
    text += "print('done', flush=True)\n"
    job = finish(nacre_server, nacre_server.submit({"main.py": text}))
    assert (job.state, job.exit_code) == (JobState.SUCCEEDED, 0)
    assert nacre_server.log(job) == b"done\n"
