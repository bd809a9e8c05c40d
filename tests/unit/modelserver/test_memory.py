"""A model that allocates without limit."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import modelserver_kit as kit
import numpy as np
import onnx
import psutil

from nacre.modelserver.memory import available
from nacre.schema.serving import ServedEndpoint


def greedy(path: Path) -> Path:
    """``x`` INT64 [1] → the sum of so many ones."""
    return kit.save(
        path,
        [
            onnx.helper.make_node(
                "ConstantOfShape", ["x"], ["ones"], value=onnx.numpy_helper.from_array(np.array([1], "f4"))
            ),
            onnx.helper.make_node("ReduceSum", ["ones"], ["y"], keepdims=0),
        ],
        [kit.value("x", "INT64", [1])],
        [kit.value("y", "FP32", [])],
    )


def test_a_model_that_wants_all_memory_fails_alone(
    start: Callable[..., kit.Server], tmp_path: Path
) -> None:
    kit.write_routes(
        tmp_path,
        {
            "p/greedy": kit.revision(greedy(tmp_path / "g.onnx")),
            "p/c": kit.revision(kit.constant(tmp_path / "c.onnx", 1.0)),
        },
    )
    server = start().wait()

    def ask(count: int) -> tuple[int, str]:
        answer = server.infer("p/greedy", {"inputs": [kit.tensor("x", "INT64", [1], [count])]})
        return answer.status_code, answer.text

    assert ask(1000)[0] == 200
    for count in (2**34, 2**40, 2**60):
        status, text = ask(count)
        assert status in (500, 503), text
        assert "error" in text
    assert ask(1000)[0] == 200
    other = server.infer("p/c", {"inputs": [kit.tensor("x", "FP32", [1, 1], [0.0])]})
    assert other.status_code == 200
    assert server.process.poll() is None


def test_models_that_are_unloaded_give_their_memory_back(
    start: Callable[..., kit.Server], tmp_path: Path
) -> None:
    models = {f"p/m{number}": kit.mlp(tmp_path / f"{number}.onnx") for number in range(150)}

    def route(idle_s: float | None) -> None:
        served = {
            key: ServedEndpoint(revisions=[kit.revision(path)], idle_s=idle_s)
            for key, path in models.items()
        }
        kit.write_routes(tmp_path, served)

    def all_are(state: str) -> bool:
        status = server.status()
        return all(kit.states(status, key)[1].state == state for key in models)

    route(None)
    server = start().wait()
    kit.until(lambda: all_are("ready"), "all are loaded")
    process = psutil.Process(server.process.pid)
    full = process.memory_info().rss
    route(0.1)
    server.reload()
    kit.until(lambda: all_are("unloaded"), "all are unloaded")
    kit.until(lambda: process.memory_info().rss < full - 8 * 2**20, "their memory has gone back")


def test_available_memory_is_the_machine_s_or_less() -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available() <= machine
