"""Launchers and servers may die at any moment; the work, its bytes and its exit code do not."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from launcher_host import Host, wait_for

COUNT = """i=0
while [ $i -lt 40 ]; do
  echo line $i; echo '{"i":'$i'}' >> $NACRE_TRACK_FILE; i=$((i+1)); sleep 0.05
done
exit 5"""
LINES = "".join(f"line {i}\n" for i in range(40))
TRACK = "".join(f'{{"i":{i}}}\n' for i in range(40))


def check_whole(host: Host) -> None:
    event = host.exit_event()
    assert (event["reason"], event["exit_code"]) == ("exit_nonzero", 5)
    assert host.log() == LINES
    assert host.api.channel("track").decode() == TRACK
    assert [e["type"] for e in host.api.events()].count("exit") == 1


def test_a_killed_launcher_is_replaced_and_nothing_is_lost(host: Host) -> None:
    host.spec("sh", "-c", COUNT)
    first = host.start()
    wait_for(lambda: "line 5\n" in host.log())
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = host.start("--adopt")
    assert second.wait(30) == 0
    check_whole(host)


def test_launchers_killed_one_after_another_never_start_the_work_twice(host: Host) -> None:
    host.spec("sh", "-c", COUNT)
    pauses = [0.03, 0.06, 0.09, 0.12, 0.15, 0.2, 0.3, 0.5]
    for pause in pauses:
        launcher = host.start("--adopt")
        time.sleep(pause)
        launcher.kill()
        launcher.wait()
    assert host.start("--adopt").wait(30) == 0
    check_whole(host)


def test_work_that_ended_while_no_launcher_was_there_is_finished_later(host: Host) -> None:
    host.spec("sh", "-c", COUNT)
    first = host.start()
    wait_for(lambda: "line 3\n" in host.log())
    first.kill()
    first.wait()
    wait_for((host.folder / "exit").exists)
    assert host.start("--adopt").wait(30) == 0
    check_whole(host)


def test_the_start_is_told_as_it_was_although_nobody_looked(host: Host) -> None:
    host.spec("sh", "-c", "date +%s%3N; sleep 2")
    first = host.start()
    wait_for((host.folder / "workload.json").exists)
    first.kill()
    first.wait()
    time.sleep(1)
    assert host.start("--adopt").wait(30) == 0
    [running] = [event for event in host.api.events() if event.get("state") == "running"]
    assert abs(running["time_ms"] - int(host.log())) < 500


def test_a_server_that_is_away_loses_nothing_and_gets_every_byte_once(host: Host) -> None:
    host.spec("sh", "-c", COUNT)
    launcher = host.start()
    wait_for(lambda: "line 3\n" in host.log())
    host.api.away = True
    wait_for((host.folder / "exit").exists)
    assert launcher.poll() is None
    host.api.away = False
    assert launcher.wait(30) == 0
    check_whole(host)


def test_answers_that_get_lost_do_not_double_anything(plain: Host) -> None:
    plain.api.lose_every = 3
    plain.spec("sh", "-c", COUNT)
    assert plain.start().wait(30) == 0
    check_whole(plain)


def test_a_server_that_forgot_bytes_gets_them_again(plain: Host) -> None:
    plain.spec("sh", "-c", COUNT)
    launcher = plain.start()
    wait_for(lambda: "line 9\n" in plain.log())
    del plain.api.channels["0/log"][20:]
    assert launcher.wait(30) == 0
    check_whole(plain)


def test_a_server_that_was_never_there_keeps_the_launcher_waiting_until_sigterm(plain: Host) -> None:
    plain.api.away = True
    plain.spec("sh", "-c", "echo done")
    launcher = plain.start()
    wait_for((plain.folder / "exit").exists)
    launcher.terminate()
    assert launcher.wait(10) == 75
    plain.api.away = False
    assert plain.start("--adopt").wait(20) == 0
    assert plain.exit_event()["reason"] == "succeeded"
    assert plain.log() == "done\n"


def test_a_second_launcher_finds_the_folder_taken(plain: Host) -> None:
    plain.spec("sh", "-c", "echo up; sleep 3")
    first = plain.start()
    wait_for(lambda: "up" in plain.log())
    assert plain.start("--adopt").wait(10) == 3
    assert plain.start().wait(10) == 3
    first.terminate()
    assert first.wait(10) == 0


def test_files_that_a_killed_launcher_had_written_already_are_no_obstacle(
    plain: Host, tmp_path: Path
) -> None:
    (tmp_path / "site" / "nacre").mkdir(parents=True)
    plain.spec("true", nacre_site=str(tmp_path / "site"))
    (plain.folder / "site").mkdir()
    (plain.folder / "site" / "nacre").symlink_to(tmp_path / "site" / "nacre")
    assert plain.start().wait(20) == 0
    assert plain.exit_event()["reason"] == "succeeded"


def test_adopting_a_folder_that_came_to_its_end_does_nothing(plain: Host) -> None:
    plain.run("true")
    before = len(plain.api.puts)
    assert plain.start("--adopt").wait(10) == 0
    assert len(plain.api.puts) == before


def test_a_stop_reaches_work_that_was_adopted(host: Host) -> None:
    host.spec("sh", "-c", "trap 'echo saved; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    first = host.start()
    wait_for(lambda: "up" in host.log())
    first.kill()
    first.wait()
    second = host.start("--adopt")
    wait_for(lambda: f'"pid": {second.pid}' in (host.folder / "launcher.json").read_text())
    second.terminate()
    assert second.wait(20) == 0
    assert host.exit_event()["reason"] == "cancelled_by_user"
    assert "saved" in host.log()


def test_time_goes_on_while_no_launcher_looks(plain: Host) -> None:
    plain.spec("sh", "-c", "echo up; sleep 60", limits={"max_duration_s": 8})
    first = plain.start()
    wait_for(lambda: "up" in plain.log())
    first.kill()
    first.wait()
    time.sleep(8)
    begun = time.monotonic()
    assert plain.start("--adopt").wait(20) == 0
    assert time.monotonic() - begun < 8
    assert plain.exit_event()["reason"] == "timed_out"


def test_work_whose_shell_was_killed_is_said_to_have_vanished(plain: Host) -> None:
    plain.spec("sh", "-c", "echo up; sleep 60")
    first = plain.start()
    wait_for(lambda: "up" in plain.log())
    first.kill()
    first.wait()
    os.kill(json.loads((plain.folder / "workload.json").read_text())["pid"], signal.SIGKILL)
    assert plain.start("--adopt").wait(20) == 0
    event = plain.exit_event()
    assert event["reason"] == "exit_nonzero"
    assert "left no exit code" in event["message"]


FULL = """
import errno, os, sys
from nacre.launcher import __main__
write, room = os.write, sys.argv.pop(1)
def full(descriptor, data):
    if b'"type": "exit"' in data and not os.path.exists(room):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return write(descriptor, data)
os.write = full
sys.exit(__main__.main(sys.argv[1:]))
"""


def test_an_end_that_a_full_disk_refuses_is_told_later(plain: Host, tmp_path: Path) -> None:
    plain.spec("sh", "-c", "echo done; exit 5")
    room = tmp_path / "room"
    launcher = plain.start(program=["-c", FULL, str(room)])
    wait_for((plain.folder / "exit").exists)
    time.sleep(1)
    assert launcher.poll() is None
    assert [event["type"] for event in plain.api.events()].count("exit") == 0
    room.touch()
    assert launcher.wait(30) == 0
    assert plain.exit_event()["exit_code"] == 5
