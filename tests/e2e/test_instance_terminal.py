"""The terminal of a real instance: through the SDK, the command line in a pty, a browser's cookie."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from typing import Any

import pytest
from real_server import NACRE, MakeServer, Server, wait_until
from websockets.sync.client import connect
from websockets.typing import Origin

from nacre.errors import Conflict, NacreError, PermissionDenied
from nacre.sdk.client import Client
from nacre.sdk.terminal import InstanceTerminal


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Iterator[Server]:
    """A server with a running instance, ``lab``."""
    found = make_module_server()
    with found.client() as nacre:
        nacre.instances.create("lab", environment="base")
        assert nacre.instances.wait("lab", timeout_s=200).state == "running"
    yield found
    with found.client() as nacre:
        nacre.instances.stop("lab")


@pytest.fixture
def nacre(server: Server) -> Client:
    return server.client()


def until(terminal: InstanceTerminal, text: bytes, seen: bytes = b"", timeout_s: float = 30.0) -> bytes:
    """What it prints, up to a text."""
    deadline = time.monotonic() + timeout_s
    while text not in seen:
        assert time.monotonic() < deadline, f"{text!r} did not come: {seen[-2000:]!r}"
        seen += terminal.read(timeout_s=timeout_s)
    return seen


class TestSdk:
    def test_a_shell_in_the_home_that_ends_with_its_code(self, nacre: Client) -> None:
        with nacre.instances.terminal("lab", rows=33, cols=101) as terminal:
            assert not terminal.resumed
            assert terminal.name in terminal.names
            terminal.send(b"pwd; stty size; echo $((6*7))-$TERM; exit 7\r")
            said = b"".join(terminal)
        assert b"/home/user\r\n" in said
        assert b"33 101\r\n" in said
        assert b"42-xterm-256color" in said
        assert terminal.ended
        assert terminal.exit_code == 7

    def test_what_is_typed_and_printed_may_be_cut_within_a_character(self, nacre: Client) -> None:
        with nacre.instances.terminal("lab") as terminal:
            for byte in "printf '[%s]' $(printf 环境🙂 | wc -m) $'\\xff' ü; exit\r".encode():
                terminal.send(bytes([byte]))
            said = b"".join(terminal).decode()
        assert "[3][\ufffd][ü]" in said
        assert terminal.exit_code == 0

    def test_the_window_changes_its_size(self, nacre: Client) -> None:
        with nacre.instances.terminal("lab") as terminal:
            until(terminal, b"$ ")
            terminal.resize(50, 160)
            terminal.send(b"stty size\r")
            until(terminal, b"50 160\r\n")
            terminal.send(b"exit\r")
            list(terminal)

    def test_it_is_joined_again_by_its_name_with_what_it_printed_meanwhile(self, nacre: Client) -> None:
        with nacre.instances.terminal("lab", terminal="work") as first:
            assert first.name == "work"
            first.send(b"x=secret; (sleep 1; echo la''ter) &\r")
            until(first, b"sleep")
        with nacre.instances.terminal("lab", terminal="work") as again:
            assert again.resumed
            said = until(again, b"later\r\n")
            assert b"sleep 1" in said, "the end of what was there is shown"
            again.send(b"echo $x\r")
            until(again, b"secret\r\n")
            with nacre.instances.terminal("lab", terminal="work") as beside:
                beside.send(b"echo bo''th\r")
                until(beside, b"both\r\n")
                until(again, b"both\r\n")
            again.send(b"exit\r")
            list(again)
        with nacre.instances.terminal("lab", terminal="work") as anew:
            assert not anew.resumed
            anew.send(b"exit\r")
            list(anew)

    def test_a_flood_waits_for_the_reader_and_fills_no_memory(self, server: Server, nacre: Client) -> None:
        with nacre.instances.terminal("lab") as terminal:
            until(terminal, b"$ ")
            before = server.rss()
            terminal.send(b"seq 1 3000000; echo do''ne\r")
            time.sleep(4)  # nobody reads
            assert server.rss() - before < 60 * 2**20
            tail, read = b"", 0
            while b"done\r\n" not in tail:
                data = terminal.read(timeout_s=30)
                tail, read = (tail + data)[-4096:], read + len(data)
            assert b"2999999\r\n3000000\r\n" in tail
            assert read > 3_000_000 * 8, "nothing was left out"
            terminal.send(b"exit\r")
            list(terminal)

    def test_a_large_paste_arrives_whole(self, nacre: Client) -> None:
        lines = "".join(f"{number:07d}\n" for number in range(20_000)).encode()
        with nacre.instances.terminal("lab") as terminal:
            until(terminal, b"$ ")
            terminal.send(b"stty -echo; cat > pasted; echo clo''sed; sha1sum < pasted; wc -c < pasted\r")
            terminal.send(lines + b"\x04")
            until(terminal, b"closed\r\n")
            until(terminal, b"160000\r\n")
            terminal.send(b"exit\r")
            list(terminal)

    def test_what_is_typed_counts_as_work(self, nacre: Client) -> None:
        with nacre.instances.terminal("lab") as terminal:
            terminal.send(b"true\r")
            wait_until("it is not idle", lambda: (nacre.instances.get("lab").idle_s or 99) < 5)
            terminal.send(b"exit\r")
            list(terminal)


class TestWhoMay:
    def test_only_its_user_and_owners_of_the_project(self, server: Server, nacre: Client) -> None:
        invitation = nacre.invitations.create(project="default", role="editor")
        mate = nacre.users.sign_up("mate", "correct horse", invitation=invitation.secret)
        assert mate.secret is not None
        with pytest.raises(PermissionDenied, match="belongs to another member"):
            server.client(mate.secret).instances.terminal("lab")

    def test_rights_that_end_end_the_terminal(self, server: Server, nacre: Client) -> None:
        made = nacre.tokens.create("short", scopes=["instances:write"])
        with server.client(made.secret).instances.terminal("lab") as terminal:
            until(terminal, b"$ ")
            begun = time.monotonic()
            nacre.tokens.delete(made.token.id)
            with pytest.raises(NacreError) as raised:
                until(terminal, b"never")
            assert raised.value.status == 401
            assert time.monotonic() - begun < 15

    def test_a_token_without_the_scope_is_refused(self, server: Server, nacre: Client) -> None:
        made = nacre.tokens.create("reader", scopes=["instances:read"])
        with pytest.raises(PermissionDenied, match="instances:write"):
            server.client(made.secret).instances.terminal("lab")

    def test_a_browser_needs_a_page_of_the_console(self, server: Server) -> None:
        cookie = f"nacre_session={server.token}"
        address = f"ws://127.0.0.1:{server.port}/api/v1/projects/default/instances/lab/terminal"

        def first(origin: str) -> dict[str, Any]:
            with connect(
                address, additional_headers={"Cookie": cookie}, origin=Origin(origin), proxy=None
            ) as one:
                found: dict[str, Any] = json.loads(one.recv(timeout=30))
            return found

        assert first(server.url)["op"] == "ready"
        refused = first(server.content_url)
        assert refused["op"] == "error"
        assert refused["error"]["status"] == 403

    def test_plain_http_is_told_what_to_do(self, server: Server) -> None:
        answer = server.http().get("/api/v1/projects/default/instances/lab/terminal")
        assert answer.status_code == 426
        assert answer.headers["upgrade"] == "websocket"


_started: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def no_commands_left() -> Iterator[None]:
    yield
    for process in _started:
        process.kill()
        process.wait(10)
    _started.clear()


class Typed:
    """``nacre instance terminal lab`` in a terminal of its own."""

    def __init__(self, server: Server, *words: str) -> None:
        self.keys, inner = pty.openpty()
        ioctl(self.keys, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.before = termios.tcgetattr(inner)
        self.process = subprocess.Popen(
            [NACRE, "instance", "terminal", "lab", *words],
            env=server.environ(TERM="xterm"),
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        self.inner = inner
        _started.append(self.process)
        self.seen = b""

    def type(self, text: str) -> bool:
        return os.write(self.keys, text.encode()) > 0

    def until(self, text: str, timeout_s: float = 30.0) -> str:
        deadline = time.monotonic() + timeout_s
        while text.encode() not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.seen[-2000:]!r}"
            if select.select([self.keys], [], [], 0.5)[0]:
                self.seen += os.read(self.keys, 65536)
        head, _, self.seen = self.seen.partition(text.encode())
        return head.decode(errors="replace")

    def end(self, timeout_s: float = 15.0) -> int:
        """Its exit code; the terminal must be as it was."""
        try:
            code = self.process.wait(timeout_s)
            assert termios.tcgetattr(self.inner) == self.before
            return code
        finally:
            if self.process.poll() is None:
                self.process.kill()
            os.close(self.keys)
            os.close(self.inner)


class TestCommand:
    def test_a_shell_with_the_size_of_this_terminal_and_its_code(self, server: Server) -> None:
        lab = Typed(server)
        lab.until("$ ")
        lab.type("stty size\r")
        lab.until("40 120\r\n")
        ioctl(lab.keys, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 77, 0, 0))
        lab.process.send_signal(signal.SIGWINCH)
        wait_until("the size is told", lambda: lab.type("stty size\r") and "31 77" in lab.until("$ "))
        lab.type("sleep 100\r")
        lab.until("sleep 100\r\n")
        lab.type("\x03")
        lab.until("$ ")
        lab.type("echo still here; exit 9\r")
        lab.until("still here\r\n")
        assert lab.end() == 9

    def test_it_is_left_and_the_shell_goes_on(self, server: Server) -> None:
        lab = Typed(server, "--terminal", "left")
        lab.until("$ ")
        lab.type("kept=here\r~.")
        lab.until("come back with")
        assert lab.end() == 0
        again = Typed(server, "--terminal", "left")
        again.until("kept=here\r\n")
        again.type("echo $kept; exit\r")
        again.until("here\r\n")
        assert again.end() == 0

    def test_the_server_may_be_restarted_in_the_middle(self, server: Server) -> None:
        lab = Typed(server)
        lab.until("$ ")
        lab.type("kept=through; echo rea''dy\r")
        lab.until("ready\r\n")
        server.kill9()
        server.start()
        wait_until("it is joined again", lambda: lab.type("echo [$kept]\r") and _in(lab, "[through]"))
        lab.type("exit 3\r")
        assert lab.end(30) == 3

    def test_a_pipe_ends_the_shell_where_it_ends(self, server: Server) -> None:
        done = server.run("instance", "terminal", "lab", input=b"echo $((6*7))\nfalse\n", check=False)
        assert b"42\r\n" in done.stdout
        assert done.returncode == 1

    def test_what_cannot_be_opened_is_said(self, server: Server, nacre: Client) -> None:
        nacre.instances.create("off", environment="base", start=False)
        done = server.run("instance", "terminal", "off", input=b"", check=False)
        assert done.returncode == 1
        assert b"start it with 'nacre instance start off'" in done.stderr
        done = server.run("instance", "terminal", "absent", input=b"", check=False)
        assert b"there is no instance absent" in done.stderr
        nacre.instances.delete("off")


def test_stopping_the_instance_ends_its_terminals(make_server: MakeServer) -> None:
    server = make_server()
    nacre = server.client()
    nacre.instances.create("lab", environment="base")
    assert nacre.instances.wait("lab", timeout_s=200).state == "running"
    with nacre.instances.terminal("lab", terminal="1") as terminal:
        until(terminal, b"$ ")
        nacre.instances.stop("lab")
        with pytest.raises(NacreError):
            until(terminal, b"never")
    wait_until("it has stopped", lambda: nacre.instances.get("lab").state == "stopped")
    with pytest.raises(Conflict, match="is stopped: start it with"):
        nacre.instances.terminal("lab", terminal="1")


def _in(lab: Typed, text: str) -> bool:
    while select.select([lab.keys], [], [], 0.5)[0]:
        lab.seen += os.read(lab.keys, 65536)
    return text.encode() in lab.seen
