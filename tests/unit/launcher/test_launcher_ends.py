"""How work ends, and what is said of it."""

from __future__ import annotations

import json

import pytest
from launcher_host import SYSTEM_PYTHON, Host, wait_for

from nacre.launcher.processes import alive

TALKS = "while :; do echo up; sleep 0.05; done"


def test_a_command_that_succeeds_is_recorded_from_preparing_to_exit(host: Host) -> None:
    event = host.run("sh", "-c", "echo hello; echo there >&2; pwd")
    assert event["reason"] == "succeeded"
    assert event["exit_code"] == 0
    work = "/work" if host.mode != "none" else str(host.folder / "work")
    assert host.log() == f"hello\nthere\n{work}\n"
    states = [e["state"] for e in host.api.events() if e["type"] == "state"]
    assert states == ["preparing", "starting", "running"]
    assert event["isolation"]["sandbox"] == host.mode


def test_nothing_that_holds_the_token_is_left_behind(host: Host) -> None:
    host.run("true")
    left = {path.name for path in host.folder.iterdir()}
    assert left == {"lock", "launcher.json", "workload.json", "exit", "events.jsonl", "acks.json"}


def test_an_exit_code_comes_with_the_last_line(host: Host) -> None:
    event = host.run("sh", "-c", "echo first; echo ' the cause '; echo; exit 7")
    assert (event["reason"], event["exit_code"]) == ("exit_nonzero", 7)
    assert event["message"] == "The command ended with exit code 7: the cause"


@pytest.mark.parametrize(
    "said", ["curl: (6) Could not resolve host: pypi.org", "OSError: [Errno 101] Network is unreachable"]
)
def test_work_without_network_that_wants_one_is_told_who_can_allow_it(boxed: Host, said: str) -> None:
    event = boxed.run("sh", "-c", f"echo '{said}'; exit 6")
    assert event["message"].endswith(
        f"{said}. This project's work has no network: an owner can let it install packages with "
        "'nacre project update vision --network packages', or reach everything with '--network full'."
    )


def test_work_that_reaches_package_indexes_only_is_told_so(boxed: Host) -> None:
    said = "OSError: Tunnel connection failed: 403 evil.test is not among the package hosts"
    event = boxed.run("sh", "-c", f"echo '{said}'; exit 6", network="packages")
    assert event["message"].endswith(
        f"{said}. This project's work reaches package indexes only: an owner can open the rest, "
        "'nacre project update vision --network full'."
    )


def test_work_that_has_a_network_is_not_told_so(host: Host) -> None:
    event = host.run("sh", "-c", "echo 'Network is unreachable'; exit 6", network="full")
    assert event["message"] == "The command ended with exit code 6: Network is unreachable"


def test_a_signal_is_named(host: Host) -> None:
    event = host.run("sh", "-c", "kill -SEGV $$")
    assert (event["reason"], event["signal"]) == ("exit_nonzero", 11)
    assert "signal 11 (SIGSEGV)" in event["message"]
    assert "exit_code" not in event


def test_a_command_that_does_not_exist_was_never_started(host: Host) -> None:
    event = host.run("no-such-program", "--flag")
    assert event["reason"] == "launch_failed"
    assert "no-such-program" in event["message"]
    assert not any(e.get("state") == "running" for e in host.api.events())


def test_a_script_that_does_not_exist_is_a_failure_of_the_command(host: Host) -> None:
    event = host.run("python3", "absent.py")
    assert (event["reason"], event["exit_code"]) == ("exit_nonzero", 2)
    assert "absent.py" in event["message"]


def test_a_working_folder_that_does_not_exist_is_said(host: Host) -> None:
    event = host.run("true", workdir="nowhere")
    assert event["reason"] == "launch_failed"
    assert "nowhere" in event["message"]


def test_a_command_past_its_time_is_asked_to_end_then_made_to(host: Host) -> None:
    event = host.run(
        "sh",
        "-c",
        "trap 'echo asked' TERM; while :; do sleep 0.05; done",
        limits={"max_duration_s": 0.6, "grace_s": 0.5},
    )
    assert event["reason"] == "timed_out"
    assert "0.6 seconds" in event["message"]
    assert "asked" in host.log()
    assert any(e.get("state") == "stopping" for e in host.api.events())


