"""Several processes of one replica: they start together, and end together."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from launcher_host import BOXED, SYSTEM_PYTHON, Host, wait_for

from nacre.launcher import spawn

Run = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts a plan of two processes, with ``R`` set to each one's rank, and gives the program."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        *command: str,
        helpers: tuple[dict[str, Any], ...] = (),
        grace_s: float = 10,
        stdout: int | None = None,
    ) -> subprocess.Popen[bytes]:
        rows = [{"name": f"rank {rank}", "variables": {"R": str(rank)}} for rank in range(2)]
        plan = tmp_path / "plan.json"
        plan.write_text(json.dumps({"grace_s": grace_s, "processes": rows, "helpers": helpers}))
        argv = [SYSTEM_PYTHON, "-I", "-S", spawn.__file__, str(plan), *command]
        env = {"PATH": os.environ["PATH"], "HERE": str(tmp_path)}
        with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as errors:
            process = subprocess.Popen(argv, env=env, stdout=stdout or out, stderr=errors, cwd=tmp_path)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def said(tmp_path: Path) -> str:
    return (tmp_path / "err").read_text()


def helper(*command: str, ends_itself: bool = False) -> dict[str, Any]:
    return {"name": "server 0", "variables": {"R": "s"}, "command": command, "ends_itself": ends_itself}


def test_each_process_has_its_own_variables_and_all_succeed(run: Run, tmp_path: Path) -> None:
    assert run("sh", "-c", "echo $R").wait(20) == 0
    assert sorted((tmp_path / "out").read_text().split()) == ["0", "1"]
    assert said(tmp_path) == ""


def test_the_first_failure_ends_the_others_and_is_the_exit_code(run: Run, tmp_path: Path) -> None:
    script = "if [ $R = 1 ]; then sleep 0.3; exit 5; fi; trap 'echo saved; exit 3' TERM; "
    script += "while :; do sleep 0.05; done"
    assert run("sh", "-c", script).wait(20) == 5
    lines = (tmp_path / "out").read_text().splitlines()  # a shell says too whom it has ended
    assert [line for line in lines if line != "Terminated"] == ["saved"]
    assert "rank 1 ended with exit code 5" in said(tmp_path)


def test_a_signal_is_told_by_its_name_and_as_a_shell_does(run: Run, tmp_path: Path) -> None:
    assert run("sh", "-c", "if [ $R = 0 ]; then kill -SEGV $$; fi; sleep 60").wait(20) == 139
    assert "rank 0 was ended by SIGSEGV" in said(tmp_path)


def test_who_does_not_end_is_killed_after_the_grace_time(run: Run) -> None:
    began = time.monotonic()
    deaf = "trap '' TERM; touch deaf; while :; do sleep 0.05; done"
    script = f"if [ $R = 0 ]; then {deaf}; fi; until [ -e deaf ]; do sleep 0.01; done; exit 2"
    assert run("sh", "-c", script, grace_s=0.5).wait(20) == 2
    assert time.monotonic() - began > 0.5


def test_sigterm_is_passed_on_and_waited_for(run: Run, tmp_path: Path) -> None:
    script = "trap 'sleep 0.5; echo saved $R; exit 0' TERM; touch up$R; while :; do sleep 0.05; done"
    process = run("sh", "-c", script, grace_s=0.1, helpers=(helper("sleep", "61.1"),))
    wait_for(lambda: (tmp_path / "up0").exists() and (tmp_path / "up1").exists())
    process.terminate()
    assert process.wait(20) == 0
    lines = (tmp_path / "out").read_text().splitlines()  # a shell says too whom it has ended
    assert sorted(line for line in lines if line != "Terminated") == ["saved 0", "saved 1"]


def test_sigterm_reaches_the_program_in_a_shell(run: Run, tmp_path: Path) -> None:
    program = "import signal,sys,time,os\nsignal.signal(15,lambda *_:(print('saved'),sys.exit(0)))\n"
    program += "open('up'+os.environ['R'],'w')\ntime.sleep(60)"
    (tmp_path / "train.py").write_text(program)
    process = run("sh", "-c", f"{SYSTEM_PYTHON} train.py; echo $?")
    wait_for(lambda: (tmp_path / "up0").exists() and (tmp_path / "up1").exists())
    process.terminate()
    process.wait(20)
    assert (tmp_path / "out").read_text().count("saved\n") == 2


def test_a_command_that_is_not_there(run: Run, tmp_path: Path) -> None:
    assert run("no-such-command").wait(20) == 127
    assert "rank 0: the command 'no-such-command' could not be started" in said(tmp_path)


def test_servers_end_with_the_processes(run: Run, tmp_path: Path) -> None:
    server = helper("sh", "-c", "echo $$ > server; exec sleep 62.2")
    assert run("sh", "-c", "until [ -s server ]; do sleep 0.01; done", helpers=(server,)).wait(20) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "server").read_text()), 0)


def test_servers_that_end_by_themselves_are_waited_for(run: Run, tmp_path: Path) -> None:
    server = helper("sh", "-c", "sleep 0.5; echo done > server", ends_itself=True)
    assert run("true", helpers=(server,)).wait(20) == 0
    assert (tmp_path / "server").read_text() == "done\n"


def test_a_server_that_fails_ends_the_processes(run: Run, tmp_path: Path) -> None:
    assert run("sleep", "60", helpers=(helper("sh", "-c", "exit 9"),)).wait(20) == 9
    assert "server 0 ended with exit code 9" in said(tmp_path)


def test_what_a_process_leaves_behind_ends_with_it(run: Run, tmp_path: Path) -> None:
    assert run("sh", "-c", "sleep 63.3 & echo $! > left$R").wait(20) == 0
    for rank in range(2):
        pid = int((tmp_path / f"left{rank}").read_text())
        wait_for(partial(_gone, pid), 5)


LINES = """
import os, sys, time
for i in range(300):
    for piece in (os.environ["R"], " line ", str(i), "\\n"):
        os.write(1 + i % 2, piece.encode())
