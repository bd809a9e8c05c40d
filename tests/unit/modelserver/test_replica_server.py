"""A replica as its own process: batches, requests, streams, failures, its end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import replica_kit as kit


def parsed(frame: Any) -> Any:
    assert frame.head["type"] == "raw_result", frame.head
    return json.loads(bytes(frame.tail))


def failed(frame: Any) -> tuple[str, str]:
    assert frame.head["type"] == "error", frame.head
    return frame.head["kind"], frame.head["message"]


def test_tensors_of_many_connections() -> None:
    with kit.custom(kit.DOUBLE) as (replica, first):
        assert first.hello["signature"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
        assert (first.hello["raw"], first.hello["stream"]) == (False, False)
        second = replica.connect()
        for connection, number in ((first, 1.5), (second, 7.0), (first, -2.0)):
            assert connection.run(kit.x([number, 0]), ["y"])["y"].tolist() == [[number * 2, 0]]
        large = np.random.default_rng(0).random((200_000, 2), np.float32)  # many reads, one tail
        assert np.array_equal(first.run({"x": large}, ["y"])["y"], large * 2)


def test_batches_are_answered_in_order_and_none_is_lost() -> None:
    with kit.custom(kit.DOUBLE) as (_, connection):
        numbers = [connection.infer(kit.x([n, n]), ["y"]) for n in range(300)]
        assert [connection.receive().head["id"] for _ in numbers] == numbers


FAILING = (
    kit.DOUBLE.partition("def predict")[0]
    + """
def predict(inputs):
    if (inputs["x"] < 0).any():
        raise RuntimeError("below zero\\nsecond line")
    if (inputs["x"] > 9).any():
        raise SystemExit(3)
    return inputs["x"] * 2
"""
)


def test_what_goes_wrong_is_said_and_the_next_is_answered() -> None:
    with kit.custom(FAILING) as (replica, connection):
        connection.infer(kit.x([-1, 0]), ["y"])
        kind, said = failed(connection.receive())
        assert kind == "failed"
        line = next(n for n, text in enumerate(FAILING.splitlines(), 1) if "below zero" in text)
        assert said == f"the model failed on this input: predict.py, line {line}: RuntimeError: below zero"
        connection.infer(kit.x([10, 0]), ["y"])
        assert failed(connection.receive())[0] == "failed"
        connection.infer({"z": np.zeros((1, 2), "f4")}, ["y"])
        assert failed(connection.receive()) == ("bad_request", "input 'x' is missing")
        connection.infer(kit.x([1, 2]), ["nothing"])
        assert failed(connection.receive()) == ("bad_request", "there is no output 'nothing'")
        lie = {"name": "x", "datatype": "FP32", "shape": [4, 2], "size": 8}
        connection.send({"type": "infer", "id": 900, "outputs": ["y"], "inputs": [lie]}, [bytes(8)])
        assert failed(connection.receive())[0] == "bad_request"
        assert connection.run(kit.x([1, 2]), ["y"])["y"].tolist() == [[2, 4]]
        assert "below zero\nsecond line" in replica.log.read_text()


RAW = """
import threading

def setup(folder):
    print("set up from", folder)
    return {"folder": folder, "calls": 0}

def decode(request):
    if request.headers.get("content-type") == "text/plain":
        return request.text()
    return request.json()["text"]

def predict(text, state):
    state["calls"] += 1
    if text == "words":
        return {"words": ["a", "b"], "calls": state["calls"]}
    if text == "nan":
        return [float("nan"), 1.5]
    if text == "object":
        return object()
    return text.upper()

def encode(output):
    if output == "PICTURE":
        return b"\\x89PNG", "image/png"
    return output
