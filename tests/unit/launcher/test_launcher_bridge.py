"""127.0.0.1:7373 in a sandbox without network is the API: what may be asked of the way there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from launcher_host import NOBODY, UID, Host, wait_for

from nacre.launcher import way
from nacre.launcher.bridge import Bridge
from nacre.launcher.variables import PORT

Talk = Callable[[socket.socket], None]


class Upstream:
    """The API's socket; each connection is given to ``talk`` in a thread."""

    def __init__(self, folder: Path, talk: Talk) -> None:
        self.path = folder / "nacre.sock"
        self.talk = talk
        self._listener: socket.socket | None = None
        self.up()

    def up(self) -> None:
        listener = self._listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        self.path.chmod(0o666)
        listener.listen(512)
        threading.Thread(target=self._serve, args=(listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.talk(connection)

    def down(self) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self.path.unlink()
            self._listener = None


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


class Carried:
    """A bridge in this process, on a free port."""

    def __init__(self, folder: Path) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        self.port = listener.getsockname()[1]
        self._stop, self._until = socket.socketpair()
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        self._before = os.open(
            ".", os.O_PATH
        )  # the bridge, here only a thread, goes to its target's folder
        self.bridge = Bridge([(listener, (self._folder, "nacre.sock"))], self._until.fileno())
        self._listener = listener
        self._thread = threading.Thread(target=self.bridge.run)
        self._thread.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def cpu_s(self) -> float:
        """What its thread alone has used."""
        assert self._thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))

    def close(self) -> None:
        self._stop.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        for end in list(self.bridge._ends.values()):
            end.sock.close()
        self.bridge._poll.close()
        self._listener.close()
        self._until.close()
        os.fchdir(self._before)
        for descriptor in (self._folder, self._before):
            os.close(descriptor)


@pytest.fixture
def carried(tmp_path: Path) -> Iterator[Carried]:
    found = Carried(tmp_path)
    yield found
    found.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Talk], Upstream]]:
    made: list[Upstream] = []

    def make(talk: Talk) -> Upstream:
        made.append(Upstream(tmp_path, talk))
        return made[-1]

    yield make
    for upstream in made:
        upstream.down()


def test_bytes_go_both_ways_and_the_end_of_one_way_leaves_the_other_open(
    carried: Carried, serve: Callable[[Talk], Upstream]
) -> None:
    def count_then_answer(connection: socket.socket) -> None:
        total = 0
        while data := connection.recv(65536):
            total += len(data)
        connection.sendall(f"got {total}".encode())

    serve(count_then_answer)
    with carried.connect() as client:
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").read() == b"got 100000"


def test_each_listener_leads_to_its_own_socket(tmp_path: Path) -> None:
    def say(word: bytes) -> Talk:
        return lambda connection: connection.sendall(word)

    folders = [tmp_path / "api", tmp_path / "packages"]
    for folder in folders:
        folder.mkdir()
    upstreams = [Upstream(folder, say(folder.name.encode())) for folder in folders]
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in folders]
    opened = [os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in folders]
    stop, until = socket.socketpair()
    bridge = Bridge(
        [(one, (folder, "nacre.sock")) for one, folder in zip(listeners, opened, strict=True)],
        until.fileno(),
    )
    thread = threading.Thread(target=bridge.run)
    here = os.open(".", os.O_PATH)
    thread.start()
    try:
        for _ in range(3):
            for listener, folder in zip(listeners, folders, strict=True):
                with socket.create_connection(listener.getsockname(), 10) as client:
                    assert client.makefile("rb").read() == folder.name.encode()
    finally:
        stop.close()
        thread.join(10)
        os.fchdir(here)
        for end in list(bridge._ends.values()):
            end.sock.close()
        bridge._poll.close()
        for descriptor in (*opened, here):
            os.close(descriptor)
        for one in (*listeners, until):
            one.close()
        for upstream in upstreams:
            upstream.down()


