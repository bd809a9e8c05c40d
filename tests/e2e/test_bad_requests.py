"""Requests that are wrong: tokens, bodies, models, tensors. Refused with a sentence, in little memory."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from blake3 import blake3
from memory import Memory
from onnx import TensorProto, helper
from real_server import Server, wait_until

from nacre.errors import Conflict, NacreError, Unauthenticated
from nacre.schema.endpoints import EndpointDeploy, EndpointState
from nacre.schema.models import ConversionState, ModelRegister
from nacre.sdk.push import push_files

pytestmark = pytest.mark.timeout(180)
MIB = 2**20


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an error, which has the one shape of all errors."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert set(body) == {"type", "title", "status", "code", "detail", "extra"}
    return body


class TestTokens:
    def test_a_token_that_nobody_has_is_refused(self, nacre_server: Server) -> None:
        wrong = "nacre_" + "x" * 43
        answer = nacre_server.http(wrong).get("/api/v1/projects/default/jobs")
        problem(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
        for header in ("Bearer", "Basic bmFjcmU6bmFjcmU=", "nonsense", "Bearer " + "x" * 5000):
            answer = nacre_server.http("").get("/api/v1/projects", headers={"Authorization": header})
            problem(answer, 401, "unauthenticated")
        problem(nacre_server.http("").get("/api/v1/projects"), 401, "unauthenticated")
        done = nacre_server.run("ps", check=False, env={"NACRE_TOKEN": wrong})
        assert done.returncode == 1
        assert done.stderr.decode().startswith("error: ")
        assert "nacre login" in done.stderr.decode()

    def test_a_token_that_expired_is_refused(self, nacre_server: Server) -> None:
        issued = nacre_server.client().tokens.create("short", lifetime_s=3600)
        with sqlite3.connect(nacre_server.home / "nacre.db", timeout=10) as db:
            changed = db.execute(
                "UPDATE tokens SET expires_at = ? WHERE id = ?",
                (int(time.time() * 1000) - 1, issued.token.id),
            )
        db.close()
        assert changed.rowcount == 1
        with pytest.raises(Unauthenticated):
            nacre_server.client(issued.secret).jobs.list()
        nacre_server.client().tokens.delete("short")

    def test_a_token_that_was_revoked_is_refused_from_the_next_request_on(
        self, nacre_server: Server
    ) -> None:
        issued = nacre_server.client().tokens.create("doomed")
        user = nacre_server.client(issued.secret)
        assert user.users.me().name == nacre_server.client().users.me().name
        nacre_server.client().tokens.delete("doomed")
        with pytest.raises(Unauthenticated):
            user.users.me()

    def test_a_token_does_no_more_than_its_scopes(self, nacre_server: Server) -> None:
        issued = nacre_server.client().tokens.create("reader", scopes=["jobs:read"])
        http = nacre_server.http(issued.secret)
        assert http.get("/api/v1/projects/default/jobs").status_code == 200
        answer = http.post("/api/v1/projects/default/jobs", json={"commands": ["true"]})
        assert "jobs:write" in problem(answer, 403, "permission_denied")["detail"]
        problem(http.post("/api/v1/tokens", json={"name": "more"}), 403, "permission_denied")
        nacre_server.client().tokens.delete("reader")


def drip(total: int) -> Iterator[bytes]:
    """A body without a declared length, a MiB at a time."""
    piece = b" " * MIB
    for _ in range(total // MIB):
        yield piece


def raw(server: Server, head: str, limit_s: float = 20) -> bytes:
    """Send bytes as they are; all that comes back until the server closes or falls silent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=limit_s) as connection:
        connection.sendall(head.encode())
        found = b""
        while b"\r\n\r\n" not in found and (more := connection.recv(65_536)):
            found += more
        return found