"""


def test_requests_as_they_come() -> None:
    with kit.custom(RAW) as (replica, connection):
        assert (connection.hello["signature"], connection.hello["raw"]) == (None, True)
        frame = connection.ask(b'{"text": "hello"}')
        assert (frame.head["status"], frame.head["content_type"]) == (200, "text/plain; charset=utf-8")
        assert bytes(frame.tail or b"") == b"HELLO"
        assert (
            bytes(connection.ask("é".encode(), **{"content-type": "text/plain"}).tail or b"")
            == "É".encode()
        )
        assert parsed(connection.ask(b'{"text": "words"}')) == {"words": ["a", "b"], "calls": 3}
        assert parsed(connection.ask(b'{"text": "nan"}')) == ["NaN", 1.5]
        frame = connection.ask(b'{"text": "picture"}')
        assert (frame.head["content_type"], bytes(frame.tail or b"")) == ("image/png", b"\x89PNG")
        assert f"set up from {replica.socket.rpartition('/')[0]}/model" in replica.log.read_text()


def test_requests_that_are_wrong() -> None:
    with kit.custom(RAW) as (_, connection):
        kind, said = failed(connection.ask(b"{"))
        assert kind == "bad_request"
        assert said.startswith("the request cannot be decoded: predict.py, line 11: JSONDecodeError")
        assert failed(connection.ask(b'{"other": 1}'))[0] == "bad_request"
        kind, said = failed(connection.ask(b'{"text": 7}'))  # predict() itself fails on it
        assert (kind, "line 21: AttributeError" in said) == ("failed", True)
        assert failed(connection.ask(b"[" * 200_000))[0] == "bad_request"
        assert failed(connection.ask(b'{"text": "object"}'))[0] == "failed"
        connection.infer(kit.x([1, 2]), ["y"])
        assert failed(connection.receive())[0] == "bad_request"
        assert bytes(connection.ask(b'{"text": "on"}').tail or b"") == b"ON"


STREAM = """
import time

ended = []

def predict(inputs):
    if inputs == "log":
        return ended
    return tell(inputs)

def tell(inputs):
    try:
        for n in range(inputs["count"]):
            yield {"n": n, "pad": "x" * inputs.get("size", 0)}
            if n == inputs.get("fail"):
                raise RuntimeError("cannot go on")
    finally:
        ended.append(inputs["count"])
"""


def events(parts: list[bytes]) -> list[Any]:
    text = b"".join(parts).decode()
    return [json.loads(block.partition("data: ")[2]) for block in text.split("\n\n") if block]


def test_a_generator_is_a_stream_of_events() -> None:
    with kit.custom(STREAM) as (_, connection):
        number = connection.raw(b'{"count": 3}')
        parts = list(connection.stream(number))
        assert parts[0] == b'data: {"n": 0, "pad": ""}\n\n'
        assert [event["n"] for event in events(parts)] == [0, 1, 2]
        frame = connection.ask(b'"log"', accept="text/event-stream")
        assert bytes(frame.tail or b"") == b"data: [3]\n\n"
        assert connection.receive().head["last"]


def test_a_stream_that_fails_says_so_in_its_last_event() -> None:
    with kit.custom(STREAM) as (_, connection):
        parts = list(connection.stream(connection.raw(b'{"count": 9, "fail": 1}')))
        assert len(parts) == 3
        assert parts[2].startswith(
            b'event: error\ndata: {"error": "predict.py, line 16: RuntimeError: cannot'
        )
        kind, said = failed(
            connection.ask(b'{"other": 3}')
        )  # before the first part it is an ordinary failure
        assert (kind, "KeyError" in said) == ("failed", True)


def test_streams_take_turns_and_a_batch_is_not_kept_waiting() -> None:
    with kit.custom(STREAM) as (_, connection):
        first, second = connection.raw(b'{"count": 1000}'), connection.raw(b'{"count": 1000}')
        log = connection.raw(b'"log"')
        seen: list[int] = []
        while log not in seen:
            seen.append(connection.receive().head["id"])
        assert len(seen) < 20
        assert {first, second, log} == set(seen)
        assert abs(seen.count(first) - seen.count(second)) <= 1


def test_a_stream_waits_for_its_reader() -> None:
    with kit.custom(STREAM) as (_, connection):
        number = connection.raw(b'{"count": 100, "size": 50000}')
        first = [connection.receive() for _ in range(6)]  # 300 kB are under way, and no more come
        assert {frame.head["id"] for frame in first} == {number}
        assert parsed(connection.ask(b'"log"')) == []
        taken = sum(len(frame.tail or b"") for frame in first)
        connection.send({"type": "more", "id": number, "bytes": taken})
        assert len(list(connection.stream(number))) == 94


def test_a_cancelled_stream_is_closed() -> None:
    with kit.custom(STREAM) as (replica, connection):
        running = connection.raw(b'{"count": 1000000}')
        connection.receive()
        connection.send({"type": "cancel", "id": running})
        while (frame := connection.receive()).head["type"] == "chunk":
            connection.send({"type": "more", "id": running, "bytes": len(frame.tail or b"")})
        assert failed(frame)[0] == "cancelled"
        waiting = connection.raw(b'{"count": 7, "size": 300000}')
        connection.receive()
        connection.send({"type": "cancel", "id": waiting})
        assert failed(connection.receive())[0] == "cancelled"
        other = replica.connect()
        other.raw(b'{"count": 5, "size": 300000}')
        other.receive()
        other.sock.shutdown(socket.SHUT_RDWR)
        while len(done := parsed(connection.ask(b'"log"'))) < 3:
            pass
        assert done == [1000000, 7, 5]


ASYNC = """
import asyncio