def test_a_long_upload_arrives_unchanged_at_the_pace_of_a_slow_reader(
    carried: Carried, serve: Callable[[Talk], Upstream]
) -> None:
    seen = hashlib.sha256()
    may_read = threading.Event()
    done = threading.Event()

    def slow(connection: socket.socket) -> None:
        may_read.wait(20)
        while data := connection.recv(1 << 20):
            seen.update(data)
        done.set()

    serve(slow)
    block = os.urandom(1 << 20)
    sent = 0
    with carried.connect() as client:
        client.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < 64 << 20:
                sent += client.send(block[sent % len(block) :])
        assert sent < 32 << 20  # nobody reads: what is underway is bounded
        may_read.set()
        client.settimeout(20)
        while sent < 64 << 20:
            sent += client.send(block[sent % len(block) :])
    assert done.wait(20)
    wanted = hashlib.sha256()
    for at in range(0, sent, len(block)):
        wanted.update(block[: min(len(block), sent - at)])
    assert seen.digest() == wanted.digest()


def test_many_connections_are_served_side_by_side_and_one_after_another(
    carried: Carried, serve: Callable[[Talk], Upstream]
) -> None:
    serve(echo)
    clients = [carried.connect() for _ in range(300)]  # more than are carried at once
    for number, client in enumerate(clients):
        client.sendall(b"%d" % number)
    for number, client in enumerate(clients):
        assert client.recv(10) == b"%d" % number
        client.close()
    with carried.connect() as client:
        client.sendall(b"again")
        assert client.recv(10) == b"again"


def test_a_server_that_restarts_is_waited_for_and_one_that_stays_away_is_told(
    carried: Carried, serve: Callable[[Talk], Upstream]
) -> None:
    server = serve(echo)
    server.down()
    with carried.connect() as client:
        client.sendall(b"hello")
        time.sleep(0.1)  # not to be right: to be early
        server.up()
        assert client.recv(10) == b"hello"
    server.down()
    with carried.connect() as client:
        client.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            client.recv(10)
    server.up()
    with carried.connect() as client:
        client.sendall(b"hello")
        assert client.recv(10) == b"hello"


