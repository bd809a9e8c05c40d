"""Every engine keeps the promises of its port."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nacre.launcher import cgroups
from nacre.plugins.engines.local import LocalEngine
from nacre.ports.engines import Engine, Handle
from nacre.schema.launch import LaunchLimits, LaunchSpec, SandboxMode
from nacre.testing.engines import EngineSuite, FakeEngine


class Taking(BaseHTTPRequestHandler):
    """Takes every byte of every channel, as the server's own route does."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        offset = int(self.path.rpartition("offset=")[2])
        answer = json.dumps({"offset": offset + len(body), "desired": "run"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    taking = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    taking.daemon_threads = True
    taking.block_on_close = False
    thread = threading.Thread(target=taking.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{taking.server_port}"
    taking.shutdown()
    taking.server_close()
    thread.join()


class TestFakeEngine(EngineSuite):
    @pytest.fixture
    def engine(self) -> FakeEngine:
        return FakeEngine()

    def spec(self, engine: Engine, attempt_id: str) -> LaunchSpec:
        return LaunchSpec(
            project="vision",
            subject_id="job_1",
            subject_name="train-1",
            attempt_id=attempt_id,
            folder="/nowhere",
            server="unix:/nowhere",
            token="",
            blobs_root=None,
            trees_root="/nowhere",
            command=["true"],
            sandbox=SandboxMode.NONE,
        )

    def settle(self, engine: Engine, handle: Handle) -> None:
        assert isinstance(engine, FakeEngine)
        engine.see(handle["attempt"], launcher=False, work=False, exited=True, done=True)

    def kill_launcher(self, engine: Engine, handle: Handle) -> None:
        assert isinstance(engine, FakeEngine)
        engine.see(handle["attempt"], launcher=False)

    def keep_output(self, engine: Engine, handle: Handle) -> None:
        assert isinstance(engine, FakeEngine)
        engine.launched[handle["attempt"]].output_kept = True


class TestLocalEngine(EngineSuite):
    @pytest.fixture
    def engine(self, tmp_path: Path, server: str) -> LocalEngine:
        self.home, self.server = tmp_path, server
        return LocalEngine(tmp_path)

    def spec(self, engine: Engine, attempt_id: str) -> LaunchSpec:
        (self.home / "trees").mkdir(exist_ok=True)
        return LaunchSpec(
            project="vision",
            subject_id="job_1",
            subject_name="train-1",
            attempt_id=attempt_id,
            folder=str(self.home / "attempts" / attempt_id / "0"),
            server=self.server,
            token="nacre_test",
            blobs_root=str(self.home),
            trees_root=str(self.home / "trees"),
            command=["/bin/sh", "-c", "sleep 600"],
            sandbox=SandboxMode.NONE,
            limits=LaunchLimits(grace_s=0.2, processes=None),
        )

    def settle(self, engine: Engine, handle: Handle) -> None:
        """Real work ends by itself."""

    def keep_output(self, engine: Engine, handle: Handle) -> None:
        folder = Path(handle["folder"])
        (folder / "output-kept").write_text("{}")
        (folder / "output" / "model.pt").write_bytes(b"weights")

    def kill_launcher(self, engine: Engine, handle: Handle) -> None:
        noted = json.loads((Path(handle["folder"]) / "launcher.json").read_text())
        os.kill(noted["pid"], signal.SIGKILL)

    def test_kept_output_is_all_that_stays(self, engine: LocalEngine) -> None:
        _, handle = self.start(engine, "att_output")
        self.until(engine, handle, lambda seen: seen.work)
        self.keep_output(engine, handle)
        for _ in range(2):
            engine.forget(handle)
            left = sorted(path.name for path in Path(handle["folder"]).iterdir())
            assert left == ["output", "output-kept"]
        engine.forget(handle, everything=True)
        assert not (self.home / "attempts" / "att_output").exists()

    def test_control_groups_of_a_dead_launcher_go(self, engine: LocalEngine) -> None:
        _, handle = self.start(engine, "att_groups")
        self.until(engine, handle, lambda seen: seen.work)
        made = cgroups.find("att_groups-0").joined
        if not made:
            pytest.skip("this host lets us make no control groups")
        self.kill_launcher(engine, handle)
        (Path(handle["folder"]) / "plan.json").unlink()  # killed before it could write them down
        self.until(engine, handle, lambda seen: not seen.launcher)
        engine.forget(handle)
        assert cgroups.find("att_groups-0").joined == []

    def test_a_pid_that_another_process_got_is_not_taken_for_the_launcher(
        self, engine: LocalEngine
    ) -> None:
        handle = engine.handle(self.spec(engine, "att_reuse"))
        folder = Path(handle["folder"])
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text("{}")
        (folder / "launcher.json").write_text(json.dumps({"pid": os.getpid(), "start": 1}))
        (folder / "workload.json").write_text(json.dumps({"pid": os.getpid(), "start": 1}))
        seen = engine.observe(handle)
        assert not seen.launcher
        assert not seen.work
        engine.stop(handle)

    def test_the_first_look_at_the_machine_compiles_the_launcher(self, engine: LocalEngine) -> None:
        source = Path(cgroups.__file__)
        compiled = Path(importlib.util.cache_from_source(str(source)))
        compiled.unlink(missing_ok=True)
        engine.nodes()
        assert compiled.exists() or not os.access(source.parent, os.W_OK)

    def test_only_the_owner_may_read_the_spec(self, engine: LocalEngine) -> None:
        _, handle = self.start(engine, "att_private")
        assert (Path(handle["folder"]) / "spec.json").stat().st_mode & 0o777 == 0o600
        self.end(engine, handle)

    def test_a_launcher_gets_no_variable_of_the_servers(
        self, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NACRE_DATABASE_URL", "postgresql://secret@example/nacre")
        _, handle = self.start(engine, "att_clean")
        self.until(engine, handle, lambda seen: seen.work)
        noted = json.loads((Path(handle["folder"]) / "launcher.json").read_text())
        assert b"postgresql" not in Path(f"/proc/{noted['pid']}/environ").read_bytes()
        self.end(engine, handle)