async def setup(folder):
    await asyncio.sleep(0)
    return 5

async def predict(inputs, number):
    await asyncio.sleep(0)
    return inputs + number if inputs < 100 else tell(inputs)

async def tell(inputs):
    for n in range(3):
        await asyncio.sleep(0)
        yield n
"""


def test_coroutines_and_asynchronous_generators() -> None:
    with kit.custom(ASYNC) as (_, connection):
        assert parsed(connection.ask(b"1")) == 6
        assert b"".join(connection.stream(connection.raw(b"100"))) == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


GATE = """
import os, time

def predict(inputs):
    print("begun", flush=True)
    while not os.path.exists(inputs):
        time.sleep(0.01)
    return "done"
"""


def test_a_batch_that_nobody_waits_for_is_not_run(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with kit.custom(GATE) as (replica, connection):
        first = connection.raw(json.dumps(str(gate)).encode())
        second = connection.raw(json.dumps(str(gate)).encode())
        connection.send({"type": "cancel", "id": second})
        connection.send({"type": "cancel", "id": 12345})  # of which nobody knows
        gate.touch()
        assert connection.receive().head["id"] == first
        frame = connection.receive()
        assert (frame.head["id"], failed(frame)[0]) == (second, "cancelled")
        assert replica.log.read_text().count("begun") == 1


def test_sigterm_ends_it_after_what_is_under_way(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = json.dumps(str(gate)).encode()
    with kit.custom(GATE) as (replica, connection):
        first = connection.raw(body)
        idle = replica.connect()
        replica.terminate()
        assert connection.receive().head["type"] == "goodbye"
        assert idle.receive().head["type"] == "goodbye"
        second = connection.raw(body)  # sent before the goodbye was read
        connection.send({"type": "goodbye"})
        idle.sock.close()
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            kit.Connection(replica.socket)
        gate.touch()
        assert [connection.receive().head["id"] for _ in range(2)] == [first, second]
        assert replica.wait() == 0


def test_the_grace_is_the_end_of_waiting(tmp_path: Path) -> None:
    with kit.custom(GATE, "--grace", "0.2") as (replica, connection):
        connection.raw(json.dumps(str(tmp_path / "never")).encode())
        while "begun" not in replica.log.read_text():
            pass
        replica.terminate()
        assert replica.wait() == 3


def test_sigterm_while_it_loads(tmp_path: Path) -> None:
    text = "import time\nprint('loading', flush=True)\ntime.sleep(600)\n"
    with kit.Replica(kit.write(tmp_path / "m", text), tmp_path) as replica:
        while "loading" not in replica.log.read_text():
            assert replica.process.poll() is None
        replica.terminate()
        assert replica.wait() == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "def setup(folder):\n    raise KeyError('w')\ndef predict(x): ...",
            "setup() failed: predict.py, line 2: KeyError",
        ),
        ("import nothing_like_it", "predict.py, line 1: ModuleNotFoundError"),
        ("def predict(:", "predict.py, line 1: SyntaxError"),
        ("x = 1", "predict.py has no function predict(inputs)"),
        ("import sys\nsys.exit(0)", "predict.py, line 2: SystemExit"),
        (
            "SIGNATURE = {'inputs': [{'name': 'x'}]}\ndef predict(x): ...",
            "SIGNATURE of predict.py has to be",
        ),
    ],
)
def test_a_model_that_cannot_be_loaded_says_why_in_the_last_line(
    tmp_path: Path, text: str, said: str
) -> None:
    with kit.Replica(kit.write(tmp_path / "m", text), tmp_path) as replica:
        assert replica.wait() == 1
        last = replica.log.read_text().splitlines()[-1]
        assert last.startswith("error: the model could not be loaded: ")
        assert said in last


@pytest.mark.parametrize(
    ("files", "arguments", "said"),
    [
        ({}, (), "there is no model in m"),
        ({"a.onnx": b"", "b.onnx": b""}, (), "there are several models (a.onnx, b.onnx)"),
        ({"a.txt": b""}, (), "there is no model in m"),
        ({"a.onnx": b"nonsense"}, (), "a.onnx cannot be loaded"),
        ({"a.onnx": b""}, ("--framework", "sklearn"), "there is no sklearn model in m"),
        ({"a.keras": b""}, (), "a keras model cannot run in this environment: No module named 'keras'"),
        ({"a.pkl": b"nonsense"}, (), "a.pkl cannot be read"),
        ({}, ("--framework", "custom"), "there is no predict.py in m"),
    ],
)
def test_folders_without_a_model_that_runs_here(
    tmp_path: Path, files: dict[str, bytes], arguments: tuple[str, ...], said: str
) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with kit.Replica(folder, tmp_path, *arguments) as replica:
        assert replica.wait() == 1
        assert said in replica.log.read_text().splitlines()[-1]


def test_a_socket_whose_path_is_longer_than_a_sockets_name(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    with kit.Replica(kit.write(tmp_path / "m", kit.DOUBLE), folder) as replica:
        assert replica.connect().run(kit.x([1, 2]), ["y"])["y"].tolist() == [[2, 4]]
        assert Path(replica.socket).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("minor", ["3.8", "3.9", "3.13"])
def test_it_runs_on_every_python(tmp_path: Path, minor: str) -> None:
    built = Path(os.environ.get("NACRE_TEST_ENVIRONMENTS", "/nowhere"))
    envs = sorted(built.glob(f"*/lib/python{minor}/site-packages/numpy"))
    if not envs:
        pytest.skip(f"there is no built environment of Python {minor} with numpy")
    python = str(envs[0].parents[3] / "bin" / "python")
    done = subprocess.run([python, "-c", "import numpy"], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("the environment is broken")
    with kit.Replica(kit.write(tmp_path / "m", kit.DOUBLE), tmp_path, python=python) as replica:
        assert replica.connect().run(kit.x([1, 2]), ["y"])["y"].tolist() == [[2, 4]]


WAITS = """
import threading

go = threading.Event()

def predict(inputs):
    if inputs == "go":
        go.set()
    elif inputs == "wait":
        go.wait()
    return inputs
"""


def test_pings_are_answered_beside_the_model_and_tell_how_it_gets_on() -> None:
    def ping() -> tuple[int, bool]:
        connection.send({"type": "ping"})
        head = connection.receive().head
        assert head["type"] == "pong", head
        return head["steps"], head["working"]

    with kit.custom(WAITS, "--threads", "2") as (_, connection):
        assert connection.hello["ping"] is True
        steps, working = ping()
        assert not working
        connection.raw(b'"wait"')
        while ping()[0] == steps:
            pass
        assert ping() == ping() == (steps + 1, True)  # as long as it hangs
        connection.raw(b'"go"')
        answers = [bytes(connection.receive().tail or b"") for _ in range(2)]
        assert sorted(answers) == [b"go", b"wait"]
        while ping()[1]:
            pass
        assert ping()[0] == steps + 4
