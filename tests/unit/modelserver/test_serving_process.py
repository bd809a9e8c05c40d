"""The process: start, port, folder, control socket, end; and several workers on one port."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import modelserver_kit as kit
import psutil
import pytest

from nacre.schema.serving import ServedRevision, TokenGrant

Start = Callable[..., kit.Server]
ASK = {"inputs": [kit.tensor("x", "FP32", [1, 1], [0.0])]}
ASKING = kit.request(json.dumps(ASK).encode(), "/endpoints/p/c/v2/models/m/infer")


@pytest.fixture
def one(tmp_path: Path) -> ServedRevision:
    return kit.revision(kit.constant(tmp_path / "1.onnx", 1.0), 1)


@pytest.fixture
def two(tmp_path: Path) -> ServedRevision:
    return kit.revision(kit.constant(tmp_path / "2.onnx", 2.0), 2)


def test_it_starts_without_routes_and_says_where_it_is(start: Start, tmp_path: Path) -> None:
    server = start().wait()
    about = server.about()
    assert about is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    assert about == {
        "pid": server.process.pid,
        "start": int(fields[19]),
        "port": server.port,
        "host": "127.0.0.1",
    }
    status = server.status()
    assert (status.generation, status.pid, status.endpoints) == (0, server.process.pid, {})
    assert server.get("/endpoints/p/c/v2").status_code == 401


def test_the_control_socket_is_for_its_owner_only(start: Start, tmp_path: Path) -> None:
    server = start().wait()
    mode = (tmp_path / "control.sock").stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    unknown = server.control("GET", "/reload")
    assert (unknown.status_code, "POST /reload" in unknown.text) == (404, True)


def test_a_taken_port_is_exit_3_and_a_sentence(start: Start, tmp_path: Path) -> None:
    with socket.socket() as taken:
        # Even a socket that would share its port does not get company.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start(port=port)
        assert server.process.wait(kit.DEADLINE) == 3
    said = server.log.read_text()
    assert f"port {port} on 127.0.0.1" in said
    assert "Traceback" not in said
    assert server.about() is None


def test_a_second_server_in_one_folder_is_exit_4(start: Start, tmp_path: Path) -> None:
    first = start().wait()
    second = start()
    assert second.process.wait(kit.DEADLINE) == 4
    assert "already serves" in first.log.read_text()
    assert first.get("/healthz", None).status_code == 200


def test_wrong_arguments_are_exit_2(start: Start, tmp_path: Path) -> None:
    for arguments in (["--workers", "0"], ["--host", "no.such.host.invalid"]):
        server = start(*arguments)
        assert server.process.wait(kit.DEADLINE) == 2
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "shutdown"])
def test_it_ends_by_itself_and_takes_its_files_along(
    start: Start, tmp_path: Path, one: ServedRevision, how: str
) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start().wait()
    idle = server.connect()
    if how == "shutdown":
        assert server.control("POST", "/shutdown").json() == {"stopping": True}
    else:
        server.process.send_signal(getattr(signal, how))
    assert server.process.wait(kit.DEADLINE) == 0
    assert idle.closed()
    idle.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1.onnx",
        "log",
        "modelserver.lock",
        "routes.json",
        "tokens.json",
    ]


def test_sigterm_lets_requests_in_flight_end(start: Start, tmp_path: Path) -> None:
    kit.write_routes(tmp_path, {"p/c": kit.revision(kit.slow(tmp_path / "s.onnx", 1_000_000))})
    server = start().wait()
    process = psutil.Process(server.process.pid)
    before = process.cpu_times().user
    raw = server.connect().send(ASKING)
    kit.until(lambda: process.cpu_times().user > before + 0.05, "it computes")
    server.process.send_signal(signal.SIGTERM)
    status, headers, _ = raw.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert raw.closed()
    raw.close()
    assert server.process.wait(kit.DEADLINE) == 0


def test_several_workers_share_the_port_and_every_reload(
    start: Start, tmp_path: Path, one: ServedRevision, two: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start("--workers", "2").wait()
    workers = psutil.Process(server.process.pid).children()
    assert len(workers) == 2
    clients = [server.connect() for _ in range(16)]

    def numbers() -> set[float]:
        answers = [raw.send(ASKING).answer() for raw in clients]
        return {json.loads(body)["outputs"][0]["data"][0] for _, _, body in answers}

    assert numbers() == {1.0}
    kit.write_routes(tmp_path, {"p/c": two}, generation=2)
    status = server.reload()
    assert (status.generation, [*kit.states(status, "p/c")]) == (2, [2])
    assert numbers() == {2.0}
    assert server.status().endpoints["p/c"].requests == 16  # of this revision
    (tmp_path / "routes.json").write_text("{")
    assert server.control("POST", "/reload").status_code == 422
    assert numbers() == {2.0}
    for raw in clients:
        raw.close()
    assert server.stop() == 0
    assert not any(worker.is_running() for worker in workers)


def test_a_worker_that_dies_is_replaced_with_the_present_routes(
    start: Start, tmp_path: Path, one: ServedRevision, two: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start("--workers", "2").wait()
    parent = psutil.Process(server.process.pid)
    first, second = parent.children()
    os.kill(first.pid, signal.SIGKILL)
    kit.write_routes(tmp_path, {"p/c": two}, {kit.TOKEN: TokenGrant(projects=["p"])}, 2)
    assert server.reload().generation == 2

    def replaced() -> bool:
        running = {child.pid for child in parent.children() if child.status() != "zombie"}
        return len(running) == 2 and first.pid not in running

    kit.until(replaced, "another worker runs")
    os.kill(second.pid, signal.SIGKILL)
    kit.until(lambda: not second.is_running(), "the second is gone")

    def answers() -> bool:
        try:
            answer = server.infer("p/c", ASK)
        except kit.httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["outputs"][0]["data"] == [2.0]

    kit.until(answers, "the new worker answers the present revision")
    assert server.stop() == 0


def test_workers_end_when_their_parent_is_killed(start: Start, tmp_path: Path, one: ServedRevision) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start("--workers", "2").wait()
    workers = psutil.Process(server.process.pid).children()
    server.kill()
    kit.until(lambda: not any(worker.is_running() for worker in workers), "the workers end")
    again = start("--workers", "1", port=server.port).wait()
    assert again.infer("p/c", ASK).status_code == 200


def test_a_full_queue_is_503_and_the_server_goes_on(start: Start, tmp_path: Path) -> None:
    kit.write_routes(tmp_path, {"p/c": kit.revision(kit.slow(tmp_path / "s.onnx", 20_000))})
    server = start().wait()
    clients = [server.connect() for _ in range(300)]
    statuses: list[int] = []

    def ask(part: list[kit.Raw]) -> None:
        for raw in part:
            raw.send(ASKING)
        for raw in part:
            statuses.append(raw.answer()[0])

    threads = [threading.Thread(target=ask, args=(clients[at::2],)) for at in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(kit.DEADLINE)
    assert len(statuses) == 300
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= 256
    assert clients[0].send(ASKING).answer()[0] == 200
    for raw in clients:
        raw.close()
