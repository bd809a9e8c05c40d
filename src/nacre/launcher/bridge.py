"""Carries what connects to a port of 127.0.0.1 inside a sandbox without network to a unix socket of the
server: the API's, and the package proxy's where the project's work may use that.

A program of its own, beside the sandbox and not in it: only its listening sockets are in the sandbox's
network. So the work neither sees nor pays for it, cannot end it, and needs no Python. It starts while the
attempt's folder is being filled, is told the work's shell through its standard input, and ends with that
shell; a launcher may come and go meanwhile.

It is started as a module without its package, and imports little: it races with the sandbox.

It knows no protocol: bytes go both ways at the pace of the slower side, and a half-close is passed on.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import fcntl
import os
import resource
import select
import sys
import time

NO_NAMESPACE, NO_LISTENER = 3, 4
"""Exit codes: the sandbox's network cannot be entered; a port in it cannot be had."""

Target = tuple[int, str]
"""A unix socket: a descriptor of its folder, and its name there. Its parents may be closed to the user that
we become, and its whole path too long for an address."""

_CHUNK = 128 * 2**10
_MOST = 256  # connections at a time; more wait in the listener's queue
_PATIENCE_S = 1.0  # a server that restarts is waited for; then the client is told by a reset
_LAST_WORDS_S = 5.0  # for a client that goes on sending to a server that has closed
_CLONE_NEWNET, _CLONE_NEWUSER, _NS_GET_USERNS = 0x40000000, 0x10000000, 0xB701
_IP_FREEBIND = 15  # the loopback interface may not be up yet
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_GONE = select.EPOLLERR | select.EPOLLHUP


class _End:
    """One socket of a link, and what waits to be written to it."""

    __slots__ = ("deaf", "interest", "link", "other", "read_all", "shut", "sock", "waiting")

    def __init__(self, link: Link, sock: _socket.socket) -> None:
        self.link = link
        self.sock = sock
        self.other = self
        self.waiting = b""
        self.interest = 0
        self.read_all = False  # it will send nothing more
        self.shut = False  # it was told that nothing more comes
        self.deaf = False  # it takes nothing more: what comes for it is dropped


class Link:
    """A client and its connection to the server."""

    def __init__(self, client: _socket.socket, target: Target, now: float) -> None:
        self.client = _End(self, client)
        self.target = target
        self.server: _End | None = None
        self.deadline: float | None = now + _PATIENCE_S


