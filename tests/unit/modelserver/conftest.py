from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc_kit
import modelserver_kit as kit
import pytest
from grpc_client import Client


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[kit.Server]:
    """One server for a module's read-only tests: an MLP, identities, two inputs, a slow model."""
    folder = tmp_path_factory.mktemp("serving")
    files = {"mlp": kit.mlp(folder / "mlp.onnx"), "two": kit.two_inputs(folder / "two.onnx")}
    files["slow"] = kit.slow(folder / "slow.onnx", 5000)
    for datatype in kit.ONNX_TYPES:
        files[datatype.lower()] = kit.identity(folder / f"{datatype}.onnx", datatype)
    kit.write_routes(folder, {f"p/{name}": kit.revision(path) for name, path in files.items()})
    running = kit.Server(folder, "--max-body", str(1024 * 1024)).wait()
    yield running
    running.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., kit.Server]]:
    """Starts servers of one test, and ends them after it."""
    running: list[kit.Server] = []

    def begin(*arguments: str, folder: Path = tmp_path, port: int = 0) -> kit.Server:
        running.append(kit.Server(folder, *arguments, port=port))
        return running[-1]

    yield begin
    for one in running:
        one.kill()


@pytest.fixture
def world() -> Iterator[grpc_kit.World]:
    """Connections of gRPC without sockets; nothing may be left of them."""
    with grpc_kit.World() as made:
        yield made


@pytest.fixture
def client(world: grpc_kit.World) -> Client:
    """One that has begun."""
    return world.client()
