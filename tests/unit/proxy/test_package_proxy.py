"""The package proxy leads to the hosts on its list and nowhere else, whatever it is told."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from package_stage import Host, Names, Pages, connect, head_of, say, serving
from tests.tls_kit import certificate

from nacre.proxy.package_hosts import PackageHosts
from nacre.proxy.packages import Limits, PackageProxy

Start = Callable[..., Path]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a proxy: hosts that are ``named`` or ``default``, and its other settings."""
    with ExitStack() as stack:

        def make(*named: str, default: tuple[str, ...] = (), **settings: object) -> Path:
            proxy = PackageProxy(PackageHosts(named, default), **settings)  # type: ignore[arg-type]
            return stack.enter_context(serving(proxy, tmp_path / "proxy.sock"))

        yield make


@pytest.fixture
def made() -> Iterator[list[Host]]:
    found: list[Host] = []
    yield found
    for host in found:
        host.close()


def status(answer: bytes) -> int:
    return int(answer.split()[1])


# Through tunnels


def test_tls_to_an_allowed_host_goes_through_unread(
    start: Start, names: Names, made: list[Host], tmp_path: Path
) -> None:
    server, client = certificate(tmp_path, "index.test")
    body = bytes(range(256)) * 40_000
    made.append(Pages(body, server))
    names.addresses["index.test"] = ["127.0.0.1"]
    path = start(f"index.test:{made[0].port}")
    with connect(path) as raw:
        raw.sendall(f"CONNECT Index.TEST:{made[0].port} HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n".encode())
        assert head_of(raw) == b"HTTP/1.1 200 Connection established\r\n\r\n"
        with client.wrap_socket(raw, server_hostname="index.test") as safe:
            safe.sendall(b"GET /simple/ HTTP/1.1\r\nHost: index.test\r\n\r\n")
            assert safe.makefile("rb").read().endswith(b"\r\n\r\n" + body)
    assert names.asked == ["index.test"], "looked up once, and never again"


@pytest.mark.parametrize(
    "target",
    [
        "evil.test:443",
        "index.test:22",
        "index.test.evil.test:443",
        "127.0.0.1:443",
        "[::1]:443",
        "localhost:443",
    ],
)
def test_other_hosts_and_ports_are_refused_before_their_names_are_looked_up(
    start: Start, names: Names, target: str
) -> None:
    answer = say(start("index.test"), f"CONNECT {target} HTTP/1.1\r\n\r\n".encode())
    reason = answer.split(b"\r\n")[0].decode()
    assert status(answer) == 403
    assert "is not among the package hosts of this server" in reason
    assert "NACRE_PACKAGE_HOSTS" in reason
    assert "--network full" in reason
    assert names.asked == []


def test_a_tunnel_is_for_tls_and_for_the_host_that_it_was_asked_for(
    start: Start, names: Names, made: list[Host], tmp_path: Path
) -> None:
    server, client = certificate(tmp_path, "index.test", "other.test")
    host = Pages(b"never", server)
    made.append(host)
    names.addresses["index.test"] = ["127.0.0.1"]
    path = start(f"index.test:{made[0].port}")
    request = f"CONNECT index.test:{made[0].port} HTTP/1.1\r\n\r\n".encode()
    with connect(path) as raw:
        raw.sendall(request)
        head_of(raw)
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            client.wrap_socket(raw, server_hostname="other.test")
    for said in (
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + bytes(70_000),
    ):
        answer = say(path, request + said)
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n"
    assert host.heard == []


def test_a_tunnel_to_an_address_has_no_name_in_it(start: Start, made: list[Host], tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "127.0.0.1")
    made.append(Pages(b"packages", server))
    with connect(start(f"127.0.0.1:{made[0].port}")) as raw:
        raw.sendall(f"CONNECT 127.0.0.1:{made[0].port} HTTP/1.1\r\n\r\n".encode())
        head_of(raw)
        with client.wrap_socket(raw, server_hostname="127.0.0.1") as safe:
            safe.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert safe.makefile("rb").read().endswith(b"packages")


# Plain HTTP


def test_a_page_of_an_allowed_host_without_what_was_meant_for_the_proxy(
    start: Start, names: Names, made: list[Host]
) -> None:
    host = Pages(b"a page")
    made.append(host)
    names.addresses["index.test"] = ["127.0.0.1"]
    port = host.port
    answer = say(
        start(f"index.test:{port}"),
        f"GET http://index.test:{port}/simple/a?b=c HTTP/1.1\r\nHost: evil.test\r\n".encode()
        + b"Accept: text/html\r\nProxy-Authorization: Basic eHg6eXk=\r\n"
        + b"Proxy-Connection: keep-alive\r\nConnection: keep-alive\r\n\r\n",
    )
    assert answer.endswith(b"\r\n\r\na page")
    assert host.heard[0].decode().split("\r\n") == [
        "GET /simple/a?b=c HTTP/1.1",
        f"Host: index.test:{port}",
        "Accept: text/html",
        "Connection: close",
        "",
        "",
    ]


