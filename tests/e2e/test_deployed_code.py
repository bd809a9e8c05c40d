"""A folder with ``predict.py`` from ``nacre deploy`` to its clients: sandboxed, streaming, failing."""

from __future__ import annotations

import json
import textwrap
import time
from pathlib import Path

import httpx
import pytest
from real_server import MakeServer, Server, wait_until

from nacre.domain.autoscaling import MOST_FAILURES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CODE = """
import os
import time

import numpy as np


def setup(folder):
    print("the words are at", folder)
    return open(f"{folder}/words.txt").read().split()


def decode(request):
    return request.json()


def predict(inputs, words):
    if "count" in inputs:
        return tell(inputs["count"], words)
    if "fail" in inputs:
        print("asked to fail")
        raise ValueError(inputs["fail"])
    if "escape" in inputs:
        return sorted(os.listdir(inputs["escape"]))
    return {"words": words, "sum": np.arange(4).sum()}


def tell(count, words):
    for n in range(count):
        yield {"word": words[n % len(words)]}
        time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    server = make_module_server()
    server.run("env", "build", "base", timeout_s=300)
    folder = tmp_path_factory.mktemp("code") / "words"
    folder.mkdir()
    (folder / "predict.py").write_text(textwrap.dedent(CODE))
    (folder / "words.txt").write_text("once upon a time")
    server.run("deploy", str(folder), "--name", "words", "--type", "cpu.small", timeout_s=300)
    return server


def ask(server: Server, body: object, token: str | None = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token or server.token}"}
    url = f"{server.inference_url}/endpoints/default/words/predict"
    return httpx.post(url, json=body, headers=headers, timeout=60)


def test_it_answers_from_its_sandbox(server: Server) -> None:
    answer = ask(server, {})
    assert answer.json() == {"words": ["once", "upon", "a", "time"], "sum": 6}
    assert "predict.py" in ask(server, {"escape": "/data/model"}).json()
    # Of the server's folder there is at most the way to its environment.
    outside = ask(server, {"escape": str(server.home)}).json()
    assert "owner.json" not in outside, outside
    assert "owner.json" in [path.name for path in server.home.iterdir()]


def test_a_stream_ends_with_the_token_that_asked_for_it(server: Server) -> None:
    nacre = server.client()
    made = nacre.tokens.create("app", scopes=["endpoints:invoke"])
    headers = {"Authorization": f"Bearer {made.secret}"}
    url = f"{server.inference_url}/endpoints/default/words/predict"
    seen: list[str] = []

    def read() -> None:
        asked = httpx.stream("POST", url, json={"count": 100_000}, headers=headers, timeout=60)
        with asked as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line:
                    seen.append(line)
                if len(seen) == 5 and line:
                    nacre.tokens.delete("app")

    began = time.monotonic()
    with pytest.raises(httpx.RemoteProtocolError):  # it breaks off, and does not look whole
        read()
    assert time.monotonic() - began < 30
    assert [json.loads(line.removeprefix("data: "))["word"] for line in seen[:4]] == [
        "once",
        "upon",
        "a",
        "time",
    ]
    assert seen[-2] == "event: error"
    assert ask(server, {}, made.secret).status_code == 401
    assert ask(server, {}).status_code == 200  # the replica goes on


def test_what_it_prints_and_raises_is_in_its_log(server: Server) -> None:
    assert ask(server, {"fail": "out of words"}).status_code == 500

    def printed() -> str:
        text = server.run("endpoint", "logs", "words").stdout.decode()
        return text if "out of words" in text else ""

    text = wait_until("the log has come", printed)
    assert "the words are at /data/model" in text
    assert "asked to fail\n" in text
    assert "ValueError: out of words" in text
    last = server.run("endpoint", "logs", "words", "--tail", "1").stdout.decode()
    assert text.endswith(last)
    assert last.count("\n") == 1


def test_code_that_does_not_load_leaves_what_answers(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "predict.py").write_text(
        "def setup(folder):\n    print('looking for it')\n    open(folder + '/nothing')\n"
        "def predict(x):\n    return x\n"
    )
    done = server.run("deploy", str(folder), "--name", "words", check=False, timeout_s=300)
    assert done.returncode == 1
    [error] = [line for line in done.stderr.decode().splitlines() if line.startswith("error: ")]
    failed = f"{MOST_FAILURES} replicas in a row did not start"
    assert error.startswith(f"error: revision 2 of endpoint words has failed: {failed}")
    assert "setup() failed: predict.py, line 3: FileNotFoundError" in error
    assert error.endswith("; revision 1 still answers. See 'nacre endpoint logs words --revision 2'")
    found = server.client().endpoints.get("words")
    assert (found.state, [one.state for one in found.revisions]) == ("ready", ["failed", "ready"])
    assert (found.message or "").startswith("revision 1 answers; revision 2 has failed: ")
    assert ask(server, {}).status_code == 200
    log = server.run("endpoint", "logs", "words", "--revision", "2", "--follow").stdout.decode()
    assert log.startswith("looking for it\n")
    assert "FileNotFoundError: " in log
    ended = {one.id for one in server.client().endpoints.replicas("words") if one.ended_at}
    logs = [b"".join(server.client().endpoints.logs("words", replica=one)) for one in ended]
    assert len(logs) == MOST_FAILURES
    assert all(one.startswith(b"looking for it\n") for one in logs)