class Bridge:
    """Carries between listening sockets and the target of each, until ``until`` becomes readable."""

    def __init__(self, listeners: list[tuple[_socket.socket, Target]], until: int) -> None:
        """``until``: a descriptor, such as of a process."""
        self._listeners = {listener.fileno(): (listener, target) for listener, target in listeners}
        self._until = until
        self._poll = select.epoll()
        self._ends: dict[int, _End] = {}
        self._pending: list[Link] = []
        self._closing: list[Link] = []
        self._links = 0
        self._accepting = False
        self._room = memoryview(bytearray(_CHUNK))
        self._poll.register(until, _IN)
        for listener, _ in listeners:
            listener.setblocking(False)

    def run(self) -> None:
        """Return when ``until`` is readable; open connections are closed by the end of the process."""
        self._accept_more(True)
        while True:
            due = 0.01 if self._pending else (1.0 if self._closing else -1)
            for fd, events in self._poll.poll(due):
                if fd == self._until:
                    return
                if fd in self._listeners:
                    self._accept(*self._listeners[fd])
                elif fd in self._ends:  # an event before may have closed it
                    self._turn(self._ends[fd], events)
            if self._pending or self._closing:
                self._look_at_clocks(time.monotonic())

    def _accept_more(self, wanted: bool) -> None:
        if wanted is not self._accepting:
            self._accepting = wanted
            for fd in self._listeners:
                if wanted:
                    self._poll.register(fd, _IN)
                else:
                    self._poll.unregister(fd)

    def _accept(self, listener: _socket.socket, target: Target) -> None:
        while self._links < _MOST:
            try:
                client = _socket.socket(fileno=listener._accept()[0])  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError:  # it was gone before we came, or no descriptor is free: later
                return
            client.setblocking(False)
            client.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            self._links += 1
            link = Link(client, target, time.monotonic())
            if not self._connect(link):
                self._pending.append(link)
        self._accept_more(False)

    def _connect(self, link: Link) -> bool:
        """Reach the server; False while it is away or its queue is full."""
        server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        server.setblocking(False)
        folder, name = link.target
        try:
            os.fchdir(folder)
            server.connect(name)
        except OSError:
            server.close()
            return False
        link.deadline = None
        link.server = _End(link, server)
        link.client.other, link.server.other = link.server, link.client
        for end in (link.client, link.server):
            self._ends[end.sock.fileno()] = end
            self._want(end, _IN)
        return True

    def _look_at_clocks(self, now: float) -> None:
        waiting, self._pending = self._pending, []
        for link in waiting:
            if self._connect(link):
                continue
            if link.deadline is not None and now > link.deadline:
                self._close(link, reset=True)
            else:
                self._pending.append(link)
        for link in [link for link in self._closing if link.deadline is not None and now > link.deadline]:
            self._close(link)

    def _turn(self, end: _End, events: int) -> None:
        try:
            if events & _OUT:
                self._write(end)
            if events & (_IN | _GONE) and not end.read_all:
                self._read(end)
        except OSError:
            self._close(end.link, reset=True)
            return
        self._settle(end.link)

    def _read(self, end: _End) -> None:
        """Take what came and hand it on; what the other side does not take yet stops further reading."""
        other = end.other
        if other.waiting:
            return
        try:
            count = end.sock.recv_into(self._room)
        except BlockingIOError:
            return
        except ConnectionResetError:
            if end is end.link.client:
                raise
            count = 0  # a unix socket's way to say that it closed before it had read everything
        if count == 0:
            end.read_all = True
        elif not other.deaf:
            other.waiting = self._send(other, self._room[:count])

    def _write(self, end: _End) -> None:
        end.waiting = self._send(end, memoryview(end.waiting))

    def _send(self, end: _End, data: memoryview) -> bytes:
        """Write; what is left."""
        try:
            sent = end.sock.send(data)
        except BlockingIOError:
            sent = 0
        except (BrokenPipeError, ConnectionResetError):
            if end is end.link.client:
                raise  # nobody is left to answer to
            end.deaf = True  # its answer, to a request that it refused to read, is still to come
            return b""
        return bytes(data[sent:]) if sent < len(data) else b""

    def _settle(self, link: Link) -> None:
        """Pass ends of streams on, and wait for what can come next."""
        server = link.server
        if server is None:
            return
        ends = (link.client, server)
        for end in ends:
            if end.other.read_all and not end.waiting and not end.shut:
                end.shut = True
                try:
                    end.sock.shutdown(_socket.SHUT_WR)
                except OSError:
                    end.deaf = True
        if all(end.shut for end in ends):
            self._close(link)
            return
        if server.read_all and link.client.shut and link.deadline is None:
            # The server is through with it; the client may still be sending, and would lose the answer.
            server.deaf, server.waiting = True, b""
            link.deadline = time.monotonic() + _LAST_WORDS_S
            self._closing.append(link)
        for end in ends:
            interest = 0 if end.read_all or end.other.waiting else _IN
            if end.waiting:
                interest |= _OUT
            self._want(end, interest)

    def _want(self, end: _End, interest: int) -> None:
        """A socket that nothing is wanted from is left out: its end would wake us again and again."""
        if interest == end.interest:
            return
        if not end.interest:
            self._poll.register(end.sock.fileno(), interest)
        elif interest:
            self._poll.modify(end.sock.fileno(), interest)
        else:
            self._poll.unregister(end.sock.fileno())
        end.interest = interest

    def _close(self, link: Link, *, reset: bool = False) -> None:
        if link in self._closing:
            self._closing.remove(link)
        if reset:  # a close with unwritten zero linger: the client learns that it was no proper end
            linger = (1).to_bytes(4, sys.byteorder) + bytes(4)
            link.client.sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, linger)
        for end in (link.client, link.server):
            if end is not None and end.sock.fileno() >= 0:
                self._want(end, 0)
                self._ends.pop(end.sock.fileno(), None)
                end.sock.close()
        self._links -= 1
        self._accept_more(True)


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def namespace_of(shell: int, until: int) -> int:
    """The network namespace of what the shell runs, once it has one of its own; -1 when it ended before."""
    own = os.stat("/proc/self/ns/net").st_ino
    while not select.select([until], [], [], 0.0005)[0]:
        below = [shell]
        while below:
            pid = below.pop()
            try:
                if os.stat(f"/proc/{pid}/ns/net").st_ino != own:
                    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            except OSError:  # it has just ended
                continue
            below += _children(pid)
    return -1


def enter(namespace: int) -> bool:
    """Join a network namespace; for that its user namespace first where we are not root."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET) == 0:
        return True
    try:
        owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
    except OSError:
        return False
    entered: bool = libc.setns(owner, _CLONE_NEWUSER) == 0 and libc.setns(namespace, _CLONE_NEWNET) == 0
    return entered


def listen(port: int) -> _socket.socket:
    """A listening socket on loopback. Raises OSError."""
    listener = _socket.socket()
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.setsockopt(_socket.SOL_IP, _IP_FREEBIND, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(512)
    return listener


def targets(ways: tuple[str, ...]) -> list[tuple[int, Target]]:
    """From ``port=/path/of/socket``: where to listen, and where that leads. Allows for many connections."""
    most = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found: list[tuple[int, Target]] = []
    for way in ways:
        port, _, path = way.partition("=")
        folder, _, name = path.rpartition("/")
        found.append((int(port), (os.open(folder, os.O_PATH | os.O_DIRECTORY), name)))
    return found


def become(uid: str) -> None:
    """Become this user for good when we are root; empty: stay who we are."""
    if uid and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))


def main(uid: str, mark: str, *ways: str) -> int:
    """Wait for the work's shell on standard input, then carry until it ends.

    Args:
        uid: see ``become``.
        mark: a file to make once it listens.
        ways: see ``targets``.
    """
    found = targets(ways)
    told = sys.stdin.readline().split()
    if not told:
        return 0  # the launcher is gone, or had nothing to launch
    shell = int(told[0])
    try:
        until = os.pidfd_open(shell)
    except OSError as error:
        return 0 if error.errno == errno.ESRCH else NO_NAMESPACE
    namespace = namespace_of(shell, until)
    if namespace < 0:
        return 0
    if not enter(namespace):
        return NO_NAMESPACE
    try:
        listeners = [(listen(port), target) for port, target in found]
    except OSError:
        return NO_LISTENER
    try:  # noqa: SIM105 - one import less; the command owns that folder: nothing that is there already is touched
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:
        pass
    become(uid)
    Bridge(listeners, until).run()
    return 0