def test_a_second_request_on_a_connection_reaches_nobody(
    start: Start, names: Names, made: list[Host]
) -> None:
    host = Pages(b"a page")
    made.append(host)
    names.addresses["index.test"] = ["127.0.0.1"]
    port = host.port
    path = start(f"index.test:{port}")
    one = f"GET http://index.test:{port}/one HTTP/1.1\r\n\r\n".encode()
    two = f"GET http://index.test:{port}/two HTTP/1.1\r\n\r\n".encode()
    say(path, one + two)
    with connect(path) as client:
        client.sendall(one)
        assert head_of(client).startswith(b"HTTP/1.1 200")
        with suppress(BrokenPipeError):  # it is over already
            client.sendall(two)
        assert client.makefile("rb").read() in (b"", b"a page")
    assert all(b"/one" in head for head in host.heard)
    assert host.connections <= 2


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: index.test\r\n\r\n", 400),
        (b"GET https://index.test/ HTTP/1.1\r\n\r\n", 400),
        (b"GET http://index.test HTTP/1.1\r\n\r\n", 400),
        (b"GET http://me:pw@index.test/ HTTP/1.1\r\n\r\n", 400),
        (b"GET http://index.test\\@evil.test/ HTTP/1.1\r\n\r\n", 400),
        (b"GET http://evil.test/ HTTP/1.1\r\n\r\n", 403),
        (b"GET http://index.test:8080/ HTTP/1.1\r\n\r\n", 403),
        (b"GET http://index.test/ HTTP/1.1\nHost: a\n\n\r\n\r\n", 400),
        (b"GET http://index.test/ HTTP/1.1\r\n folded: a\r\n\r\n", 400),
        (b"GET http://index.test/ HTTP/1.1\r\nA : b\r\n\r\n", 400),
        (b"GET http://index.test/ HTTP/1.1\r\nA: b\nEvil: c\r\n\r\n", 400),
        (b"GET http://index.test/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET http://index.test/ HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400),
        (b"GET http://index.test/ HTTP/1.1\r\nContent-Length: 0, 5\r\n\r\nhello", 400),
        (b"POST http://index.test/ HTTP/1.1\r\n\r\n", 405),
        (b"PUT http://index.test/ HTTP/1.1\r\n\r\n", 405),
        (b"CONNECT index.test HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT index.test:0 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT index.test:443443 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT me@index.test:443 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT index.test:443 HTTP/3\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET http://index.test/" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET http://index.test/ HTTP/1.1\r\nA: " + b"b" * 100_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_malformed_is_refused_with_a_sentence(
    start: Start, names: Names, request_bytes: bytes, code: int
) -> None:
    answer = say(start("index.test"), request_bytes)
    assert status(answer) == code, answer
    sentence = answer.split(b"\r\n")[0].split(b" ", 2)[2]
    assert answer.endswith(b"\r\n\r\n" + sentence + b"\n")
    assert names.asked == []


# Addresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "169.254.169.254",
        "fe80::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
    ],
)
def test_a_default_host_cannot_stand_for_this_machine_or_its_link(
    start: Start, names: Names, made: list[Host], address: str
) -> None:
    made.append(Pages(b"secret"))
    names.addresses["index.test"] = [address]
    path = start(default=(f"index.test:{made[0].port}",))
    for request in (
        f"CONNECT index.test:{made[0].port} HTTP/1.1\r\n\r\n",
        f"GET http://index.test:{made[0].port}/ HTTP/1.1\r\n\r\n",
    ):
        answer = say(path, request.encode())
        assert status(answer) == 403
        assert b"stands for an address of this machine" in answer
    assert made[0].connections == 0


def test_a_name_that_changes_its_address_after_the_look_is_not_looked_at_again(
    start: Start, names: Names, made: list[Host]
) -> None:
    made.append(Pages(b"secret"))
    # 192.0.2.1 belongs to nobody; the second look would say this machine
    names.addresses["index.test"] = ["192.0.2.1", "127.0.0.1"]
    path = start(default=(f"index.test:{made[0].port}",), limits=Limits(connect_s=0.5))
    answer = say(path, f"GET http://index.test:{made[0].port}/ HTTP/1.1\r\n\r\n".encode())
    assert status(answer) in (502, 504)
    assert names.asked == ["index.test"]
    assert made[0].connections == 0


def test_a_default_host_cannot_be_an_address_that_this_machine_has(
    start: Start, names: Names, made: list[Host]
) -> None:
    own = [
        one.address
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family == socket.AF_INET and not one.address.startswith("127.")
    ]
    if not own:
        pytest.skip("this machine has no address but loopback")
    made.append(Host(lambda connection: connection.sendall(b"secret"), address=own[0]))
    names.addresses["index.test"] = [own[0]]
    path = start(default=(f"index.test:{made[0].port}",))
    answer = say(path, f"GET http://index.test:{made[0].port}/ HTTP/1.1\r\n\r\n".encode())
    assert status(answer) == 403
    assert b"secret" not in answer


def test_a_host_that_somebody_named_may_be_anywhere(start: Start, names: Names, made: list[Host]) -> None:
    made.append(Pages(b"own index"))
    names.addresses["mirror.lab"] = ["127.0.0.1"]
    path = start(f"mirror.lab:{made[0].port}")
    answer = say(path, f"GET http://mirror.lab:{made[0].port}/ HTTP/1.1\r\n\r\n".encode())
    assert answer.endswith(b"own index")


