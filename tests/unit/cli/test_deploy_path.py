"""What ``nacre deploy`` makes of a path: files that are sent, a version, its conversion."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import SIGNATURE, ModelsWorld
from tests.tracking_kit import serving

from nacre.cli.commands.deploy_path import resolve
from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import InvalidSpec, NotFound, RequestError
from nacre.sdk.client import Client

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


@pytest.fixture
def client(
    world: ModelsWorld, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))
    with (
        serving(models_kit.app_of(world, people)) as url,
        Client(url, "editor", project="vision") as found,
    ):
        yield found


class Converting(threading.Thread):
    """Lets the first conversion job end as it shall, as soon as there is one."""

    def __init__(self, world: ModelsWorld, people: People, **end: object) -> None:
        super().__init__()
        self.world, self.people, self.end = world, people, end
        self.start()

    def run(self) -> None:
        jobs = self.world.jobs.jobs
        while not (found := jobs.list(self.people.viewer, active=True).items):
            threading.Event().wait(0.01)
        report = json.dumps({"signature": SIGNATURE}).encode()
        files = {} if self.end else {"model.onnx": b"o", "conversion.json": report}
        self.world.finish(self.people.editor, found[0].id, files, **self.end)
        self.world.loop.run_once()


def test_a_file_becomes_a_version_that_is_converted(
    client: Client, world: ModelsWorld, people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("net.onnx").write_bytes(b"onnx")
    Path("net.onnx.data").write_bytes(b"weights")
    Path("other.txt").write_bytes(b"no part of it")
    working = Converting(world, people)
    assert resolve(client, "net.onnx", None) == ("net", "1")
    working.join(20)
    found = client.models.files("net", "1")
    assert [f.path for f in found.files] == ["net.onnx", "net.onnx.data"]
    assert (found.version.conversion, found.version.lineage.run) == ("ready", None)
    said = capsys.readouterr().err
    assert "net.onnx is net/1" in said
    assert "converting to ONNX, job convert-net-1" in said
    assert resolve(client, "./net.onnx", "net") == ("net", "1"), "the same files make no other version"


def test_a_folder_is_the_one_model_in_it_or_a_whole(
    client: Client, world: ModelsWorld, people: People
) -> None:
    Path("exp").mkdir()
    Path("exp/model.onnx").write_bytes(b"onnx")
    Path("exp/log.txt").write_bytes(b"...")
    working = Converting(world, people)
    assert resolve(client, "exp", "digits") == ("digits", "1")
    working.join(20)
    assert [f.path for f in client.models.files("digits", "1").files] == ["model.onnx"]
    Path("exp/other.keras").write_bytes(b"k")
    with pytest.raises(InvalidSpec, match=r"several models \(model.onnx, other.keras\): name one"):
        resolve(client, "exp", "digits")
    Path("exp/__pycache__").mkdir()
    Path("exp/__pycache__/predict.pyc").write_bytes(b"c")
    Path("exp/predict.py").write_text("def predict(inputs): ...")
    assert resolve(client, "exp", "digits") == ("digits", "2")
    found = client.models.files("digits", "2")
    assert [f.path for f in found.files] == ["log.txt", "model.onnx", "other.keras", "predict.py"]
    assert found.version.framework == "custom"


def test_what_is_not_converted_is_not_deployed(client: Client, world: ModelsWorld, people: People) -> None:
    Path("net.onnx").write_bytes(b"onnx")
    working = Converting(world, people, reason="exit_nonzero", exit_code=2)
    with pytest.raises(RequestError, match="net/1 could not be converted to ONNX"):
        resolve(client, "net.onnx", None)
    working.join(20)


def test_what_may_run_as_it_is_goes_on_without_a_conversion(
    client: Client, world: ModelsWorld, people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("net.keras").write_bytes(b"keras")
    working = Converting(world, people, reason="exit_nonzero", exit_code=2)
    assert resolve(client, "net.keras", None) == ("net", "1")
    working.join(20)
    assert "it runs as it is, in replicas" in capsys.readouterr().err


def test_a_pickle_is_refused_with_what_to_do(client: Client) -> None:
    Path("net.joblib").write_bytes(b"\x80\x04.")
    with pytest.raises(InvalidSpec, match=r"is a pickle.*nacre model register RUN:PATH"):
        resolve(client, "net.joblib", None)


def test_names_of_models_are_not_taken_for_paths(
    client: Client, world: ModelsWorld, people: People
) -> None:
    assert resolve(client, "digits/3", None) == ("digits", "3")
    assert resolve(client, "digits@best", "ask") == ("digits", "best")
    world.ready(people.editor)
    Path("digits").mkdir()
    assert resolve(client, "digits", None) == ("digits", "latest")
    with pytest.raises(InvalidSpec, match=r"is not a model: no predict\.py"):
        resolve(client, "./digits", None)
    for gone in ("./nothing", "nothing.onnx", "/nothing"):
        with pytest.raises(NotFound, match="no file or folder"):
            resolve(client, gone, None)
