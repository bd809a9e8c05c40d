"""What is sent, byte by byte: masks, lines, the cut log; and the small HTTP client below it."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, strategies

from nacre.launcher.channels import LinesChannel, LogChannel
from nacre.launcher.folder import Events, Folder
from nacre.launcher.masks import Masks
from nacre.launcher.outcome import Seen, decide
from nacre.launcher.store import Store
from nacre.launcher.wire import Away, Refused, Server
from nacre.ports.blobs import blob_path


@pytest.mark.parametrize(
    ("secrets", "text", "shown"),
    [
        (["abcd"], b"xabcdx", b"x****x"),
        (["abc"], b"xabcx", b"xabcx"),
        (["abcd", "cdef"], b"abcdef", b"******"),
        (["aaaa"], b"aaaaaa", b"******"),
        (["line one\nline two"], b"line two", b"********"),
        (["tail\n"], b"tail", b"****"),
        (["pässwort"], "pässwort".encode(), b"*" * 9),
    ],
)
def test_secrets_are_masked_with_their_length(secrets: list[str], text: bytes, shown: bytes) -> None:
    assert Masks(secrets).hide(text) == shown


def test_in_records_only_values_of_strings_are_masked() -> None:
    masks = Masks(["1234", "loss", 'a"b\\c'])
    line = b'{"loss":1234,"k":"loss 1234","q":"a\\"b\\\\c","loss" : "x"}\n'
    shown = masks.hide_json(line)
    assert len(shown) == len(line)
    assert json.loads(shown) == {"loss": "x", "k": "**** ****", "q": "*******"}
    assert b'"loss":1234' in shown


def send_all(channel: LogChannel, step: int) -> bytes:
    sent = b""
    while data := channel.peek():
        sent += data[:step]
        channel.offset += len(data[:step])
    return sent


@given(
    parts=strategies.lists(
        strategies.sampled_from([b"sec", b"secret!", b"ret!", b"x", b"\n", b"se"]), max_size=12
    ),
    step=strategies.integers(1, 9),
)
def test_a_secret_is_never_sent_however_it_is_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], step: int
) -> None:
    folder = Folder(str(tmp_path_factory.mktemp("log")))
    masks = Masks(["secret!"])
    channel = LogChannel(folder, 0, 1000, masks)
    sent, whole = b"", b"".join(parts)
    with open(folder.path("log"), "ab", buffering=0) as file:
        for part in parts:
            file.write(part)
            sent += send_all(channel, step)
    channel.seal()
    sent += send_all(channel, step)
    channel.close()
    assert sent == masks.hide(whole)


def test_a_cut_log_says_how_much_and_says_it_once(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    (tmp_path / "log").write_bytes(b"0123456789" * 300_000)
    for _ in range(2):
        channel = LogChannel(folder, 0, 25, Masks(["2345xx"]))
        channel.trim()
        channel.seal()
        sent = send_all(channel, 7)
        channel.close()
        assert sent.startswith(b"0123456789012345678901234"[:22] + b"***\n")
        assert sent.decode().endswith("printed 2,999,975 bytes more than the 25 that are kept.\n")
    assert (tmp_path / "log").stat().st_size < 200


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "track.jsonl"
    path.write_bytes(b'{"a":1}\n{"b"')
    channel = LinesChannel("track", str(path), 0, None)
    assert channel.peek() == b'{"a":1}\n'
    channel.offset = 8
    assert channel.peek() == b""
    with path.open("ab") as file:
        file.write(b":2}\n")
    assert channel.peek() == b'{"b":2}\n'
    channel.close()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_channel_reads_nothing_but_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "track.jsonl"
    (tmp_path / "other").write_text("private\n")
    make = {"link": lambda: path.symlink_to("other"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}
    make[kind]()
    assert LinesChannel("track", str(path), 0, None).peek() == b""


def test_half_an_event_of_a_killed_launcher_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(
        b'{"type":"state","state":"preparing","time_ms":1}\n{"type":"ex'
    )
    events = Events(Folder(str(tmp_path)))
    assert not events.ended
    events.state("preparing")
    events.add("exit", reason="succeeded")
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["state", "exit"]


def test_blobs_lie_where_the_store_says(tmp_path: Path) -> None:
    digest = "ab" * 32
    assert Store(str(tmp_path), lambda: None).path(digest) == str(blob_path(tmp_path, digest))


def seen(**fields: object) -> Seen:
    usual = {
        "code": 1,
        "started": True,
        "last_line": "",
        "tail": "",
        "oom_kills": 0,
        "peak_bytes": None,
        "memory_limit": None,
        "memory_by_rlimit": False,
    }
    return Seen(**{**usual, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "reason", "part"),
    [
        ({"code": 0}, "succeeded", "succeeded"),
        ({"code": 0, "oom_kills": 1}, "succeeded", "succeeded"),
        ({"code": 137, "oom_kills": 1, "memory_limit": 2**30}, "out_of_memory", "1.0 GiB"),
        ({"code": 137}, "exit_nonzero", "signal 9 (SIGKILL)"),
        (
            {"code": 1, "tail": "MemoryError", "memory_by_rlimit": True},
            "out_of_memory",
            "ran out of memory",
        ),
        ({"code": 1, "tail": "MemoryError"}, "exit_nonzero", "exit code 1"),
        ({"code": 127, "started": False, "last_line": "nacre: no"}, "launch_failed", "nacre: no"),
        ({"code": None}, "exit_nonzero", "no exit code"),
        ({"code": 255, "last_line": "why"}, "exit_nonzero", "exit code 255: why"),
    ],
)
def test_an_end_has_a_reason_and_a_sentence(fields: dict[str, object], reason: str, part: str) -> None:
    outcome = decide(seen(**fields))
    assert outcome.reason == reason
    assert part in outcome.message


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[Server]:
    """A unix socket that gives these answers, one for each connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        server = Server(f"unix:{path}", "t", 5)
        yield server
        server.close()
        thread.join(5)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + b'{"offset":1}'


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"off\r\n7;x=y\r\nset":1}\r\n0\r\n\r\n',
    ],
)
def test_answers_of_every_form_are_read(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path / "s", answer) as server:
        assert server.call("PUT", "/x", b"data") == {"offset": 1}


def test_a_kept_connection_that_was_closed_is_opened_again_at_once(tmp_path: Path) -> None:
    with answering(tmp_path / "s", OK, OK) as server:
        assert server.call("PUT", "/x") == server.call("PUT", "/x") == {"offset": 1}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (b"404 Not Found", b'{"code":"not_found"}', Refused),
        (b"404 Not Found", b"<html>proxy</html>", Away),
        (b"429 Slow", b'{"code":"rate_limited"}', Away),
        (b"503 Away", b'{"code":"unavailable"}', Away),
        (b"302 Found", b"{}", Away),
    ],
)
def test_only_nacres_own_no_is_a_no(
    tmp_path: Path, status: bytes, body: bytes, error: type[Exception]
) -> None:
    answer = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)
    with answering(tmp_path / "s", answer) as server, pytest.raises(error):
        server.call("PUT", "/x")


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", OK[:-3]])
def test_a_broken_answer_means_that_the_server_is_away(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path / "s", answer) as server, pytest.raises(Away):
        server.call("PUT", "/x")


@pytest.mark.parametrize("address", ["https://x", "ftp://x", "localhost:80"])
def test_an_address_that_cannot_be_spoken_to_is_said(address: str) -> None:
    with pytest.raises(ValueError, match="is no address of a server"):
        Server(address, "t")