def test_an_unknown_name_and_a_closed_port_are_said(start: Start, names: Names) -> None:
    path = start("index.test", "127.0.0.1:1")
    assert status(say(path, b"CONNECT index.test:443 HTTP/1.1\r\n\r\n")) == 502
    assert status(say(path, b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n")) == 502


# Limits


def test_who_is_slow_or_silent_is_let_go(start: Start, made: list[Host]) -> None:
    over = threading.Event()
    made.append(Host(lambda connection: connection.recv(10) and over.wait(9)))
    port = made[0].port
    path = start(f"127.0.0.1:{port}", limits=Limits(head_s=0.4, idle_s=0.6))
    began = time.monotonic()
    with connect(path) as client:
        client.sendall(b"CONNECT 127")
        assert status(client.makefile("rb").read()) == 408
    with connect(path) as client:
        client.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        head_of(client)
        assert client.recv(1) == b"", "no first message of TLS"
    answer = say(path, f"GET http://127.0.0.1:{port}/ HTTP/1.1\r\n\r\n".encode())
    assert answer == b"", "the host says nothing"
    assert time.monotonic() - began < 8
    over.set()


def test_a_piece_of_work_has_so_many_connections_at_a_time(start: Start, made: list[Host]) -> None:
    made.append(Pages(b"a page"))
    path = start(f"127.0.0.1:{made[0].port}", limits=Limits(each=3, head_s=5))
    request = f"GET http://127.0.0.1:{made[0].port}/ HTTP/1.1\r\n\r\n".encode()
    held = [connect(path) for _ in range(3)]
    try:
        for one in held:
            one.sendall(b"GET ")
        deadline = time.monotonic() + 5
        while status(answer := say(path, request)) != 503:
            assert time.monotonic() < deadline
        assert b"too many connections" in answer
    finally:
        for one in held:
            one.close()
    deadline = time.monotonic() + 5
    while status(say(path, request)) != 200:
        assert time.monotonic() < deadline


def test_a_slow_reader_holds_the_host_up_and_no_memory(start: Start, made: list[Host]) -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(65536)
        connection.settimeout(1)
        with suppress(TimeoutError):
            while True:
                sent += connection.send(bytes(65536))

    made.append(Host(flood))
    with connect(start(f"127.0.0.1:{made[0].port}")) as client:
        client.sendall(f"GET http://127.0.0.1:{made[0].port}/ HTTP/1.1\r\n\r\n".encode())
        time.sleep(2)
    assert 0 < sent < 20 * 2**20


# The server's own proxy


def test_the_servers_own_proxy_is_gone_through_with_its_password(
    start: Start, names: Names, made: list[Host], tmp_path: Path
) -> None:
    server, client = certificate(tmp_path, "index.test")
    made.append(Pages(b"behind", server))
    heads: list[bytes] = []

    def parent(connection: socket.socket) -> None:
        heads.append(head_of(connection))
        if heads[-1].startswith(b"GET"):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nplain")
            return
        with socket.socket() as onward:
            onward.connect(("127.0.0.1", made[0].port))
            onward.settimeout(10)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            connection.settimeout(0.2)
            onward.sendall(connection.recv(65536))
            for _ in range(20):
                for source, target in ((onward, connection), (connection, onward)):
                    source.settimeout(0.1)
                    try:
                        target.sendall(source.recv(65536))
                    except TimeoutError:
                        continue

    made.append(Host(parent))
    address = f"http://me:p%40ss@127.0.0.1:{made[1].port}"
    path = start("index.test", upstream={"http": address, "https": address, "no": "near.test"})
    with connect(path) as raw:
        raw.sendall(b"CONNECT index.test:443 HTTP/1.1\r\n\r\n")
        assert status(head_of(raw)) == 200
        with client.wrap_socket(raw, server_hostname="index.test") as safe:
            safe.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert safe.makefile("rb").read().endswith(b"behind")
    word = b"Proxy-Authorization: Basic bWU6cEBzcw=="
    assert heads[0].split(b"\r\n")[:3] == [
        b"CONNECT index.test:443 HTTP/1.1",
        b"Host: index.test:443",
        word,
    ]
    assert say(path, b"GET http://index.test/a HTTP/1.1\r\n\r\n").endswith(b"plain")
    assert heads[1].split(b"\r\n")[:3] == [b"GET http://index.test/a HTTP/1.1", b"Host: index.test", word]
    assert names.asked == [], "who is behind the proxy, the proxy knows"


def test_a_proxy_that_leads_nowhere_is_said(start: Start, made: list[Host]) -> None:
    made.append(Host(lambda connection: connection.sendall(b"HTTP/1.1 407 No\r\n\r\n")))
    path = start("index.test", upstream={"https": f"127.0.0.1:{made[0].port}"})
    answer = say(path, b"CONNECT index.test:443 HTTP/1.1\r\n\r\n")
    assert status(answer) == 502
    assert b"the proxy of this server does not lead to index.test" in answer
