"""The home folder: private, checked before anything is written, held by one server."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from nacre.errors import Conflict, Unavailable
from nacre.server import home
from nacre.server.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home")


class TestPrepare:
    def test_what_holds_secrets_is_closed_to_others(self, settings: Settings) -> None:
        home.prepare(settings)
        for name in ("blobs", "logs", "serving", "trees", "nacre.db", "server.log"):
            assert (settings.home / name).stat().st_mode & 0o077 == 0, name
        for name in (".", "attempts", "instances", "checkpoints"):
            assert (settings.home / name).stat().st_mode & 0o066 == 0, f"{name} can be listed"

    def test_a_second_start_mends_the_modes_and_keeps_what_is_there(self, settings: Settings) -> None:
        home.prepare(settings)
        (settings.home / "nacre.db").write_bytes(b"rows")
        (settings.home / "nacre.db").chmod(0o644)
        home.prepare(settings)
        assert (settings.home / "nacre.db").read_bytes() == b"rows"
        assert (settings.home / "nacre.db").stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (errno.ENOSPC, "is full: free some space"),
            (errno.EROFS, "read-only file system: make it writable"),
            (errno.EACCES, "cannot be written by this user"),
        ],
    )
    def test_a_disk_that_does_not_take_it_is_a_sentence(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch, number: int, words: str
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(Path, "write_bytes", refuse)
        with pytest.raises(Unavailable, match=words):
            home.prepare(settings)


class TestLock:
    def test_a_second_server_is_told_who_has_it(self, settings: Settings) -> None:
        home.prepare(settings)
        held = home.lock(settings)
        home.describe(settings, "0")
        with pytest.raises(Conflict, match=rf"already running on .*process {os.getpid()}.*nacre down"):
            home.lock(settings)
        held.close()
        home.lock(settings).close()

    def test_a_description_of_a_dead_server_counts_for_nothing(self, settings: Settings) -> None:
        home.prepare(settings)
        home.describe(settings, "0")
        text = (settings.home / "server.json").read_text()
        start = home.process_start(os.getpid())
        (settings.home / "server.json").write_text(text.replace(str(start), str((start or 0) + 1)))
        assert home.read_description(settings.home) is None


class TestBind:
    def test_a_taken_port_is_named(self, settings: Settings) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(Conflict, match=rf"port {port} \(endpoints\) is taken .*--port"):
                home.bind(settings, port, "endpoints")

    def test_a_unix_socket_may_lie_deep(self, tmp_path: Path) -> None:
        folder = tmp_path / ("deep" * 20) / ("deeper" * 20)
        folder.mkdir(parents=True)
        listener = home.bind_unix(folder / "nacre.sock")
        assert (folder / "nacre.sock").is_socket()
        listener.close()


def test_reachable_is_what_every_parent_lets_others_through(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert home.reachable("/usr")
    (tmp_path / "a").chmod(0o700)
    assert not home.reachable(inner)
