"""Two launchers of one attempt: the barrier, the network that they share, and what is left of it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from launcher_host import BOXED, SITE, SRC, Host, wait_for

from nacre.launcher import processes
from nacre.launcher.variables import PORT

TALK = """
import os, socket, time
rank = int(os.environ["RANK"])
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if rank == 0:
    listener = socket.create_server(address)
    peer, _ = listener.accept()
    peer.sendall(b"hello from 0")
else:
    for _ in range(200):
        try:
            peer = socket.create_connection(address)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    print(peer.recv(100).decode())
print("rank", rank, "of", os.environ["WORLD_SIZE"])
"""
PYTHON = "/usr/bin/python3"


def launch(gang: list[Host], *command: str, **fields: Any) -> list[subprocess.Popen[bytes]]:
    for host in gang:
        host.spec(*command, replicas=len(gang), **fields)
    return [host.start() for host in gang]


def ends(gang: list[Host], launchers: list[subprocess.Popen[bytes]]) -> list[dict[str, Any]]:
    """The exit events, once the launchers have ended well."""
    for host, launcher in zip(gang, launchers, strict=True):
        assert launcher.wait(60) == 0, (host.root / "launcher.err").read_text()
    return [host.exit_event() for host in gang]


def holders(host: Host) -> list[int]:
    """Processes that hold a network of the attempt."""
    found = []
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{name}/cmdline").read_bytes() if name.isdigit() else b""
            if b"holder.main" in words and str(host.folder.parent).encode() in words:
                found.append(int(name))
    return [pid for pid in found if (row := processes.stat(pid)) is not None and row.state not in "ZX"]


def nothing_left(host: Host) -> bool:
    return not holders(host) and not [
        p.name for p in host.folder.parent.iterdir() if p.name.startswith("net")
    ]


def test_replicas_talk_to_each_other_and_leave_nothing(gang: list[Host]) -> None:
    events = ends(gang, launch(gang, PYTHON, "-c", TALK))
    assert [event["reason"] for event in events] == ["succeeded", "succeeded"]
    assert gang[0].log() == "rank 0 of 2\n"
    assert gang[1].log() == "hello from 0\nrank 1 of 2\n"
    kinds = [(event["type"], event.get("state")) for event in gang[0].api.events(1)]
    wanted = [("state", "preparing"), ("ready", None), ("state", "starting"), ("state", "running")]
    assert kinds[:4] == wanted
    wait_for(lambda: nothing_left(gang[0]), 2)


LISTEN = """
import os, socket, time
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
if os.environ["RANK"] == "0":
    listener = socket.create_server(address)
print(os.readlink("/proc/self/ns/net"))
time.sleep(60)
"""
REACH = """
import os, socket
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
print(address, socket.socket().connect_ex(address), os.readlink("/proc/self/ns/net"))
"""


def test_the_network_of_a_gang_is_nobody_elses(
    boxed_gang: list[Host], make_gang: Callable[[str], list[Host]]
) -> None:
    first = launch(boxed_gang, PYTHON, "-c", LISTEN)
    wait_for(lambda: all(host.log() for host in boxed_gang))
    spaces = {host.log().strip() for host in boxed_gang}
    assert len(spaces) == 1
    assert os.readlink("/proc/self/ns/net") not in spaces
    port = boxed_gang[0].api.ready(0)[0]["ports"][0]
    other = make_gang(boxed_gang[0].mode)
    ends(other, launch(other, PYTHON, "-c", REACH))
    said = {host.log() for host in other}
    assert len(said) == 1
    assert f"('127.0.0.1', {port}) {errno.ECONNREFUSED} " in said.pop()
    assert not any(space in host.log() for host in other for space in spaces)
    with socket.socket() as ours:
        assert ours.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    for launcher in first:
        launcher.terminate()
    ends(boxed_gang, first)


def test_the_command_holds_nothing_of_the_network_open(boxed_gang: list[Host]) -> None:
    script = "for fd in /proc/self/fd/*; do readlink $fd; done; ls /proc/1/fd"
    ends(boxed_gang, launch(boxed_gang, "sh", "-c", script))
    assert "net:" not in boxed_gang[0].log()
    assert "user:" not in boxed_gang[0].log()
    assert "/network" not in boxed_gang[0].log()


class Echo:
    """The API's socket, for what the gang asks of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "nacre.sock"))
        (folder / "nacre.sock").chmod(0o666)
        self._listener.listen(64)
        self._listener.settimeout(0.2)

    def answer(self, count: int) -> None:
        """So many connections, one after another."""
        deadline = time.monotonic() + 30
        while count:
            assert time.monotonic() < deadline
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                with connection:
                    connection.sendall(b"api\n")
                count -= 1

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def echo(root: Path) -> Iterator[Echo]:
    found = Echo(root / "attempts" / "api")
    yield found
    found.close()


