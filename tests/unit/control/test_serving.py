"""The loop and a real model server: started, found again, started anew, swapped, stopped."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld
from tests.unit.modelserver.modelserver_kit import constant

from nacre.clock import FixedClock
from nacre.control.loop import LoopThread
from nacre.control.model_server import ModelServer
from nacre.control.serving import Grants, ServingLoop
from nacre.db.connect import Database
from nacre.errors import NotFound, Unavailable
from nacre.schema.endpoints import Endpoint, Question, RevisionChoice
from nacre.schema.users import TokenCreate
from nacre.services.endpoint_calls import EndpointCalls
from nacre.services.endpoint_settling import EndpointSettling
from nacre.services.endpoint_trials import EndpointTrials

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("database", ["sqlite"], indirect=True)]

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
}
REQUEST = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [0]}]}


class Stage:
    """Endpoints of a world, a folder, a port, and the loop that brings them together."""

    def __init__(self, world: ModelsWorld, people: People, folder: Path) -> None:
        self.world, self.people, self.folder = world, people, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.token, self.token_id = self.issue()
        self.started: list[ModelServer] = []
        self.restart()

    def restart(self) -> None:
        """The server after it was killed: nothing remembered of the model server."""
        self.server = ModelServer(self.folder, "127.0.0.1", self.port)
        self.started.append(self.server)
        jobs, settling = self.world.jobs, self.world.endpoints.settling
        self.grants = Grants(self.server, settling, jobs.tokens)
        trials = EndpointTrials(jobs.clock, settling)
        self.loop = ServingLoop(self.server, self.grants, settling, trials, jobs.signals)

    def settle(self) -> None:
        """A pass, and more of them while a model is being loaded."""
        self.loop.run_once()
        if self._moves():
            until(lambda: not self._loads(), "nothing is being loaded any more")
            self.loop.run_once()

    def _moves(self) -> bool:
        found = self.world.endpoints.list(self.people.viewer).items
        return any(one.state in ("starting", "updating") for one in found)

    def _loads(self) -> bool:
        status = self.server.status()
        told = status.endpoints.values() if status else ()
        return any(one.state == "loading" for endpoint in told for one in endpoint.revisions)

    def issue(self) -> tuple[str, str]:
        with self.world.jobs.db.write() as session:
            return self.world.jobs.tokens.issue(
                session, user_id=self.people.editor.user_id, kind="user", name="t", scopes=["*"]
            )

    def deploy(self, answer: float | bytes, name: str = "ask", **fields: object) -> Endpoint:
        """Serve a model whose answer is always this number, or that is made of these bytes."""
        onnx = answer
        if not isinstance(onnx, bytes):
            onnx = constant(self.folder.parent / "constant.onnx", float(answer)).read_bytes()
        self.world.ready(self.people.editor, onnx=onnx, signature=SIGNATURE)
        return self.world.deploy(self.people.editor, name, **fields)

    def get(self, name: str = "ask") -> Endpoint:
        return self.world.endpoints.get(self.people.viewer, name)

    def ask(self, token: str | None = None, name: str = "ask") -> httpx.Response:
        return httpx.post(
            f"http://127.0.0.1:{self.port}/endpoints/vision/{name}/v2/models/digits/infer",
            json=REQUEST,
            headers={"Authorization": f"Bearer {token or self.token}"},
            timeout=30,
            trust_env=False,
        )

    def answer(self) -> float:
        answer = self.ask()
        assert answer.status_code == 200, answer.text
        return float(answer.json()["outputs"][0]["data"][0])

    def requests(self, revision: int) -> int:
        """How many it has answered, by the model server's count."""
        status = self.server.status()
        assert status is not None
        told = status.endpoints["vision/ask"].revisions
        return next(one.requests for one in told if one.revision == revision)

    @property
    def pid(self) -> int:
        return int(json.loads((self.folder / "modelserver.json").read_text())["pid"])

    def kill(self) -> None:
        if self.server.state() == "running":
            os.kill(self.pid, signal.SIGKILL)
            until(lambda: self.server.state() == "stopped", "the model server is gone")


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@pytest.fixture
def stage(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Iterator[Stage]:
    found = Stage(models_kit.world(database, clock, tmp_path), people, tmp_path / "serving")
    yield found
    found.kill()
    for server in found.started:
        if (process := server._process) is not None:
            process.wait(30)


class TestLife:
    def test_it_runs_only_while_there_is_an_endpoint(self, stage: Stage) -> None:
        stage.settle()
        assert stage.server.state() == "stopped"
        assert stage.server.status() is None
        stage.deploy(1)
        assert stage.get().state == "starting"
        stage.settle()
        assert (stage.server.state(), stage.get().state) == ("running", "ready")
        assert stage.answer() == 1
        status = stage.server.status()
        assert status is not None
        assert status.endpoints["vision/ask"].requests == 1
        first = stage.pid
        stage.world.endpoints.delete(stage.people.editor, "ask")
        stage.settle()
        stage.settle()
        until(lambda: not Path(f"/proc/{first}").exists() or stage.server.status() is None, "it stops")
        stage.deploy(2)
        stage.settle()
        assert stage.answer() == 2
        assert stage.pid != first

    def test_an_endpoint_right_after_the_last_one_gets_a_server_that_stays(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        stage.world.endpoints.delete(stage.people.editor, "ask")
        stage.settle()
        stage.deploy(2, "other")
        stage.settle()
        assert stage.get("other").state == "ready"
        assert stage.ask(name="other").status_code == 200
        assert stage.ask().status_code == 404

    def test_it_outlives_the_server_and_is_found_again(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        before = stage.pid
        stage.restart()
        assert stage.server.state() == "running"
        assert stage.answer() == 1
        stage.settle()
        assert stage.pid == before
        stage.deploy(2)
        stage.settle()
        assert (stage.pid, stage.answer()) == (before, 2)

    def test_the_server_asks_with_a_token_of_its_own(self, stage: Stage) -> None:
        calls, viewer = EndpointCalls(stage.world.endpoints, stage.server), stage.people.viewer
        stage.deploy(3)
        with pytest.raises(Unavailable, match="still starting"):
            calls.predict(viewer, "ask", Question.model_validate(REQUEST))
        stage.settle()
        assert calls.predict(viewer, "ask", Question.model_validate(REQUEST)).outputs[0].data == [3]
        found = calls.stats(viewer, "ask")
        assert (found.requests, found.errors) == (1, 0)
        stage.restart()  # the token of the one before is forgotten with it
        calls = EndpointCalls(stage.world.endpoints, stage.server)
        with pytest.raises(Unavailable, match="not served yet"):
            calls.predict(viewer, "ask", Question.model_validate(REQUEST))
        stage.settle()
        assert calls.predict(viewer, "ask", Question.model_validate(REQUEST)).outputs[0].data == [3]
        assert calls.stats(viewer, "ask").requests == 2  # the one that was refused is none
        stage.kill()
        with pytest.raises(Unavailable, match="does not answer"):
            calls.predict(viewer, "ask", Question.model_validate(REQUEST))
        assert calls.stats(viewer, "ask").requests is None

    def test_after_kill_9_it_is_started_anew_with_what_it_served(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        before = stage.pid
        stage.kill()
        assert stage.server.state() == "stopped"
        assert stage.get().requests is None
        stage.settle()
        assert stage.pid != before
        assert (stage.answer(), stage.get().state) == (1, "ready")
        assert (stage.folder / "modelserver.log.1").exists()

    def test_an_announcement_of_another_process_is_not_believed(self, stage: Stage) -> None:
        stage.folder.mkdir()
        own = {"pid": os.getpid(), "start": 1, "port": stage.port, "host": "127.0.0.1"}
        for text in (json.dumps(own), "{}", "[]", "not json", '{"pid": "x", "start": 1}'):
            (stage.folder / "modelserver.json").write_text(text)
            assert stage.server.state() == "stopped"

    def test_a_port_that_is_taken_is_told(self, stage: Stage) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", stage.port))
            taken.listen()
            stage.deploy(1)
            with pytest.raises(Unavailable, match=rf"did not start: .*{stage.port}"):
                stage.settle()
            waiting = stage.get()
            assert (waiting.state, waiting.reason) == ("starting", "model_server_unavailable")
            assert str(stage.port) in (waiting.message or "")
        stage.settle()
        assert (stage.get().state, stage.get().message) == ("ready", None)


class TestRevisions:
    def test_swaps_under_constant_requests_fail_none(self, stage: Stage) -> None:
        stage.deploy(0)
        stage.settle()
        seen: list[tuple[int, float]] = []
        over = threading.Event()

        def ask(keep: bool) -> None:
            headers = {"Authorization": f"Bearer {stage.token}"}
            path = f"http://127.0.0.1:{stage.port}/endpoints/vision/ask/v2/models/digits/infer"
            with httpx.Client(headers=headers, trust_env=False, timeout=30) as client:
                while not over.is_set():
                    more = {} if keep else {"Connection": "close"}
                    answer = client.post(path, json=REQUEST, headers=more)
                    value = answer.json()["outputs"][0]["data"][0] if answer.status_code == 200 else -1
                    seen.append((answer.status_code, value))

        threads = [threading.Thread(target=ask, args=(keep,)) for keep in (True, False)]
        for thread in threads:
            thread.start()
        try:
            for number in range(1, 6):
                stage.deploy(number)
                stage.settle()
                assert stage.answer() == number
                asked = len(seen)
                until(lambda asked=asked: len(seen) > asked + 10, "requests go on")
        finally:
            over.set()
            for thread in threads:
                thread.join(30)
        assert {status for status, _ in seen} == {200}
        assert {value for _, value in seen} >= {0, 1, 2, 3, 4, 5}
        assert [r.state for r in stage.get().revisions] == ["ready", *["retired"] * 5]

    def test_a_canary_its_shadow_and_the_way_back(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        stage.deploy(2, traffic=50)
        stage.settle()
        seen = [stage.answer() for _ in range(10)]
        assert {seen.count(1.0), seen.count(2.0)} <= {4, 5, 6}
        stage.deploy(3, traffic=0, shadow=100)
        stage.settle()
        assert {stage.answer() for _ in range(10)} == {1, 2}
        until(lambda: stage.requests(3) == 10, "each request was copied")
        endpoints, editor = stage.world.endpoints, stage.people.editor
        endpoints.promote(editor, "ask", RevisionChoice(revision=3))
        stage.settle()
        assert {stage.answer() for _ in range(4)} == {3}
        assert [r.state for r in stage.get().revisions] == ["ready", "retired", "retired"]
        endpoints.rollback(editor, "ask", RevisionChoice())
        stage.settle()
        assert {stage.answer() for _ in range(10)} == {1, 2}
        calls = EndpointCalls(endpoints, stage.server)
        assert calls.stats(editor, "ask", 2).revision == 2
        with pytest.raises(NotFound, match="no revision 9"):
            calls.stats(editor, "ask", 9)

    def test_a_file_that_is_no_model_fails_with_a_sentence(self, stage: Stage) -> None:
        stage.deploy(b"hello, I am not ONNX")
        stage.settle()
        failed = stage.get()
        assert (failed.state, failed.reason) == ("failed", "load_failed")
        assert "is not an ONNX model" in (failed.message or "")
        assert stage.ask().status_code == 503

    def test_after_a_failed_swap_the_old_one_answers_also_after_kill_9(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        stage.deploy(b"broken")
        for _ in range(2):
            stage.settle()
            assert (stage.get().reason, stage.get().state, stage.answer()) == ("load_failed", "ready", 1)
        stage.kill()
        stage.settle()
        assert (stage.get().reason, stage.get().state, stage.answer()) == ("load_failed", "ready", 1)
        stage.deploy(3)
        stage.settle()
        assert (stage.get().state, stage.answer()) == ("ready", 3)

    def test_a_kill_between_applying_and_settling_is_made_up_for(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        stage.deploy(1)
        with monkeypatch.context() as patch:
            patch.setattr(EndpointSettling, "settle", killed)
            with pytest.raises(KeyboardInterrupt):
                stage.settle()
        assert stage.get().state == "starting"
        stage.restart()
        stage.settle()
        assert stage.get().state == "ready"


class TestTokens:
    def test_a_token_made_later_is_taken_and_one_revoked_is_refused(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        secret, token_id = stage.issue()
        assert stage.ask(secret).status_code == 401
        stage.grants.run_once()
        assert stage.ask(secret).status_code == 200
        stage.world.jobs.tokens.delete(stage.people.editor, token_id)
        stage.grants.run_once()
        until(lambda: stage.ask(secret).status_code == 401, "the token is refused")
        assert stage.ask().status_code == 200

    def test_a_revoked_token_leaves_the_file_at_once(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a look now and then: by the signal, whatever the serving loop is busy with."""
        monkeypatch.setattr(Grants, "interval_s", 3600)
        stage.deploy(1)
        file = stage.folder / "tokens.json"
        thread = LoopThread(stage.grants, stage.world.jobs.signals)
        thread.start()
        try:
            secret, token_id = stage.issue()
            digest = hashlib.sha256(secret.encode()).hexdigest()
            until(lambda: file.exists() and digest in file.read_text(), "it is granted")
            stage.world.jobs.tokens.delete(stage.people.editor, token_id)
            until(lambda: digest not in file.read_text(), "it is no more")
        finally:
            assert thread.stop()

    def test_a_rate_is_kept(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        body = TokenCreate(name="slow", rate_per_s=0.01, burst=3)
        secret = stage.world.jobs.tokens.create(stage.people.editor, body).secret
        stage.grants.run_once()
        answers = [stage.ask(secret) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert stage.ask().status_code == 200

    def test_a_token_changes_no_route_and_a_route_no_token(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        routes, tokens = stage.folder / "routes.json", stage.folder / "tokens.json"
        before = routes.stat().st_mtime_ns, tokens.stat().st_mtime_ns
        stage.issue()
        stage.settle()
        stage.grants.run_once()
        assert routes.stat().st_mtime_ns == before[0]
        assert (now := tokens.stat().st_mtime_ns) > before[1]
        stage.deploy(2)
        stage.settle()
        assert routes.stat().st_mtime_ns > before[0]
        assert tokens.stat().st_mtime_ns == now

    def test_a_stranger_is_refused(self, stage: Stage) -> None:
        stage.deploy(1)
        with stage.world.jobs.db.write() as session:
            secret, _ = stage.world.jobs.tokens.issue(
                session, user_id=stage.people.stranger.user_id, kind="user", name="t", scopes=["*"]
            )
        stage.settle()
        assert stage.ask(secret).status_code in (401, 403)

    def test_the_files_hold_no_secret_and_are_private(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        for file in (stage.folder / "routes.json", stage.folder / "tokens.json"):
            assert file.stat().st_mode & 0o077 == 0
            assert stage.token not in file.read_text()

    def test_nothing_is_written_while_nothing_changes(self, stage: Stage) -> None:
        stage.deploy(1)
        stage.settle()
        before = (stage.folder / "routes.json").stat().st_mtime_ns
        stage.settle()
        assert (stage.folder / "routes.json").stat().st_mtime_ns == before
