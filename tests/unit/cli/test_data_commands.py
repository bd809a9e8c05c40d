"""``nacre data`` against a real server."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nacre.cli.main import app
from nacre.errors import InvalidSpec, NotFound
from nacre.testing.data_server import DataServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[DataServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    with DataServer(folder) as found:
        yield found


@pytest.fixture
def nacre(server: DataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NACRE_TOKEN", "ann")
    monkeypatch.delenv("NACRE_URL", raising=False)
    monkeypatch.delenv("NACRE_PROJECT", raising=False)

    def run(*arguments: str, fail: bool = False) -> Result:
        found = CliRunner().invoke(app, ["--url", server.url, "--project", "vision", *arguments])
        if not fail and found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return found

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    (source / "a").write_bytes(b"1")
    (source / "sub" / "b").write_bytes(os.urandom(2000))
    return source


class TestData:
    def test_push_show_pull_delete(self, nacre, folder: Path, tmp_path: Path) -> None:
        said = nacre("data", "push", str(folder), "--name", "digits", "--note", "first [bold]").stdout
        assert "digits@1: 2 files, 2.0 KiB, of which" in said
        assert "already: no new version" in nacre("data", "push", str(folder), "-n", "digits").stdout
        assert "digits" in nacre("data", "ls").stdout
        assert "first [bold]" in nacre("data", "show", "digits").stdout
        shown = nacre("data", "show", "digits@1").stdout
        assert "sub/b" in shown
        assert "manifest" in shown
        assert "2 files" in nacre("data", "pull", "digits@1", str(tmp_path / "out")).stdout
        assert (tmp_path / "out" / "sub" / "b").read_bytes() == (folder / "sub" / "b").read_bytes()
        assert "deleted digits@1" in nacre("data", "delete", "digits@1").stdout
        assert "no datasets yet" in nacre("data", "ls").stdout

    def test_json_is_the_apis_object(self, nacre, folder: Path) -> None:
        made = json.loads(nacre("-o", "json", "data", "push", str(folder), "--name", "digits").stdout)
        assert (made["number"], made["files"], made["created"]) == (1, 2, True)
        listed = json.loads(nacre("-o", "json", "data", "ls").stdout)
        assert listed[0]["latest"]["manifest"] == made["manifest"]

    def test_an_archive_is_pushed_as_it_is_or_unpacked(self, nacre, folder: Path, tmp_path: Path) -> None:
        archive = tmp_path / "digits.zip"
        with zipfile.ZipFile(archive, "w") as target:
            target.write(folder / "a", "a")
            target.write(folder / "sub" / "b", "sub/b")
        nacre("data", "push", str(archive), "--name", "packed")
        nacre("data", "push", str(archive), "--name", "unpacked", "--extract")
        files = json.loads(nacre("-o", "json", "data", "show", "packed@1").stdout)["files"]
        assert [file["path"] for file in files] == ["digits.zip"]
        files = json.loads(nacre("-o", "json", "data", "show", "unpacked@1").stdout)["files"]
        assert [file["path"] for file in files] == ["a", "sub/b"]

    def test_a_bomb_is_refused_and_nothing_is_pushed(self, nacre, tmp_path: Path) -> None:
        bomb = tmp_path / "bomb.zip"
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
            target.writestr("zeros", bytes(100 * 2**20))
        failed = nacre("data", "push", str(bomb), "--name", "bomb", "--extract", fail=True)
        assert isinstance(failed.exception, InvalidSpec)
        assert "archive bomb" in str(failed.exception)
        assert json.loads(nacre("-o", "json", "data", "ls").stdout) == []

    def test_deleting_everything_asks_first(self, nacre, folder: Path) -> None:
        nacre("data", "push", str(folder), "--name", "digits")
        assert nacre("data", "delete", "digits", fail=True).exit_code == 1
        assert "digits" in nacre("data", "ls").stdout
        assert nacre("data", "delete", "digits", "--yes").exit_code == 0
        failed = nacre("data", "show", "digits", fail=True)
        assert isinstance(failed.exception, NotFound)
