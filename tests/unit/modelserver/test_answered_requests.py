"""Answered requests leave nothing behind: they are freed at once, not by the garbage collector.

A request that leads back to itself (to the call that waits, to its callback, to the request) would keep
its tensors until a collection, which all requests then wait for.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import modelserver_kit as kit
import pytest
import uvloop
from tests import replica_kit

from nacre.modelserver.dispatch import Dispatcher
from nacre.modelserver.host import Host
from nacre.modelserver.limits import Limits
from nacre.modelserver.listener import Listener
from nacre.modelserver.worker import bind
from nacre.schema.serving import ServedReplica, ServedRevision

COUNT = 40
V2 = "/endpoints/p/{}/v2/models/m/infer"
ROW = [0.5] * 8
OWN = """
def predict(inputs):
    return inputs
"""


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServedRevision]]:
    """Of a model with a signature, and of one with code of its own."""
    folder = tmp_path_factory.mktemp("replicas")
    models = {"double": replica_kit.DOUBLE, "own": OWN}
    running = {
        name: replica_kit.Replica(replica_kit.write(folder / name, text), folder, name=name)
        for name, text in models.items()
    }
    for one in running.values():
        one.connect().sock.close()
    yield {
        name: ServedRevision(
            revision=1,
            model="m",
            model_version=1,
            runtime="replicas",
            replicas=[ServedReplica(id=name, socket=one.socket)],
        )
        for name, one in running.items()
    }
    for one in running.values():
        one.__exit__(None, None, None)


@asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[int]:
    host = Host(folder, Limits())
    await host.reload()
    await host.loaded()
    revisions = [one for endpoint in host.endpoints.values() for one in endpoint.all()]
    while any(one.state == "loading" for one in revisions):  # replicas connect by themselves
        await asyncio.sleep(0.01)
    listener = Listener(Dispatcher(host, Limits()), Limits())
    sock = bind("127.0.0.1", 0)
    await listener.start(sock)
    try:
        yield sock.getsockname()[1]
    finally:
        await listener.drain()
        for endpoint in host.endpoints.values():
            endpoint.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(head.split()[1])


async def _garbage(port: int, asking: bytes) -> tuple[set[int], int]:
    """The statuses of some answers, and of how many objects only the collector can free them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = set()
    for last in (False, True):
        if last:
            gc.collect()
            gc.disable()
        for _ in range(COUNT):
            writer.write(asking)
            statuses.add(await _answer(reader))
    found = gc.collect()
    gc.enable()
    writer.close()
    return statuses, found


def _json(shape: list[int], data: list[float]) -> bytes:
    return json.dumps({"inputs": [kit.tensor("x", "FP32", shape, data)]}).encode()


def _binary() -> tuple[bytes, str]:
    item = {"name": "x", "datatype": "FP32", "shape": [1, 8], "parameters": {"binary_data_size": 32}}
    head = json.dumps({"inputs": [item]}).encode()
    return head + bytes(32), f"Inference-Header-Content-Length: {len(head)}\r\n"


ASKED = {
    "v2": (200, kit.request(_json([1, 8], ROW), V2.format("mlp"))),
    "v2 binary": (200, kit.request(_binary()[0], V2.format("mlp"), _binary()[1])),
    "tfserving": (
        200,
        kit.request(json.dumps({"instances": [ROW]}).encode(), "/endpoints/p/mlp/v1/models/m:predict"),
    ),
    "refused": (400, kit.request(_json([1, 9], [*ROW, 1.0]), V2.format("mlp"))),
    "on a thread": (200, kit.request(_json([1, 1], [1.0]), V2.format("slow"))),
    "of a replica": (200, kit.request(_json([1, 2], [1.0, 2.0]), V2.format("double"))),
    "own code": (200, kit.request(b'{"a": 1}', "/endpoints/p/own/predict")),
}


@pytest.mark.parametrize("kind", ASKED)
def test_answered_requests_leave_no_garbage(
    kind: str, tmp_path: Path, replicas: dict[str, ServedRevision]
) -> None:
    mlp, slow = kit.mlp(tmp_path / "mlp.onnx"), kit.slow(tmp_path / "slow.onnx", 20_000)
    kit.write_routes(tmp_path, {"p/mlp": kit.revision(mlp), "p/slow": kit.revision(slow)})
    if kind in ("of a replica", "own code"):
        kit.write_routes(tmp_path, {f"p/{name}": one for name, one in replicas.items()})
    status, asking = ASKED[kind]

    async def main() -> tuple[set[int], int]:
        async with _serving(tmp_path) as port:
            return await asyncio.wait_for(_garbage(port, asking), kit.DEADLINE)

    statuses, found = uvloop.run(main())
    assert statuses == {status}
    assert found < COUNT, f"{found} objects of {COUNT} requests"
