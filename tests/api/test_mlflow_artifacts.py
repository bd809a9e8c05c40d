"""Files of runs through MLflow's client and its artifact proxy."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import mlflow
import psutil
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests import HTTPError
from tests.mlflow_kit import House, house

from nacre.db.connect import Database

PROXY = "/api/2.0/mlflow-artifacts/artifacts"
MIB = 2**20


@pytest.fixture
def server(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with house(database, tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def client(server: House) -> MlflowClient:
    return server.client()


@pytest.fixture
def run(client: MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


def listed(client: MlflowClient, run: str, path: str | None = None) -> list[tuple[str, bool, int | None]]:
    return [(f.path, f.is_dir, f.file_size) for f in client.list_artifacts(run, path)]


def staged(server: House) -> list[str]:
    return os.listdir(server.home / "blobs" / "staging")


class TestClient:
    def test_what_is_logged_is_listed_and_read_again(
        self, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        tree = tmp_path / "tree"
        (tree / "sub").mkdir(parents=True)
        (tree / "a.txt").write_text("one")
        (tree / "sub" / "é b.bin").write_bytes(b"\0\1")
        client.log_artifact(run, str(tree / "a.txt"))
        client.log_artifacts(run, str(tree), "data/deep")
        client.log_text(run, "hello", "notes/n.txt")
        client.log_dict(run, {"a": 1}, "notes/d.json")
        assert listed(client, run) == [("a.txt", False, 3), ("data", True, None), ("notes", True, None)]
        assert listed(client, run, "data/deep") == [
            ("data/deep/a.txt", False, 3),
            ("data/deep/sub", True, None),
        ]
        assert listed(client, run, "a.txt") == []
        assert listed(client, run, "nowhere") == []
        copy = Path(client.download_artifacts(run, "", str(tmp_path / "copy-of-all")))
        assert (copy / "data/deep/sub/é b.bin").read_bytes() == b"\0\1"
        assert mlflow.artifacts.load_text(f"runs:/{run}/notes/n.txt") == "hello"
        assert mlflow.artifacts.load_dict(f"runs:/{run}/notes/d.json") == {"a": 1}

    def test_a_file_of_the_same_path_is_replaced(self, client: MlflowClient, run: str) -> None:
        client.log_text(run, "old", "a.txt")
        client.log_text(run, "newer", "a.txt")
        assert listed(client, run) == [("a.txt", False, 5)]
        assert mlflow.artifacts.load_text(f"runs:/{run}/a.txt") == "newer"

    def test_files_may_be_deleted(self, server: House, client: MlflowClient, run: str) -> None:
        for name in ("a.txt", "d/b.txt", "d/c.txt"):
            client.log_text(run, "x", name)
        url = f"{server.url}{PROXY}/0/{run}/artifacts"
        assert httpx.delete(f"{url}/d", headers=server.headers()).status_code == 200
        assert listed(client, run) == [("a.txt", False, 1)]
        assert httpx.delete(f"{url}/d", headers=server.headers()).status_code == 404
        assert httpx.delete(url, headers=server.headers()).status_code == 200
        assert listed(client, run) == []

    def test_large_files_go_in_one_piece_where_the_client_would_split_them(
        self, client: MlflowClient, run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
        monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "true")
        monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", str(5 * MIB))
        (tmp_path / "big.bin").write_bytes(os.urandom(6 * MIB))
        client.log_artifact(run, str(tmp_path / "big.bin"))
        copy = Path(client.download_artifacts(run, "big.bin", str(tmp_path)))
        assert copy.stat().st_size == 6 * MIB

    def test_a_file_that_is_not_there_is_said_so(
        self, server: House, client: MlflowClient, run: str
    ) -> None:
        with pytest.raises(MlflowException, match="Failed to download"):
            client.download_artifacts(run, "none.txt")
        found = httpx.get(f"{server.url}{PROXY}/0/{run}/artifacts/none.txt", headers=server.headers())
        assert (found.status_code, found.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert "has no artifact 'none.txt'" in found.json()["message"]

    def test_artifacts_of_the_page_are_downloads(
        self, server: House, client: MlflowClient, run: str
    ) -> None:
        client.log_text(run, "<script>alert(1)</script>", "x.html")
        asked = {"run_uuid": run, "path": "x.html"}
        found = httpx.get(f"{server.url}/get-artifact", params=asked, headers=server.headers())
        assert found.text == "<script>alert(1)</script>"
        assert found.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in found.headers["content-security-policy"]
        part = httpx.get(
            f"{server.url}{PROXY}/0/{run}/artifacts/x.html",
            headers=server.headers() | {"Range": "bytes=1-6"},
        )
        assert (part.status_code, part.text) == (206, "script")


class TestRefused:
    @pytest.mark.parametrize(
        "path",
        [
            "../x",
            "a/../../x",
            "a/..",
            "%2e%2e/x",
            "a//b",
            "a%5Cb",
            "a%00b",
            ".",
            "x" * 300,
            "d/" * 600 + "x",
        ],
    )
    def test_a_path_that_leads_elsewhere(self, server: House, run: str, path: str) -> None:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port)) as sent:  # no client mends the path
            head = f"PUT {PROXY}/0/{run}/artifacts/{path} HTTP/1.1\r\nHost: x\r\n"
            head += "Content-Length: 1\r\nConnection: close\r\n"
            sent.sendall(f"{head}Authorization: Bearer {server.token}\r\n\r\nx".encode())
            answer = b"".join(iter(lambda: sent.recv(65536), b"")).decode()
        assert "400 Bad Request" in answer
        assert "INVALID_PARAMETER_VALUE" in answer
        assert server.services.artifacts.files(server.caller.project_id, run) == []

    def test_a_file_where_a_folder_is_and_the_other_way_round(self, client: MlflowClient, run: str) -> None:
        client.log_text(run, "x", "a/b.txt")
        with pytest.raises(HTTPError, match="is a folder"):
            client.log_text(run, "x", "a")
        with pytest.raises(HTTPError, match="is a file already"):
            client.log_text(run, "x", "a/b.txt/c.txt")

    def test_a_run_of_another_project(self, server: House, client: MlflowClient, run: str) -> None:
        client.log_text(run, "secret", "a.txt")
        url = f"{server.url}{PROXY}/0/{run}/artifacts/a.txt"
        for method in ("GET", "PUT", "DELETE"):
            found = httpx.request(method, url, headers=server.headers("other"))
            assert (found.status_code, found.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
        asked = {"path": f"0/{run}/artifacts"}
        assert (
            httpx.get(server.url + PROXY, params=asked, headers=server.headers("other")).status_code == 404
        )
        assert httpx.get(url).status_code == 401

    def test_a_place_that_nothing_has(self, server: House) -> None:
        for path in ("x", "0/run", "a/b/c/d"):
            found = httpx.put(f"{server.url}{PROXY}/{path}", content=b"x", headers=server.headers())
            assert (found.status_code, found.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")


class TestStreams:
    def test_an_upload_cut_in_the_middle_leaves_nothing(self, server: House, run: str) -> None:
        address = urlsplit(server.url)
        with socket.create_connection((address.hostname, address.port)) as sent:
            head = f"PUT {PROXY}/0/{run}/artifacts/cut.bin HTTP/1.1\r\nHost: x\r\n"
            head += f"Content-Length: {9 * MIB}\r\n"
            sent.sendall(f"{head}Authorization: Bearer {server.token}\r\n\r\n".encode())
            sent.sendall(b"x" * 3 * MIB)
            sent.shutdown(socket.SHUT_WR)
            sent.recv(65536)
        deadline = time.monotonic() + 30
        while staged(server):
            assert time.monotonic() < deadline, "what was sent is still there"
            time.sleep(0.01)
        assert server.services.artifacts.files(server.caller.project_id, run) == []
        assert list(server.services.blobs.store.digests()) == []

    def test_a_file_is_never_whole_in_memory(
        self, server: House, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        size, piece = 300 * MIB, os.urandom(MIB)
        url = f"{server.url}{PROXY}/0/{run}/artifacts/huge.bin"
        memory = psutil.Process().memory_info  # the server is in this process, and so is the client
        with httpx.Client(headers=server.headers(), timeout=120) as http:
            http.put(url, content=b"warm")
            before, peak = memory().rss, 0

            def pieces() -> Iterator[bytes]:
                nonlocal peak
                for _ in range(size // MIB):
                    peak = max(peak, memory().rss)
                    yield piece

            length = {"Content-Length": str(size)}
            assert http.put(url, content=pieces(), headers=length).status_code == 200
            got = 0
            with http.stream("GET", url) as answer:
                for chunk in answer.iter_bytes(MIB):
                    got += len(chunk)
                    peak = max(peak, memory().rss)
        assert got == size
        assert peak - before < 64 * MIB