def test_a_refusal_before_the_end_of_an_upload_still_reaches_the_client(
    carried: Carried, serve: Callable[[Talk], Upstream]
) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    serve(refuse)
    with carried.connect() as client:
        for _ in range(200):
            client.sendall(b"y" * 65536)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_a_server_learns_that_the_client_of_an_endless_answer_is_gone(
    carried: Carried, serve: Callable[[Talk], Upstream]
) -> None:
    left = threading.Event()

    def endless(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(b"z" * 4096)
        except OSError:
            left.set()

    serve(endless)
    client = carried.connect()
    assert client.recv(10)
    client.close()
    assert left.wait(10)


def test_an_idle_bridge_with_a_stalled_client_does_not_spin(
    carried: Carried, serve: Callable[[Talk], Upstream]
) -> None:
    serve(lambda connection: connection.sendall(b"w" * (16 << 20)))
    with carried.connect() as client:
        assert client.recv(1)
        time.sleep(0.3)  # a while to spin in
        before = carried.cpu_s()
        time.sleep(0.5)
        assert carried.cpu_s() - before < 0.1


# In the sandbox


@pytest.fixture
def api_folder(root: Path) -> Path:
    folder = root / "attempts" / "api"
    folder.mkdir(parents=True)
    return folder


def test_the_api_is_on_loopback_from_the_first_instruction_on(boxed: Host, api_folder: Path) -> None:
    upstream = Upstream(api_folder, echo)
    script = f"exec 3<>/dev/tcp/127.0.0.1/{PORT} && printf hello >&3 && head -c 5 <&3"  # no start-up at all
    boxed.run("bash", "-c", script, api_socket_folder=str(api_folder))
    upstream.down()
    assert boxed.log() == "hello"


def test_the_bridge_is_not_seen_and_ends_with_the_work(boxed: Host, api_folder: Path) -> None:
    upstream = Upstream(api_folder, echo)
    boxed.spec("sh", "-c", "ls -d /proc/[0-9]* | wc -l; sleep 60", api_socket_folder=str(api_folder))
    launcher = boxed.start()
    wait_for(lambda: boxed.log() != "")
    assert int(boxed.log()) <= 5
    pid = json.loads((boxed.folder / "bridge.json").read_text())["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    uid = UID if boxed.mode == "bwrap-root" else NOBODY if boxed.as_user else os.getuid()
    assert f"Uid:\t{uid}" in status
    assert int(status.split("VmRSS:")[1].split()[0]) < 15_000
    boxed.api.desired, boxed.api.reason = "stop", "cancelled_by_user"
    assert launcher.wait(20) == 0
    assert not Path(f"/proc/{pid}").exists()
    assert not (boxed.folder / "bridge.json").exists()
    upstream.down()


def test_a_bridge_that_dies_is_replaced_and_outlives_the_launcher(boxed: Host, api_folder: Path) -> None:
    upstream = Upstream(api_folder, echo)
    script = f"""import socket, time
def ask():
    s = socket.create_connection(('127.0.0.1', {PORT})); s.sendall(b'hello'); return s.recv(9)
print(ask(), flush=True)
while True:
    time.sleep(0.05)
    try: ask()
    except OSError: print('gone', flush=True); break
while True:
    time.sleep(0.05)
    try: print(ask(), flush=True); break
    except OSError: pass
time.sleep(60)
"""
    boxed.spec("python3", "-c", script, api_socket_folder=str(api_folder))
    launcher = boxed.start()
    note = boxed.folder / "bridge.json"
    wait_for(lambda: "hello" in boxed.log())
    first = json.loads(note.read_text())["pid"]
    launcher.kill()
    launcher.wait(10)
    assert Path(f"/proc/{first}").exists()
    again = boxed.start("--adopt")
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: boxed.log().count("hello") == 2)
    assert json.loads(note.read_text())["pid"] != first
    boxed.api.desired = "stop"
    assert again.wait(20) == 0
    upstream.down()


def test_work_finds_mlflows_variables_and_its_own_win(boxed: Host, api_folder: Path) -> None:
    script = "env | grep -E '^(MLFLOW|NACRE_CAPTURE)' | sort"
    boxed.run(
        *("sh", "-c", script),
        api_socket_folder=str(api_folder),
        experiment="digits",
        variables={"MLFLOW_RUN_ID": "mine"},
        capture=True,
    )
    assert boxed.log().splitlines() == [
        "MLFLOW_EXPERIMENT_NAME=digits",
        "MLFLOW_RUN_ID=mine",
        "MLFLOW_SYSTEM_METRICS_NODE_ID=machine",
        "MLFLOW_TRACKING_TOKEN=*****************",
        f"MLFLOW_TRACKING_URI=http://127.0.0.1:{PORT}",
        "NACRE_CAPTURE=on",
    ]


def test_with_the_hosts_network_mlflow_gets_the_servers_own_address(host: Host) -> None:
    host.run(
        *("sh", "-c", "env | grep -E '^(MLFLOW|NACRE_CAPTURE)' | sort"),
        network="full",
        api_url="http://127.0.0.1:8123",
        variables={"MLFLOW_EXPERIMENT_ID": "7"},
        experiment="digits",
    )
    assert host.log().splitlines() == [
        "MLFLOW_EXPERIMENT_ID=7",
        "MLFLOW_RUN_ID=" + "f" * 32,
        "MLFLOW_SYSTEM_METRICS_NODE_ID=machine",
        "MLFLOW_TRACKING_TOKEN=*****************",
        "MLFLOW_TRACKING_URI=http://127.0.0.1:8123",
        "NACRE_CAPTURE=off",
    ]


def test_a_bridge_without_work_ends_at_once(tmp_path: Path) -> None:
    here = str(Path(way.__file__).parent)
    argv = [sys.executable, "-I", "-S", "-c", way._PROGRAM, here, "", "mark", f"0={tmp_path}/nacre.sock"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=10, check=False)
    assert done.returncode == 0
