"""What changes of an endpoint, from the command line: shares, roll-backs, settings; and its usage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests import models_kit
from tests.conftest import People, people
from tests.database_kit import sqlite_in
from tests.models_kit import ModelsWorld
from tests.tracking_kit import serving
from typer.testing import CliRunner, Result

from nacre.cli.app import client, err, out
from nacre.cli.commands.endpoint_changes import _days, _schedule, _shares
from nacre.cli.commands.endpoints import _replica_line, _Waited, settled
from nacre.cli.main import app
from nacre.clock import FixedClock, epoch_ms
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.endpoints import Endpoint, EndpointReplica, ReplicaState
from nacre.schema.serving import ServedUsage


class Desk:
    """A project with an endpoint ``ask``, and its commands."""

    def __init__(self, world: ModelsWorld, persons: People) -> None:
        self.world, self.people = world, persons
        world.ready(persons.editor)
        self.run("deploy", "digits/1", "--name", "ask", "--no-wait")
        world.serve()

    def run(self, *words: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result

    def json(self, *words: str) -> Any:
        return json.loads(self.run("-o", "json", *words).stdout)

    def answering(self) -> dict[int, int]:
        self.world.serve()
        found = self.json("endpoint", "show", "ask")["revisions"]
        return {one["number"]: one["answering"] for one in found if one["answering"]}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    database, clock = sqlite_in(tmp_path), FixedClock()
    persons = people.__wrapped__(database, clock)
    world = models_kit.world(database, clock, tmp_path)
    with serving(models_kit.app_of(world, persons)) as url:
        for name, value in {"URL": url, "TOKEN": "editor", "PROJECT": "vision"}.items():
            monkeypatch.setenv(f"NACRE_{name}", value)
        monkeypatch.setattr(out, "width", 200)
        yield Desk(world, persons)
    database.close()


def test_from_a_canary_to_all_and_back(desk: Desk) -> None:
    shown = desk.run("deploy", "digits@1", "--name", "ask", "--traffic", "10", "--no-wait").stdout
    assert "ask  updating  digits/1" in shown
    assert "revision 2 digits/1 starting, 10 % (now 0 %)" in shown
    assert "revision 1 digits/1 ready, 90 % (now 100 %)" in shown
    assert desk.answering() == {1: 90, 2: 10}
    assert (
        "next: nacre endpoint promote ask, or nacre rollback ask"
        in desk.run("endpoint", "show", "ask").stdout
    )
    assert (
        "revision 2 gets no requests, or the"
        in desk.run("endpoint", "stats", "ask", "--revision", "2").stdout
    )
    assert "grpc       127.0.0.1:7375" in desk.run("endpoint", "show", "ask").stdout
    desk.run("endpoint", "traffic", "ask", "1=50", "2=50", "--no-wait")
    assert desk.answering() == {1: 50, 2: 50}
    desk.run("endpoint", "promote", "ask", "--no-wait")
    assert desk.answering() == {2: 100}
    desk.run("rollback", "ask", "--no-wait")
    assert desk.answering() == {1: 50, 2: 50}
    desk.run("rollback", "ask", "--to", "1", "--no-wait")
    assert desk.answering() == {1: 100}
    desk.run("deploy", "digits", "--name", "ask", "--shadow", "20", "--no-wait")
    assert desk.answering() == {1: 100}
    assert "revision 3 digits/1 ready, copies of 20 %" in desk.run("endpoint", "show", "ask").stdout
    desk.run("endpoint", "traffic", "ask", "1=100", "--shadow", "3=100", "--no-wait")
    assert desk.json("endpoint", "show", "ask")["revisions"][0]["shadow"] == 100


def test_what_was_asked_for_and_failed_is_told_although_the_endpoint_answers(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.world.ready(desk.people.editor, onnx=b"broken")
    desk.run("deploy", "digits@2", "--name", "ask", "--no-wait")
    desk.world.serve(2, failing="no weights\nTraceback")
    said = "revision 2 of endpoint ask has failed: no weights; revision 1 still answers$"
    with client() as nacre:
        with pytest.raises(Conflict, match=said):
            settled(nacre, "ask", 2)
        shown = capsys.readouterr().out
        assert "ask  ready: revision 1 answers; revision 2 has failed: no weights" in shown
        assert "revision 2 digits/2 failed: no weights" in shown
        assert "Traceback" not in shown
        with pytest.raises(Conflict, match="endpoint ask: revision 1 answers; revision 2 has failed"):
            nacre.endpoints.wait("ask")
        assert nacre.endpoints.wait("ask", revision=1).state == "ready"
        desk.run("rollback", "ask", "--to", "1", "--no-wait")
        desk.world.serve()
        assert nacre.endpoints.wait("ask").message is None
        desk.run("deploy", "digits@2", "--name", "alone", "--no-wait")
        desk.world.serve(1, failing="no weights")
        with pytest.raises(
            Conflict, match=r"revision 1 of endpoint alone .*: no weights; nothing answers$"
        ):
            nacre.endpoints.wait("alone", revision=1)
        with pytest.raises(Conflict, match=r"endpoint alone has failed: no weights$"):
            nacre.endpoints.wait("alone")


def test_what_makes_no_sense_is_refused(desk: Desk) -> None:
    for words, error, said in (
        (("endpoint", "traffic", "ask", "1=99"), InvalidSpec, "add up to 100, and 99 does not"),
        (("endpoint", "traffic", "ask", "1:100"), InvalidSpec, "write revision=percent, such as 3=10"),
        (("endpoint", "traffic", "ask", "1=101"), InvalidSpec, "is no share"),
        (("endpoint", "traffic", "ask", "7=100"), NotFound, "no revision 7"),
        (("endpoint", "promote", "nothing"), NotFound, "nacre endpoint ls"),
        (("rollback", "ask"), Conflict, "nothing to go back to"),
        (("endpoint", "set", "ask", "--min", "3"), InvalidSpec, "at least 3 and at most 1"),
        (("endpoint", "set", "ask", "--memory", "lots"), InvalidSpec, "--memory: .*is not a size"),
        (("endpoint", "set", "ask", "--schedule", "at night"), InvalidSpec, "is no schedule"),
        (("endpoint", "set", "ask", "--default", "colour"), InvalidSpec, "has no colour: it has min_rep"),
        (
            ("endpoint", "set", "ask", "--max-batch", "0"),
            InvalidSpec,
            "max_batch: .*greater than or equal to 1",
        ),
        (("endpoint", "set", "ask", "--cors", "app.example"), InvalidSpec, "such as https://app.example"),
        (("deploy", "digits", "-n", "ask", "--runtime", "wasm", "--no-wait"), InvalidSpec, "--runtime"),
    ):
        with pytest.raises(error, match=said):
            desk.run(*words)


def test_settings_change_one_by_one(desk: Desk) -> None:
    desk.run(
        *("endpoint", "set", "ask", "--max-batch", "8", "--memory", "1GB", "--cors", "https://a.example"),
        *("--timeout", "2.5", "--no-rollback", "--min", "0", "--idle", "10m"),
        *("--schedule", "mon-fri 08:00-20:00 1..4"),
    )
    shown = desk.run("endpoint", "show", "ask").stdout
    assert "set        min_replicas 0, idle_s 600.0, schedules (" in shown
    assert "max_batch 8, timeout_s 2.5, " in shown
    assert "cors_origins https://a.example, rollback (enabled False)" in shown
    found = desk.json("endpoint", "set", "ask", "--queue", "0", "--latency-factor", "3")
    settings, scaling = found["settings"], found["scaling"]
    assert (settings["max_batch"], settings["memory_bytes"], settings["queue"]) == (8, 2**30, 0)
    assert (settings["timeout_s"], settings["cors_origins"]) == (2.5, ["https://a.example"])
    assert (settings["rollback"]["enabled"], settings["rollback"]["latency_factor"]) == (False, 3)
    assert (scaling["min_replicas"], scaling["idle_s"]) == (0, 600)
    assert scaling["schedules"][0]["days"] == [0, 1, 2, 3, 4]
    found = desk.json(
        *("endpoint", "set", "ask", "--default", "max_batch", "--default", "rollback", "--cors", ""),
        *("--schedule", "", "--rollback"),
    )
    assert found["settings"]["max_batch"] is None
    assert found["settings"]["rollback"]["latency_factor"] == 2
    assert (found["settings"]["cors_origins"], found["scaling"]["schedules"]) == ([], [])
    assert found["settings"]["timeout_s"] == 2.5


def test_requests_are_shown_by_day(desk: Desk) -> None:
    assert "no endpoint answered anything yet" in desk.run("usage", "requests").stdout
    world = desk.world
    line = ServedUsage(
        time_ms=epoch_ms(world.jobs.clock.now()),
        endpoint="vision/ask",
        revision=1,
        requests=1200,
        errors=3,
        samples=2400,
        seconds=90.5,
    )
    folder = world.serving / "usage"
    folder.mkdir(parents=True)
    (folder / "4194305-1.jsonl").write_text(line.model_dump_json() + "\n")
    assert world.endpoint_usage.book() == 1
    shown = desk.run("usage", "requests").stdout
    assert "1200 requests, 1m 30s of request time" in shown
    assert "2026-01-01" in shown
    assert desk.json("usage", "requests", "--since", "2026-01-02")["lines"] == []


def test_words_of_shares_days_and_schedules() -> None:
    assert _shares(["2=90", "3=10%"]) == {2: 90, 3: 10}
    assert _days("mon-fri") == [0, 1, 2, 3, 4]
    assert _days("sat-mon,wed") == [0, 2, 5, 6]
    assert _schedule("22:00-06:00 0") == {
        "days": [0, 1, 2, 3, 4, 5, 6],
        "from_time": "22:00",
        "to_time": "06:00",
        "min_replicas": 0,
        "max_replicas": 1,
    }
    with pytest.raises(InvalidSpec, match="are no days"):
        _days("someday")


def test_a_replica_tells_what_it_waits_for_and_how_long_it_took() -> None:
    now = FixedClock().now()
    waits = EndpointReplica(
        id="epr_1", state=ReplicaState.QUEUED, message="waits for 1 cpu", created_at=now
    )
    assert _replica_line(waits) == "epr_1 queued: waits for 1 cpu"
    ready = EndpointReplica(id="epr_2", state=ReplicaState.READY, created_at=now, cold_start_s=5.51)
    assert _replica_line(ready) == "epr_2 ready, started in 5.5 s"
    failed = EndpointReplica(
        id="epr_3", state=ReplicaState.FAILED, message="error: no weights\nTraceback", created_at=now
    )
    assert _replica_line(failed) == "epr_3 failed: error: no weights"


def test_what_a_new_revision_waits_for_is_said_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint.model_validate(desk.json("endpoint", "show", "ask"))
    waits = EndpointReplica(
        id="rep_1",
        state=ReplicaState.QUEUED,
        message="waits for 1 cpu:\n1 of 2 is free",
        created_at=FixedClock().now(),
    )
    revision = endpoint.revisions[0].model_copy(update={"number": 7, "replicas": [waits]})
    told: list[str] = []
    monkeypatch.setattr(err, "print", told.append)
    waited = _Waited(7)
    waited(endpoint)
    for _ in range(3):
        waited(endpoint.model_copy(update={"revisions": [revision]}))
    assert told == ["[dim]waits for 1 cpu:[/dim]"]
