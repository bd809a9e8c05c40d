"""Bytes that decayed on the disk: found, named, not served, and mended by a push."""

from __future__ import annotations

import os
import re
from pathlib import Path

import httpx
import pytest
from blake3 import blake3
from real_server import Server

from nacre.errors import InvalidSpec, Unavailable
from nacre.ports.blobs import blob_path
from nacre.schema.jobs import JobState

pytestmark = pytest.mark.timeout(120)


class TestDecay:
    def damage(self, server: Server, data: bytes) -> Path:
        path = blob_path(server.home / "blobs", blake3(data).hexdigest())
        path.chmod(0o644)
        with path.open("r+b") as stream:
            stream.seek(len(data) // 2)
            stream.write(b"decay")
        return path

    @pytest.mark.sandbox
    def test_a_damaged_blob_is_found_named_not_served_and_mended_by_a_push(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        server, data = nacre_server, os.urandom(50_000)
        (tmp_path / "sick.bin").write_bytes(data)
        digest = blake3(data).hexdigest()
        server.run("data", "push", tmp_path / "sick.bin", "--name", "sick")
        path = self.damage(server, data)

        job = server.wait(server.submit(commands=["cat /data/sick/*"], inputs={"sick": "sick"}))
        server.assert_gone(job)
        assert (job.state, job.reason) == (JobState.FAILED, "data_missing")
        assert job.message is not None
        assert digest in job.message
        assert server.log(job) == b""

        with pytest.raises(Unavailable, match=f"the blob {digest} .*push the data again") as caught:
            server.client().blobs.get(digest)
        assert caught.value.extra["corrupt"] is True
        assert not path.exists()
        aside = list((server.home / "blobs" / "corrupt").glob(f"{digest}.*"))
        assert len(aside) == 1
        done = server.run("data", "pull", "sick", tmp_path / "pulled", check=False)
        assert done.returncode == 1
        assert digest in done.stderr.decode()
        assert not (tmp_path / "pulled" / "sick.bin").exists()
        assert re.search(f"blob {digest} does not hash", (server.home / "server.log").read_text())

        server.run("data", "push", tmp_path / "sick.bin", "--name", "sick")
        server.run("data", "pull", "sick", tmp_path / "pulled", "--force")
        assert (tmp_path / "pulled" / "sick.bin").read_bytes() == data
        job = server.wait(server.submit(commands=["wc -c < /data/sick/sick.bin"], inputs={"sick": "sick"}))
        assert (job.state, server.log(job)) == (JobState.SUCCEEDED, b"50000\n")

    def test_a_damaged_manifest_is_an_error_of_the_server_with_a_sentence(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        (tmp_path / "one").write_bytes(os.urandom(100))
        version = nacre_server.client().data.push(tmp_path, "sick-manifest")
        path = blob_path(nacre_server.home / "blobs", version.manifest)
        path.chmod(0o644)
        path.write_bytes(b"{}")
        answer = nacre_server.http().get("/api/v1/projects/default/data/sick-manifest/versions/1/files")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert version.manifest in answer.json()["detail"]
        client = nacre_server.client()
        job = nacre_server.wait(nacre_server.submit(commands=["true"], inputs={"x": "sick-manifest"}))
        assert (job.state, job.reason) == (JobState.FAILED, "data_missing")
        assert job.message is not None
        assert version.manifest in job.message
        client.data.push(tmp_path, "sick-manifest")
        assert len(client.data.files("sick-manifest").files) == 1

    def test_bytes_that_are_not_what_their_digest_says_are_refused(self, nacre_server: Server) -> None:
        digest = blake3(b"these").hexdigest()
        with pytest.raises(InvalidSpec, match=f"the bytes sent do not hash to {digest}"):
            nacre_server.client().blobs.put(digest, b"those")
        answer = nacre_server.http().get(f"/api/v1/projects/default/blobs/{digest}")
        assert answer.status_code == httpx.codes.NOT_FOUND
