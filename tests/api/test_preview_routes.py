"""Previews through HTTP, the SDK and the command line; media that a notebook logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from blake3 import blake3
from tests.mlflow_kit import House, house
from typer.testing import CliRunner

from nacre.cli.main import app as cli
from nacre.db.connect import Database
from nacre.errors import InvalidSpec, NotFound
from nacre.schema.launch import FileEntry
from nacre.sdk.client import Client
from nacre.sdk.tracking.pictures import png

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SRC = Path(__file__).parents[2] / "src"

FILES = {
    "a.csv": b"x,y\n1,2\n3,4\n",
    "images/x/00000001.png": png(3, 2, 1, bytes(6)),
    "notes/deep/[b] c.md": b"# [bold]hello[/bold]\n",
    "hostile/page.html": b"<script>alert(1)</script>",
    "hostile/page.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "hostile/page.xhtml": b"<html xmlns='http://www.w3.org/1999/xhtml'><script>alert(1)</script></html>",
    "hostile/page.pdf": b"%PDF-1.4",
    "hostile/page.html.png": b"<script>alert(1)</script>",
    "hostile/page.txt": b"<script>alert(1)</script>",
    "hostile/page.HTML ": b"<script>alert(1)</script>",
    "hostile/no-ending": b"<script>alert(1)</script>",
    "confusion/val.json": b'{"labels": ["a", "[b]"], "confusion": [[3, 1], [0, 2]]}',
}


@pytest.fixture
def server(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with house(database, tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def client(server: House) -> Iterator[Client]:
    with Client(server.url, server.token, project="default") as found:
        yield found


@pytest.fixture
def run(client: Client) -> str:
    made = client.runs.create("looked-at")
    entries = []
    for path, data in FILES.items():
        digest = blake3(data).hexdigest()
        client.blobs.put(digest, data)
        entries.append(FileEntry(path=path, size=len(data), digest=digest))
    client.runs.add_artifacts(made.id, entries)
    return made.id


def test_folders_and_files_of_a_run(client: Client, run: str) -> None:
    root = client.runs.preview(run)
    assert root.folder is not None
    assert [(item.name, item.folder) for item in root.folder.items] == [
        ("a.csv", False),
        ("confusion", True),
        ("hostile", True),
        ("images", True),
        ("notes", True),
    ]
    for folder in ("notes", "notes/"):
        inside = client.runs.preview(run, folder).folder
        assert inside is not None
        assert [item.name for item in inside.items] == ["deep"]
    text = client.runs.preview("looked-at", "notes/deep/[b] c.md").text
    assert text is not None
    assert text.text == "# [bold]hello[/bold]\n"
    table = client.runs.preview(run, "a.csv", offset=1, limit=1).table
    assert table is not None
    assert (table.rows, table.total) == ([["3", "4"]], 2)
    paged = client.runs.preview(run, offset=4, limit=10).folder
    assert paged is not None
    assert ([item.name for item in paged.items], paged.total) == (["notes"], 5)


def test_what_is_not_there_and_what_cannot_be_asked_for(client: Client, run: str) -> None:
    for path in ("absent", "absent/", "a.csv/x", "image"):
        with pytest.raises(NotFound, match="no artifact"):
            client.runs.preview(run, path)
    with pytest.raises(InvalidSpec):
        client.runs.preview(run, "../a.csv")
    with pytest.raises(InvalidSpec):
        client.runs.preview(run, "a.csv", limit=5000)


def test_another_projects_run_is_not_there(client: Client, run: str) -> None:
    with pytest.raises(NotFound):
        client.runs.preview(run, "a.csv", project="other")


@pytest.mark.parametrize(
    ("path", "kind", "shown"),
    [
        ("hostile/page.html", "application/octet-stream", "attachment"),
        ("hostile/page.svg", "application/octet-stream", "attachment"),
        ("hostile/page.xhtml", "application/octet-stream", "attachment"),
        ("hostile/page.pdf", "application/octet-stream", "attachment"),
        ("hostile/page.HTML%20", "application/octet-stream", "attachment"),
        ("hostile/no-ending", "application/octet-stream", "attachment"),
        ("hostile/page.html.png", "image/png", "inline"),
        ("images/x/00000001.png", "image/png", "inline"),
        ("hostile/page.txt", "text/plain; charset=utf-8", "inline"),
        ("notes/deep/%5Bb%5D%20c.md", "text/plain; charset=utf-8", "inline"),
        ("confusion/val.json", "text/plain; charset=utf-8", "inline"),
    ],
)
def test_bytes_of_artifacts_never_run_in_the_consoles_origin(
    server: House, run: str, path: str, kind: str, shown: str
) -> None:
    url = f"{server.url}/api/v1/projects/default/runs/{run}/artifacts/{path}"
    found = httpx.get(url, headers=server.headers())
    assert found.status_code == 200
    assert found.headers["content-type"] == kind
    assert found.headers["content-disposition"].startswith(f"{shown}; filename*=UTF-8''")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert found.headers["cache-control"] == "private, no-cache"
    unchanged = server.headers() | {"If-None-Match": found.headers["etag"]}
    again = httpx.get(url, headers=unchanged)
    assert (again.status_code, again.content) == (304, b"")


def test_no_answer_with_bytes_of_users_is_a_page(server: House, run: str) -> None:
    digest = blake3(FILES["hostile/page.html"]).hexdigest()
    project = f"{server.url}/api/v1/projects/default"
    answers = [
        httpx.get(f"{project}/blobs/{digest}", headers=server.headers()),
        httpx.get(f"{project}/runs/{run}/preview/hostile/page.html", headers=server.headers()),
        httpx.get(f"{project}/runs/{run}/preview/hostile/page.svg", headers=server.headers()),
        httpx.get(
            f"{project}/run-export", params={"format": "csv", "what": "runs"}, headers=server.headers()
        ),
        httpx.get(f"{project}/runs/<script>alert(1)</script>", headers=server.headers()),
    ]
    for answer in answers:
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'", answer.url
        assert answer.headers["x-content-type-options"] == "nosniff"
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in (
            "application/json",
            "application/problem+json",
            "application/octet-stream",
            "text/csv",
        )
    assert answers[0].headers["content-disposition"] == "attachment"


def test_the_command_shows_each_kind(server: House, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NACRE_URL", server.url)
    monkeypatch.setenv("NACRE_TOKEN", server.token)
    monkeypatch.setenv("NACRE_PROJECT", "default")

    def shown(*words: str) -> str:
        result = CliRunner().invoke(cli, [*words])
        assert result.exit_code == 0, result.output
        return result.output

    assert "notes/" in shown("runs", "preview", run)
    assert "[bold]hello[/bold]" in shown("runs", "preview", run, "notes/deep/[b] c.md")
    assert "rows 0 to 0 of 2: --offset 1" in shown("runs", "preview", run, "a.csv", "-n", "1")
    assert "3 × 2 pixels" in shown("runs", "preview", run, "images/x/00000001.png")
    assert "[b]" in shown("runs", "preview", run, "confusion/val.json")
    found = json.loads(shown("--output", "json", "runs", "preview", run, "a.csv"))
    assert found["table"]["rows"] == [["1", "2"], ["3", "4"]]


def test_what_a_notebook_logs_is_found_by_kind(client: Client, server: House, tmp_path: Path) -> None:
    code = """
import nacre
with nacre.start_run("media"):
    nacre.log_image("digits", [[0, 255]], step=3)
    nacre.log_table("errors", {"n": [1, 2]})
    nacre.log_confusion_matrix(["a", "b"], ["a", "a"])
    nacre.log_text("hello", "notes.md")
"""
    variables = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(SRC)}
    variables |= {"NACRE_URL": server.url, "NACRE_TOKEN": server.token, "NACRE_PROJECT": "default"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = client.runs.list()
    kinds = {
        entry.path: client.runs.preview(run.id, entry.path).kind.value
        for entry in client.runs.artifacts(run.id).files
    }
    assert kinds == {
        "confusion/confusion_matrix.json": "confusion_matrix",
        "images/digits/00000003.png": "image",
        "notes.md": "text",
        "tables/errors.json": "table",
    }
    assert run.tags["mlflow.loggedArtifacts"] == '[{"path": "tables/errors.json", "type": "table"}]'
