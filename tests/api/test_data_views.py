"""What is in a dataset, and lineage, through HTTP, the SDK and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.mlflow_kit import House, house
from typer.testing import CliRunner

from nacre.cli.main import app as cli
from nacre.db.connect import Database
from nacre.errors import NotFound
from nacre.schema.models import ModelRegister
from nacre.sdk.client import Client
from nacre.sdk.tracking.pictures import png

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

FILES = {
    "flowers.csv": b"length,species\n"
    + b"".join(b"%d.5,%s\n" % (n, b"ab"[n % 2 :][:1]) for n in range(20)),
    "train/cat/1.png": png(3, 2, 1, bytes(6)),
    "page.html": b"<script>alert(1)</script>",
    "über & so/#1 [b] 100%?.txt": b"[bold]hello[/bold]",
}


@pytest.fixture
def server(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with house(database, tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def client(server: House, tmp_path: Path) -> Iterator[Client]:
    folder = tmp_path / "flowers"
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    with Client(server.url, server.token, project="default") as found:
        found.data.push(folder, "flowers")
        yield found


class TestFiles:
    @pytest.mark.parametrize("path", FILES)
    def test_bytes_whole_and_in_part(self, client: Client, path: str) -> None:
        data = FILES[path]
        assert client.data.file("flowers", path) == data
        assert client.data.file("flowers", path, version=1, start=2, end=5) == data[2:5]
        assert client.data.preview("flowers", path, version=1).size == len(data)

    def test_they_never_run_in_the_consoles_origin(self, server: House, client: Client) -> None:
        base = f"{server.url}/api/v1/projects/default/data/flowers/versions/1/file"
        kinds = {
            "page.html": ("application/octet-stream", "attachment"),
            "train/cat/1.png": ("image/png", "inline"),
        }
        for path, (kind, shown) in kinds.items():
            found = httpx.get(f"{base}/{path}", headers=server.headers())
            assert (found.status_code, found.headers["content-type"]) == (200, kind)
            assert found.headers["content-disposition"].startswith(shown)
            assert found.headers["x-content-type-options"] == "nosniff"
            assert found.headers["content-security-policy"] == "sandbox; default-src 'none'"
            unchanged = server.headers() | {"If-None-Match": found.headers["etag"]}
            assert httpx.get(f"{base}/{path}", headers=unchanged).status_code == 304

    def test_what_is_not_there(self, server: House, client: Client) -> None:
        for path in ("absent", "train", "page.html/x"):
            with pytest.raises(NotFound):
                client.data.file("flowers", path)
        with pytest.raises(NotFound):
            client.data.file("flowers", "page.html", project="other")
        for path in ("../../../../owner.json", "..%2f..%2fowner.json", "%2e%2e/page.html"):
            url = f"{server.url}/api/v1/projects/default/data/flowers/versions/1/file/{path}"
            assert httpx.get(url, headers=server.headers()).status_code == 404

    def test_folders(self, client: Client) -> None:
        root = client.data.preview("flowers").folder
        assert root is not None
        assert [item.name for item in root.items] == ["flowers.csv", "page.html", "train", "über & so"]


def test_statistics(client: Client) -> None:
    found = client.data.summary("flowers")
    assert found.version.number == 1
    assert found.classes is not None
    assert [(one.label, one.count) for one in found.classes.classes] == [("a", 10), ("b", 10)]
    (table,) = found.tables
    assert (table.rows, table.columns[0].mean) == (20, 10)
    assert found == client.data.summary("flowers", 1)
    with pytest.raises(NotFound):
        client.data.summary("flowers", 2)
    with pytest.raises(NotFound):
        client.data.summary("flowers", project="other")


def test_notes_change_and_versions_stay(client: Client) -> None:
    before = client.data.get_version("flowers", 1)
    client.data.update("flowers", 1, note="from the garden")
    assert client.data.get_version("flowers", 1) == before.model_copy(update={"note": "from the garden"})


def test_lineage_of_what_was_sent(client: Client, server: House) -> None:
    run = client.runs.create("by hand")
    files = client.data.files("flowers").files
    client.runs.add_artifacts(run.id, files)
    made = server.services.models.register(
        server.caller, "net", ModelRegister(run=run.id, path="page.html", framework="onnx")
    )
    found = client.lineage.get(f"run:{run.id}")
    assert [(node.kind, node.label) for node in found.nodes] == [("model", "net/1"), ("run", "by hand")]
    assert found.edges == [(f"run:{run.id}", f"model:net/{made.number}")]
    with pytest.raises(NotFound):
        client.lineage.get("model:net", project="other")


def test_the_commands(
    server: House,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    monkeypatch.setenv("NACRE_URL", server.url)
    monkeypatch.setenv("NACRE_TOKEN", server.token)
    monkeypatch.setenv("NACRE_PROJECT", "default")

    def shown(*words: str) -> str:
        result = CliRunner().invoke(cli, [*words])
        assert result.exit_code == 0, result.output
        return result.output

    assert "train/" in shown("data", "preview", "flowers")
    assert "rows 0 to 1 of 20: --offset 2" in shown(
        "data", "preview", "flowers@1", "flowers.csv", "-n", "2"
    )
    path = "über & so/#1 [b] 100%?.txt"
    assert "[bold]hello[/bold]" in shown("data", "preview", "flowers", path)
    result = CliRunner().invoke(cli, ["data", "cat", "flowers@1", "train/cat/1.png"])
    assert result.stdout_bytes == FILES["train/cat/1.png"]
    text = shown("data", "summary", "flowers")
    assert "2 classes by column species, 20 samples" in text
    assert "flowers.csv: 20 rows" in text
    assert json.loads(shown("-o", "json", "data", "summary", "flowers"))["tables"][0]["rows"] == 20
    assert "flowers@1: from [b]" in shown("data", "note", "flowers@1", "from [b]")
    assert "data flowers@1" in shown("lineage", "data:flowers/1")
    assert json.loads(shown("-o", "json", "lineage", "data:flowers"))["subject"] == ["data:flowers/1"]