ASK = f"exec 3<>/dev/tcp/127.0.0.1/{PORT} && head -c 4 <&3"


def test_each_replica_finds_the_api_on_loopback(boxed_gang: list[Host], echo: Echo) -> None:
    started = launch(boxed_gang, "bash", "-c", ASK, api_socket_folder=str(echo.folder))
    echo.answer(2)
    ends(boxed_gang, started)
    assert [host.log() for host in boxed_gang] == ["api\n", "api\n"]


def test_a_killed_holder_is_replaced_in_the_same_network(boxed_gang: list[Host], echo: Echo) -> None:
    script = f"""
readlink /proc/self/ns/net
{ASK}
while [ ! -e /output/stop ]; do sleep 0.05; done
{ASK}
"""
    started = launch(boxed_gang, "bash", "-c", script, api_socket_folder=str(echo.folder))
    echo.answer(2)
    wait_for(lambda: all(host.log().count("\n") == 2 for host in boxed_gang))
    for pid in holders(boxed_gang[0]):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not holders(boxed_gang[0]))
    wait_for(lambda: len(holders(boxed_gang[0])) == 1)
    wait_for(lambda: _note_is_of(boxed_gang[0], holders(boxed_gang[0])))
    for host in boxed_gang:
        (host.folder / "output" / "stop").touch()
    echo.answer(2)
    ends(boxed_gang, started)
    logs = [host.log().splitlines() for host in boxed_gang]
    assert logs[0] == logs[1]
    assert logs[0][1:] == ["api", "api"]
    wait_for(lambda: nothing_left(boxed_gang[0]), 2)


def _note_is_of(host: Host, pids: list[int]) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return json.loads((host.folder.parent / "network.json").read_text())["pid"] in pids
    return False


def test_a_launcher_killed_at_the_barrier_is_replaced(gang: list[Host]) -> None:
    gang[0].spec(PYTHON, "-c", TALK, replicas=2)
    gang[1].spec(PYTHON, "-c", TALK, replicas=2)
    first = gang[0].start()
    wait_for(lambda: gang[0].api.ready(0))
    first.kill()
    first.wait()
    (gang[0].folder / "work" / "mark").touch()  # what is prepared is not prepared again
    second = gang[0].start("--adopt")
    assert [event["reason"] for event in ends(gang, [second, gang[1].start()])] == ["succeeded"] * 2
    assert len(gang[0].api.ready(0)) == 1
    assert gang[1].log() == "hello from 0\nrank 1 of 2\n"
    wait_for(lambda: nothing_left(gang[0]), 2)


def test_launchers_killed_at_any_moment_start_the_work_once(gang: list[Host]) -> None:
    for host in gang:
        host.spec(PYTHON, "-c", TALK, replicas=2)
    for pause in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6):
        launchers = [host.start("--adopt") for host in gang]
        time.sleep(pause)
        for launcher in launchers:
            launcher.kill()
            launcher.wait()
    events = ends(gang, [host.start("--adopt") for host in gang])
    assert [event["reason"] for event in events] == ["succeeded", "succeeded"]
    assert [host.log() for host in gang] == ["rank 0 of 2\n", "hello from 0\nrank 1 of 2\n"]
    wait_for(lambda: nothing_left(gang[0]), 2)


def test_work_of_a_gang_goes_on_without_launchers(boxed_gang: list[Host]) -> None:
    script = TALK.replace('print("rank"', 'time.sleep(2); print("rank"')
    for launcher in launch(boxed_gang, PYTHON, "-c", script):
        wait_for(lambda: all((host.folder / "io" / "started").exists() for host in boxed_gang))
        launcher.kill()
        launcher.wait()
    assert len(holders(boxed_gang[0])) == 1  # for the shells around the commands
    events = ends(boxed_gang, [host.start("--adopt") for host in boxed_gang])
    assert [event["reason"] for event in events] == ["succeeded", "succeeded"]
    wait_for(lambda: nothing_left(boxed_gang[0]), 2)