class TestBodies:
    def test_a_declared_length_over_the_limit_is_refused_before_it_is_sent(
        self, nacre_server: Server
    ) -> None:
        for path, length in (
            ("projects/default/jobs", 17 * MIB),
            (f"projects/default/blobs/{'0' * 64}", 65 * MIB),
            ("projects/default/blobs/missing", 10**15),
        ):
            head = (
                f"POST /api/v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {nacre_server.token}\r\n"
            )
            method = head.replace("POST", "PUT") if path.endswith("0") else head
            answer = raw(nacre_server, f"{method}Content-Length: {length}\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 413 "), answer

    @pytest.mark.parametrize("path", ["jobs", "blobs/missing", "blobs", f"blobs/{'0' * 64}"])
    def test_a_body_without_a_length_is_refused_in_bounded_memory(
        self, nacre_server: Server, path: str
    ) -> None:
        method = "PUT" if path.endswith("0") else "POST"
        with Memory(nacre_server) as memory:
            answer = nacre_server.http().request(
                method, f"/api/v1/projects/default/{path}", content=drip(200 * MIB)
            )
        assert "limit" in problem(answer, 413, "too_large")["detail"] or path == "blobs"
        assert memory.grown < 90 * MIB, f"{memory.grown / MIB:.0f} MiB"

    def test_many_large_bodies_at_once_stay_in_bounded_memory(self, nacre_server: Server) -> None:
        async def piece() -> AsyncIterator[bytes]:
            for _ in range(40):
                yield b" " * MIB

        async def send_all() -> list[int]:
            headers = {"Authorization": f"Bearer {nacre_server.token}"}
            async with httpx.AsyncClient(base_url=nacre_server.url, headers=headers, timeout=60) as client:
                path = f"/api/v1/projects/default/blobs/{'1' * 64}"
                sends = [client.put(path, content=piece()) for _ in range(24)]
                return [answer.status_code for answer in await asyncio.gather(*sends)]

        with Memory(nacre_server) as memory:
            assert asyncio.run(send_all()) == [422] * 24  # their bytes are not what the digest says
        assert memory.grown < 150 * MIB, f"{memory.grown / MIB:.0f} MiB"
        assert list((nacre_server.home / "blobs" / "staging").iterdir()) == []

    def test_nobody_signed_in_sends_nothing_into_memory(self, nacre_server: Server) -> None:
        with Memory(nacre_server) as memory:
            answer = nacre_server.http("").post("/api/v1/projects/default/blobs", content=drip(100 * MIB))
        problem(answer, 401, "unauthenticated")
        assert memory.grown < 30 * MIB, f"{memory.grown / MIB:.0f} MiB"

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            (b"{", "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b"[" * 100_000, "not JSON"),
            (b"[]", "body"),
            (b"null", "body"),
            (b'{"commands": []}', "commands"),
            (b'{"commands": ["true"], "comands": 1}', "comands"),
            (b'{"commands": ["true"], "resources": {"memory": "lots"}}', "'lots' is not a size"),
            (b'{"commands": ["true"], "resources": {"cpu": -1}}', "resources.cpu"),
            (b'{"commands": ["true"], "resources": {"cpu": 1e999}}', "resources.cpu"),
            (b'{"commands": ["true"], "max_duration": "soon"}', "'soon' is not a duration"),
            (b'{"commands": ["true"], "code": "abc"}', "code"),
        ],
    )
    def test_a_body_that_makes_no_sense_is_refused_by_field(
        self, nacre_server: Server, body: bytes, says: str
    ) -> None:
        answer = nacre_server.http().post(
            "/api/v1/projects/default/jobs", content=body, headers={"Content-Type": "application/json"}
        )
        assert says in problem(answer, 422, "invalid_spec")["detail"]

    def test_a_job_that_fits_no_machine_says_so_and_is_not_sent(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        (tmp_path / "main.py").write_text("print(1)")
        done = nacre_server.run("run", "--memory", "900TB", "main.py", cwd=tmp_path, check=False)
        assert done.returncode == 1
        assert done.stdout == b""
        assert "this needs 1 cpu, 921600 GiB of memory; the largest machine" in done.stderr.decode()
        assert b"921600" not in nacre_server.run("--output", "json", "ps", "-a").stdout

    def test_a_sender_that_falls_silent_does_not_keep_others_waiting(self, nacre_server: Server) -> None:
        silent = []
        try:
            for _ in range(40):
                connection = socket.create_connection(("127.0.0.1", nacre_server.port), timeout=5)
                head = f"PUT /api/v1/projects/default/blobs/{'2' * 64} HTTP/1.1\r\nHost: x\r\n"
                head += f"Authorization: Bearer {nacre_server.token}\r\nContent-Length: 1000000\r\n\r\nhalf"
                connection.sendall(head.encode())
                silent.append(connection)
            began = time.monotonic()
            nacre_server.client().jobs.list()
            assert nacre_server.http().get("/api/v1/status").status_code == 200
            assert time.monotonic() - began < 5
        finally:
            for connection in silent:
                connection.close()
        wait_until(
            "what the senders left is gone",
            lambda: not list((nacre_server.home / "blobs" / "staging").iterdir()),
            15,
        )


def save_model(path: Path) -> None:
    """An ONNX model: y = x + x, for x of FP32[-1, 4]."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), str(path))


def tensor(**change: Any) -> dict[str, Any]:
    good = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 2.0, 3.0, 4.0]}
    return {"inputs": [{k: v for k, v in (good | change).items() if v is not None}]}


@pytest.fixture(scope="module")
def endpoint(nacre_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an endpoint that doubles its input."""
    folder = tmp_path_factory.mktemp("model")
    save_model(folder / "double.onnx")
    client = nacre_server.client()
    manifest = push_files(client.transport, "default", [(folder / "double.onnx", "double.onnx")])
    request = ModelRegister(manifest=manifest, path="double.onnx", environment="base")
    client.models.register("double", request)
    version = client.models.wait("double", "1")
    assert version.conversion is ConversionState.READY, version.message
    client.endpoints.deploy("double", EndpointDeploy(model="double"))
    found = client.endpoints.wait("double", timeout_s=60)
    assert found.state is EndpointState.READY, found.message
    yield f"{found.url}/v2/models/double/infer"
    client.endpoints.delete("double")


@pytest.mark.sandbox
class TestModels:
    def ask(self, server: Server, url: str, body: Any, token: str | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        secret = server.token if token is None else token
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return httpx.post(url, content=content, headers=headers, timeout=30)

    def test_a_file_that_is_no_onnx_model_is_registered_as_failed_and_not_deployed(
        self, nacre_server: Server, tmp_path: Path
    ) -> None:
        text = (
            "import os\nopen(os.environ['NACRE_OUTPUT_DIR'] + '/model.onnx', 'w').write('not this one')\n"
        )
        (tmp_path / "main.py").write_text(text)
        nacre_server.run("run", "--name", "liar", "main.py", cwd=tmp_path)
        words = ("model", "register", "liar:model.onnx", "--name", "broken", "--environment", "base")
        done = nacre_server.run(*words, check=False, timeout_s=120)
        assert done.returncode == 1
        version = nacre_server.client().models.get_version("broken", 1)
        assert version.conversion is ConversionState.FAILED
        assert version.reason == "conversion_failed"
        assert version.message is not None
        assert "model.onnx is not an ONNX model that can be loaded" in version.message
        assert version.message in done.stdout.decode()
        done = nacre_server.run("deploy", "broken", "--name", "broken", check=False)
        assert done.returncode == 1
        sentence = "error: broken/1 is not ready to serve, its conversion is failed: see 'nacre model show"
        assert sentence in done.stderr.decode()
        with pytest.raises(Conflict):
            nacre_server.client().endpoints.deploy("broken", EndpointDeploy(model="broken"))
        assert [e.name for e in nacre_server.client().endpoints.list() if e.name == "broken"] == []
        nacre_server.client().models.delete("broken")

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            (tensor(shape=[1, 3], data=[1, 2, 3]), "input 'x' has shape [1, 3] where [-1, 4] is expected"),
            (tensor(shape=[4]), "input 'x' has shape [4] where [-1, 4] is expected"),
            (tensor(datatype="INT64"), "input 'x' has datatype 'INT64' where FP32 is expected"),
            (tensor(name="z"), "there is no input 'z'; expected: 'x' FP32 [-1, 4]"),
            (tensor(data=[1.0, 2.0]), "data of input 'x'"),
            (tensor(data=["a", "b", "c", "d"]), "data of input 'x'"),
            (tensor(data=None), "input 'x' has no \"data\""),
            (tensor(shape=[2**40, 2**20], data=[]), "input 'x' has shape"),
            ({"inputs": []}, "input 'x' is missing; expected: 'x' FP32 [-1, 4]"),
            ({}, "\"inputs\" has to be a list of tensors; expected: 'x' FP32 [-1, 4]"),
            ([], "the body has to be a JSON object"),
            (b"{", "the body is not JSON"),
        ],
    )
    def test_a_tensor_that_does_not_fit_is_refused_naming_what_was_expected(
        self, nacre_server: Server, endpoint: str, body: Any, says: str
    ) -> None:
        answer = self.ask(nacre_server, endpoint, body)
        assert answer.status_code == 400
        assert says in answer.json()["error"]
        good = self.ask(nacre_server, endpoint, tensor()).json()
        assert good["outputs"][0]["data"] == [2.0, 4.0, 6.0, 8.0]

    def test_the_command_passes_the_endpoints_sentence_on(
        self, nacre_server: Server, endpoint: str, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.json").write_text(json.dumps(tensor(shape=[1, 3], data=[1, 2, 3])))
        done = nacre_server.run("predict", "double", tmp_path / "bad.json", check=False)
        assert done.returncode == 1
        assert "input 'x' has shape [1, 3] where [-1, 4] is expected" in done.stderr.decode()

    def test_an_endpoint_answers_only_those_who_may_ask(self, nacre_server: Server, endpoint: str) -> None:
        for token in ("", "nacre_" + "y" * 43):
            assert self.ask(nacre_server, endpoint, tensor(), token).status_code == 401
        owner = nacre_server.client()
        reader = owner.tokens.create("no-predict", scopes=["jobs:read"])
        assert self.ask(nacre_server, endpoint, tensor(), reader.secret).status_code in (401, 403)
        owner.tokens.delete("no-predict")
        issued = owner.tokens.create("predicts", scopes=["endpoints:invoke"])
        wait_until(
            "the new token may ask",
            lambda: self.ask(nacre_server, endpoint, tensor(), issued.secret).status_code == 200,
            10,
        )
        owner.tokens.delete("predicts")
        wait_until(
            "the revoked token may not",
            lambda: self.ask(nacre_server, endpoint, tensor(), issued.secret).status_code == 401,
            10,
        )

    def test_a_request_too_large_for_an_endpoint_is_refused(
        self, nacre_server: Server, endpoint: str
    ) -> None:
        answer = self.ask(nacre_server, endpoint, b" " * (65 * MIB))
        assert answer.status_code == 413
        assert "limit" in answer.json()["error"]
        assert np.allclose(
            self.ask(nacre_server, endpoint, tensor()).json()["outputs"][0]["data"], [2, 4, 6, 8]
        )

    def test_a_blob_that_is_no_manifest_is_no_model(self, nacre_server: Server) -> None:
        data = os.urandom(64)
        digest = blake3(data).hexdigest()
        client = nacre_server.client()
        client.blobs.put(digest, data)
        with pytest.raises(NacreError, match="this blob is not a manifest"):
            client.models.register("none", ModelRegister(manifest=digest, framework="onnx"))
        assert "none" not in [model.name for model in client.models.list()]
