"""``nacre model``, ``evaluate``, ``deploy``, ``predict``, ``undeploy``: against real services over HTTP,
and a real model server."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from tests import models_kit
from tests.conftest import People, people
from tests.database_kit import sqlite_in
from tests.models_kit import ModelsWorld
from tests.tracking_kit import serving
from tests.unit.modelserver.modelserver_kit import constant, until
from typer.testing import CliRunner, Result

from nacre.cli.app import out
from nacre.cli.commands.models import parse_input, split_reference
from nacre.cli.main import app
from nacre.clock import FixedClock
from nacre.control.loop import LoopThread
from nacre.control.model_server import ModelServer
from nacre.control.serving import Grants, ServingLoop
from nacre.errors import Conflict, InvalidSpec, NacreError, NotFound, RequestError
from nacre.ports.engines import NodeFacts
from nacre.schema.serving import TokenGrant
from nacre.services.endpoint_calls import EndpointCalls
from nacre.services.endpoint_trials import EndpointTrials
from nacre.services.tokens import Tokens
from nacre.testing.engines import GIB, FakeEngine
from nacre.testing.jobs import JobsWorld

SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
}
MEASURED = {
    "samples": 4,
    "accuracy": 0.75,
    "precision": 0.8,
    "recall": 0.7,
    "f1": 0.72,
    "labels": ["cat", "dog"],
    "confusion": [[2, 0], [1, 1]],
    "per_class": {},
}


class Editors:
    """Grants the token ``editor``."""

    def grants(self) -> dict[str, TokenGrant]:
        return {hashlib.sha256(b"editor").hexdigest(): TokenGrant(projects=["vision"])}


@dataclass
class Stage:
    world: ModelsWorld
    people: People
    folder: Path
    server: ModelServer

    def finish(self, kind: str, files: dict[str, bytes]) -> None:
        """Let the newest job of a kind leave these files and end."""
        jobs = self.world.jobs.jobs.list(self.people.viewer, active=True).items
        self.world.finish(self.people.editor, next(j.id for j in jobs if j.kind == kind), files)
        self.world.loop.run_once()

    def converted(self, number: float) -> None:
        onnx = constant(self.folder / "constant.onnx", number).read_bytes()
        report = json.dumps({"signature": SIGNATURE}).encode()
        self.finish("convert", {"model.onnx": onnx, "conversion.json": report})


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    database, clock = sqlite_in(tmp_path), FixedClock()
    persons = people.__wrapped__(database, clock)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = ModelServer(tmp_path / "serving", "127.0.0.1", port)
    engine = FakeEngine([NodeFacts("local", 64.0, 256 * GIB)])
    jobs = JobsWorld(database, clock, tmp_path, engine)
    world = ModelsWorld(jobs, f"http://127.0.0.1:{port}")
    monkeypatch.setattr(world, "observe", server.status)
    world.endpoints._observed = server.status
    settling = world.endpoints.settling
    grants, trials = Grants(server, settling, cast("Tokens", Editors())), EndpointTrials(clock, settling)
    loop = LoopThread(ServingLoop(server, grants, settling, trials, jobs.signals), jobs.signals)
    world.calls = EndpointCalls(world.endpoints, server)
    with serving(models_kit.app_of(world, persons)) as url:
        for name, value in {"URL": url, "TOKEN": "editor", "PROJECT": "vision"}.items():
            monkeypatch.setenv(f"NACRE_{name}", value)
        monkeypatch.setattr(out, "width", 200)
        monkeypatch.chdir(tmp_path)
        loop.start()
        yield Stage(world, persons, tmp_path, server)
        assert loop.stop()
    if (status := server.status()) is not None:
        os.kill(status.pid, signal.SIGKILL)
    if server._process is not None:
        server._process.wait(30)
    database.close()


def nacre(*arguments: str, answer: str | None = None, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=answer, catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return result


def as_json(*arguments: str) -> Any:
    return json.loads(nacre("-o", "json", *arguments).stdout)


def counted(stats: dict[str, Any]) -> set[float]:
    """Requests up to each interval that was watched."""
    rates = [rate for rate in stats["requests_per_s"] if rate is not None]
    return {round(sum(rates[: at + 1]) * stats["interval_s"]) for at in range(len(rates))}


def test_from_a_run_to_an_answer(stage: Stage) -> None:
    job = stage.world.trained(stage.people.editor, {"model.pt": b"weights"})
    shown = nacre(
        "model", "register", f"{job.name}:model.pt", "-n", "digits", "--no-wait", "--alias", "best"
    )
    assert "digits/1 (best)  pytorch, 7 bytes" in shown.output
    stage.converted(7)
    shown = nacre("model", "show", "digits@best").output
    assert "signature  x: FP32[-1,1] → y: FP32[-1,1]" in shown
    assert f"from       {job.name}:model.pt" in shown
    assert "nacre deploy digits --name digits" in shown
    assert "digits" in nacre("model", "ls").output

    stage.world.dataset(stage.people.editor, "digits-test", {"t.npz": b"1"})
    nacre("evaluate", "digits", "--data", "digits-test", "--no-wait")
    stage.finish("evaluate", {"evaluation.json": json.dumps(MEASURED).encode()})
    assert "digits-test@1: accuracy 0.7500, precision 0.8000" in nacre("model", "show", "digits/1").output
    assert as_json("model", "show", "digits/1")["evaluations"][0]["confusion"] == [[2, 0], [1, 1]]

    assert "0.7500 on digits-test@1" in nacre("model", "versions", "digits").output
    assert as_json("model", "ls")[0]["best"] == {"version": 1, "data": "digits-test@1", "accuracy": 0.75}

    shown = nacre("deploy", "digits@best", "--name", "ask")
    assert "costs 0.0260 USD an hour" in shown.stderr
    assert "ask  ready  digits/1, cpu.small" in shown.stdout
    assert "nacre predict ask input.json" in shown.stdout
    Path("list.json").write_text("[[1], [2]]")
    shown = nacre("predict", "ask", "list.json").stdout
    assert shown == "y: FP32[2, 1]\n[7.0, 7.0]\n"
    assert nacre("predict", "ask", "-", answer='{"x": [5]}').stdout == "y: FP32[1, 1]\n[7.0]\n"
    whole = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [3]}]}
    Path("request.json").write_text(json.dumps(whole))
    assert as_json("predict", "ask", "request.json")["outputs"][0]["data"] == [7.0]
    until(lambda: as_json("endpoint", "show", "ask")["requests"] == 3, "the requests are counted")
    assert "requests   3 (0 errors" in nacre("endpoint", "show", "ask").output
    assert "/endpoints/vision/ask" in nacre("endpoint", "ls").output
    assert nacre("predict", "ask", "list.json", "--via-server").stdout == "y: FP32[2, 1]\n[7.0, 7.0]\n"
    answer = as_json("predict", "ask", "list.json", "--via-server")
    assert (answer["model_name"], answer["model_version"]) == ("digits", "1")
    assert 0 < answer["parameters"]["took_ms"] < 10_000
    until(lambda: 5 in counted(as_json("endpoint", "stats", "ask")), "an interval has all of them")
    assert "5 requests, 0 errors since" in nacre("endpoint", "stats", "ask").output

    with pytest.raises(Conflict, match="nacre undeploy ask"):
        nacre("model", "delete", "digits", "-y")
    nacre("undeploy", "ask", "-y")
    assert "no endpoints yet" in nacre("endpoint", "ls").output
    nacre("model", "pull", "digits", "pulled")
    nacre("model", "pull", "digits", "onnx", "--onnx")
    assert Path("pulled/model.pt").read_bytes() == b"weights"
    assert Path("onnx/model.onnx").read_bytes() == Path("constant.onnx").read_bytes()
    nacre("model", "pull", "digits@best", "--zip", "digits.zip")
    with zipfile.ZipFile("digits.zip") as archive:
        assert archive.testzip() is None
        assert archive.read("digits-1/model.pt") == b"weights"
        assert archive.read("digits-1/onnx/model.onnx") == Path("constant.onnx").read_bytes()
    with pytest.raises(RequestError, match=r"digits\.zip is there already"):
        nacre("model", "pull", "digits", "--zip", "digits.zip")
    with pytest.raises(NotFound):
        nacre("model", "pull", "digits/9", "--zip", "other.zip")
    assert sorted(p.name for p in Path().glob("*.zip*")) == ["digits.zip"]
    nacre("model", "unalias", "digits@best")
    nacre("model", "delete", "digits/1", "-y")
    assert as_json("model", "ls")[0]["versions"] == []
    nacre("model", "delete", "digits", "-y")
    assert "no models yet" in nacre("model", "ls").output


def test_what_an_endpoint_cannot_answer_is_said(stage: Stage) -> None:
    job = stage.world.trained(stage.people.editor, {"model.pt": b"w"})
    nacre("model", "register", job.name, "-n", "digits", "--no-wait")
    stage.converted(1)
    nacre("deploy", "digits")
    Path("wrong.json").write_text("[[1, 2], [3, 4]]")
    Path("text.json").write_text('[["a"]]')
    Path("broken.json").write_text("{")
    Path("nan.json").write_text("[[NaN]]")
    for file, error, said in (
        ("wrong.json", InvalidSpec, r"x has shape \[2, 2\]: the model takes FP32\[-1, 1\]"),
        ("text.json", RequestError, "endpoint digits answered 400: .*FP32"),
        ("broken.json", InvalidSpec, "broken.json is not JSON"),
        ("nan.json", InvalidSpec, "cannot be written as JSON"),
        ("gone.json", RequestError, "cannot read gone.json: No such file"),
        (".", RequestError, r"cannot read \.: Is a directory"),
    ):
        with pytest.raises(error, match=said):
            nacre("predict", "digits", file)
    for file, error, said in (
        ("text.json", InvalidSpec, "data of input 'x'"),
        ("nan.json", InvalidSpec, "cannot be written as JSON"),
    ):
        with pytest.raises(error, match=said):
            nacre("predict", "digits", file, "--via-server")
    with pytest.raises(NotFound, match="nacre endpoint ls"):
        nacre("predict", "nothing", "wrong.json")


def test_a_failed_conversion_or_load_exits_with_1(stage: Stage) -> None:
    job = stage.world.trained(stage.people.editor, {"model.pt": b"w"})
    nacre("model", "register", job.name, "-n", "digits", "--no-wait")
    stage.finish("convert", {})
    shown = nacre("model", "show", "digits", "--wait").output
    assert "ONNX       failed: the converter ended without a model.onnx" in shown
    with pytest.raises(Conflict, match="nacre model convert digits/1"):
        nacre("evaluate", "digits", "--data", "digits-test")
    with pytest.raises(Conflict, match="its conversion is failed"):
        nacre("deploy", "digits", "--runtime", "onnx")
    with pytest.raises(RequestError, match="digits/1 has no ONNX form: failed"):
        nacre("model", "pull", "digits", "--onnx")
    stage.world.models.convert(stage.people.editor, "digits", "1")
    report = json.dumps({"signature": SIGNATURE}).encode()
    stage.finish("convert", {"model.onnx": b"not one", "conversion.json": report})
    with pytest.raises(
        Conflict, match=r"revision 1 of endpoint digits has failed: .* is not an ONNX model"
    ):
        nacre("deploy", "digits")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("model", "register", "r:m.pt", "-n", "d", "--framework", "caffe"), "--framework: .*pytorch"),
        (("model", "register", "r:m.pt", "-n", "d", "--alias", "Not A Name"), "--alias: .*is not an alias"),
        (("model", "register", "r:m.pt", "-n", "d", "--input", "x"), r"write it like x:FP32\[-1"),
        (("model", "show", "digits/"), "write name/3 or name@alias"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_a_sentence(
    stage: Stage, arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(NacreError, match=said):
        nacre(*arguments)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("digits", ("digits", "latest")),
        ("digits/3", ("digits", "3")),
        ("digits@best", ("digits", "best")),
        ("models:/digits/3", ("digits", "3")),
        ("models:/digits@best", ("digits", "best")),
    ],
)
def test_references(text: str, found: tuple[str, str]) -> None:
    assert split_reference(text) == found


def test_inputs() -> None:
    found = parse_input("x: fp32[-1, 1, 28, 28]")
    assert (found.name, found.datatype, found.shape) == ("x", "FP32", [-1, 1, 28, 28])
    with pytest.raises(InvalidSpec, match="is no datatype"):
        parse_input("x:FLOAT[1]")