def test_a_command_may_use_its_grace_time_to_save(host: Host) -> None:
    script = "trap 'echo saved; exit 0' TERM; while :; do sleep 0.05; done"
    event = host.run("sh", "-c", script, limits={"max_duration_s": 0.5, "grace_s": 20})
    assert event["reason"] == "timed_out"
    assert "saved" in host.log()


def test_the_server_can_stop_the_work_with_a_reason(host: Host) -> None:
    host.spec("sh", "-c", TALKS)
    process = host.start()
    wait_for(lambda: "up" in host.log())
    host.api.desired, host.api.reason = "stop", "preempted"
    assert process.wait(20) == 0
    assert host.exit_event()["reason"] == "preempted"


def test_sigterm_to_the_launcher_stops_the_work(host: Host) -> None:
    host.spec("sh", "-c", "echo up; sleep 60")
    process = host.start()
    wait_for(lambda: "up" in host.log())
    process.terminate()
    assert process.wait(20) == 0
    assert host.exit_event()["reason"] == "cancelled_by_user"


def test_a_fenced_attempt_ends_at_once_and_reports_nothing_more(host: Host) -> None:
    host.spec("sh", "-c", "trap '' TERM;" + TALKS)
    process = host.start()
    wait_for(lambda: "up" in host.log())
    pid = host_workload(host)
    host.api.fenced = True
    assert process.wait(20) == 4
    assert host.api.events()[-1]["type"] == "state"
    assert not alive(*pid)
    assert not (host.folder / "spec.json").exists()


def host_workload(host: Host) -> tuple[int, int]:
    """The wrapping shell's number and start time."""
    raw = json.loads((host.folder / "workload.json").read_text())
    return raw["pid"], raw["start"]


def test_what_a_command_leaves_running_ends_with_it(host: Host) -> None:
    event = host.run("sh", "-c", "setsid sh -c 'sleep 61; echo late' & echo done", timeout=20)
    assert event["reason"] == "succeeded"
    assert host.log() == "done\n"


@pytest.mark.parametrize("stream", ["/dev/stdout", "/dev/stderr", "/proc/self/fd/1"])
def test_output_may_be_opened_by_name_without_losing_what_was_printed(host: Host, stream: str) -> None:
    host.run("sh", "-c", f"echo one; echo two > {stream}; echo three")
    assert host.log() == "one\ntwo\nthree\n"


def test_a_silent_command_hears_of_a_stop_by_the_heartbeat(plain: Host) -> None:
    plain.spec("sh", "-c", "sleep 60")
    process = plain.start()
    wait_for(lambda: any(e.get("state") == "running" for e in plain.api.events()))
    plain.api.desired = "stop"
    assert process.wait(20) == 0
    assert plain.exit_event()["reason"] == "cancelled_by_user"


def test_an_instance_keeps_its_home_and_sends_no_artifacts(host: Host) -> None:
    home = host.root / "attempts" / "home"
    home.mkdir()
    command = "echo note >> $HOME/notes; echo x > $NACRE_OUTPUT_DIR/f"
    event = host.run("sh", "-c", command, kind="instance", home=str(home))
    assert event["reason"] == "succeeded"
    assert (home / "notes").read_text() == "note\n"
    assert not any(e["type"] == "artifacts" for e in host.api.events())


SAVES = (
    "import signal, sys, time; signal.signal(15, lambda *_: (time.sleep(0.3), print('saved'), sys.exit()))"
)


@pytest.mark.parametrize("around", ["{}", "{}; echo next", "set -e\n{}\necho next", "(cd /; {})"])
def test_a_program_within_shells_may_use_the_grace_time_too(host: Host, around: str) -> None:
    program = f'{SYSTEM_PYTHON} -c "{SAVES}; print(1, flush=True); time.sleep(60)"'
    host.spec("sh", "-c", around.format(program), limits={"grace_s": 20})
    process = host.start()
    wait_for(lambda: "1" in host.log())
    process.terminate()
    assert process.wait(15) == 0
    assert host.exit_event()["reason"] == "cancelled_by_user"
    assert "saved" in host.log()


def test_a_shell_without_a_trap_ends_after_what_it_runs(host: Host) -> None:
    host.spec("sh", "-c", "echo up; while :; do sleep 30; done", limits={"grace_s": 60})
    process = host.start()
    wait_for(lambda: "up" in host.log())
    process.terminate()
    assert process.wait(15) == 0
    assert host.exit_event()["reason"] == "cancelled_by_user"