def test_the_holder_ends_when_all_launchers_are_killed_before_the_work(boxed_gang: list[Host]) -> None:
    boxed_gang[0].spec("true", replicas=2)
    launcher = boxed_gang[0].start()
    wait_for(lambda: boxed_gang[0].api.ready(0))
    wait_for(lambda: holders(boxed_gang[0]))
    launcher.kill()
    launcher.wait()
    wait_for(lambda: not holders(boxed_gang[0]), 5)


def test_clearing_a_gang_leaves_nothing(boxed_gang: list[Host]) -> None:
    launchers = launch(boxed_gang, "sh", "-c", "echo up; sleep 60")
    wait_for(lambda: all(host.log() == "up\n" for host in boxed_gang))
    env = {"PYTHONPATH": f"{SRC}:{SITE}", "PATH": os.environ["PATH"]}
    for host in boxed_gang:
        argv = [sys.executable, "-m", "nacre.launcher.clear", "--all", str(host.folder), host.attempt]
        subprocess.run([*argv, str(host.rank)], env=env, check=True)
    for launcher in launchers:
        launcher.wait(5)
    assert not boxed_gang[0].folder.parent.exists()
    wait_for(lambda: not holders(boxed_gang[0]), 2)


@pytest.mark.parametrize("how", ["signal", "server", "fence"])
def test_waiting_ends_when_the_gang_is_not_to_be(plain_gang: list[Host], how: str) -> None:
    host = plain_gang[0]
    host.spec("true", replicas=2)
    launcher = host.start()
    wait_for(lambda: host.api.ready(0))
    if how == "signal":
        launcher.terminate()
    elif how == "server":
        host.api.reason, host.api.desired = "rendezvous_timeout", "stop"
    else:
        host.api.fenced = True
    assert launcher.wait(10) == (4 if how == "fence" else 0)
    if how != "fence":
        reason = "cancelled_by_user" if how == "signal" else "rendezvous_timeout"
        assert host.exit_event()["reason"] == reason
    assert "running" not in [event.get("state") for event in host.api.events()]
    assert not (host.folder / "spec.json").exists()


def test_ports_on_the_host_are_free_and_everybodys_own(plain_gang: list[Host]) -> None:
    ends(plain_gang, launch(plain_gang, PYTHON, "-c", TALK, processes=3))
    ports = [plain_gang[0].api.ready(rank)[0]["ports"] for rank in range(2)]
    assert [len(found) for found in ports] == [6, 6]
    assert len({*ports[0], *ports[1]}) == 12


def test_parameter_servers_have_ports_of_rank_0(plain_gang: list[Host]) -> None:
    distribution = {"type": "tensorflow", "parameter_servers": 2, "launch": "per-node"}
    launchers = launch(plain_gang, "true", distribution=distribution)
    ends(plain_gang, launchers)
    ports = [plain_gang[0].api.ready(rank)[0]["ports"] for rank in range(2)]
    assert [len(found) for found in ports] == [6, 4]


@pytest.mark.skipif(not BOXED, reason="needs a sandbox")
def test_a_plain_job_asks_no_more_of_the_server_and_says_nothing_of_a_gang(
    make_host: Callable[[str], Host],
) -> None:
    host = make_host(BOXED[0])
    host.run("sh", "-c", "env | grep -E '^(RANK|WORLD_SIZE|MASTER_ADDR|TF_CONFIG|PET_)' || echo none")
    assert host.log() == "none\n"
    assert "ready" not in [event["type"] for event in host.api.events()]
    assert not (host.folder.parent / "network").exists()


def test_a_longer_grace_reaches_a_stop_that_has_begun(plain: Host) -> None:
    plain.spec("sh", "-c", "trap 'sleep 3; echo saved; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    launcher = plain.start()
    wait_for(lambda: plain.log() == "up\n")
    plain.api.desired, plain.api.grace_s = "stop", 20.0  # told with the next answer: after the signal
    launcher.terminate()
    assert launcher.wait(20) == 0
    assert plain.log().endswith("saved\n")


def test_a_shorter_grace_does_too(plain: Host) -> None:
    limits = {"grace_s": 60}
    plain.spec("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done", limits=limits)
    launcher = plain.start()
    wait_for(lambda: plain.log() == "up\n")
    plain.api.desired, plain.api.grace_s = "stop", 0.5
    assert launcher.wait(20) == 0
    assert plain.exit_event()["signal"] == 9