os.write(1, b"no end")
"""


def test_lines_that_are_written_in_pieces_stay_whole(run: Run, tmp_path: Path) -> None:
    assert run(SYSTEM_PYTHON, "-c", LINES).wait(30) == 0
    lines = (tmp_path / "out").read_text().splitlines()
    for rank in range(2):
        wanted = [f"{rank} line {i}" for i in range(300)]
        assert [line for line in lines if line.startswith(f"{rank} ")] == wanted
    assert lines.count("no end") == 2
    assert len(lines) == 602


def test_half_a_line_is_shown_soon(run: Run, tmp_path: Path) -> None:
    process = run("sh", "-c", "[ $R = 0 ] && printf 'go on? '; until [ -e go ]; do sleep 0.05; done")
    wait_for(lambda: (tmp_path / "out").read_text() == "go on? ", 10)
    (tmp_path / "go").touch()
    assert process.wait(20) == 0


def test_who_prints_all_the_time_can_be_stopped(run: Run, tmp_path: Path) -> None:
    process = run("sh", "-c", "touch up$R; exec yes", grace_s=0.1)
    wait_for(lambda: (tmp_path / "up0").exists() and (tmp_path / "up1").exists())
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM


def test_where_nobody_reads_the_processes_find_that_out(run: Run, tmp_path: Path) -> None:
    reader = subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert reader.stdin is not None
    process = run("yes", stdout=reader.stdin.fileno())
    reader.stdin.close()
    assert process.wait(20) == 128 + signal.SIGPIPE
    assert reader.wait(20) == 0
    assert "was ended by SIGPIPE" in said(tmp_path)


def _gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


# In a launch


def test_a_replica_of_several_processes(host: Host) -> None:
    told = 'echo "$RANK $LOCAL_RANK $WORLD_SIZE $(cat /proc/$PPID/cmdline | grep -acF "$SECRET")"'
    event = host.run("sh", "-c", told, processes=2, secrets={"SECRET": "hidden-value"})
    assert event["reason"] == "succeeded", host.log()
    assert sorted(host.log().splitlines()) == ["0 0 2 0", "1 1 2 0"]
    assert not host.api.ready(0)


def test_the_rank_that_fails_is_named(host: Host) -> None:
    script = "[ $RANK = 1 ] && { echo bad luck; exit 7; }; trap 'echo what; exit' TERM; sleep 60 & wait"
    event = host.run("sh", "-c", script, processes=2)
    assert (event["reason"], event["exit_code"]) == ("exit_nonzero", 7)
    assert event["message"] == "The command ended with exit code 7: bad luck (rank 1)"
    assert "nacre: rank 1 ended with exit code 7\n" in host.log()


def test_a_stop_reaches_every_process(host: Host) -> None:
    script = "trap 'echo saved $RANK; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    host.spec("sh", "-c", script, processes=2)
    launcher = host.start()
    wait_for(lambda: host.log() == "up\nup\n")
    launcher.terminate()
    assert launcher.wait(20) == 0
    assert sorted(line for line in host.log().splitlines() if "saved" in line) == ["saved 0", "saved 1"]
    assert host.exit_event()["reason"] == "cancelled_by_user"


@pytest.mark.skipif(not BOXED, reason="needs a sandbox")
def test_nothing_of_it_outlives_a_kill(boxed: Host) -> None:
    boxed.spec("sh", "-c", "echo up; exec sleep 64.4", processes=2)
    launcher = boxed.start()
    wait_for(lambda: boxed.log() == "up\nup\n")
    boxed.api.fenced = True
    assert launcher.wait(20) == 4
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            assert not name.isdigit() or b"64.4" not in Path(f"/proc/{name}/cmdline").read_bytes()


def test_the_names_of_signals() -> None:
    assert spawn._signal_name(signal.SIGKILL) == "SIGKILL"
    assert spawn._signal_name(61) == "signal 61"
