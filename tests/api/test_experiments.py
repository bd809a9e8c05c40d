"""Experiments through the SDK and the API: free names, tags, a trash that their runs go along to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.mlflow_edge_kit import Edge, edge_on

from nacre.db.connect import Database
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.sdk.client import Client


@pytest.fixture
def edge(database: Database, tmp_path: Path) -> Iterator[Edge]:
    with edge_on(database, tmp_path) as found:
        yield found


@pytest.fixture
def sdk(edge: Edge) -> Iterator[Client]:
    with Client(edge.url, edge.token("ann"), project="ann") as client:
        yield client


@pytest.mark.parametrize("name", ["digits", "/Users/ann/Été 1?", "x" * 500, "a/restore", "7"])
def test_a_name_is_free_text(sdk: Client, name: str) -> None:
    made = sdk.experiments.create(name, tags={"team": "a"})
    for reference in (name, made.id):
        assert sdk.experiments.get(reference).name == name
    assert sdk.runs.create("r", experiment=name).experiment == name
    assert [(e.name, e.runs, e.tags) for e in sdk.experiments.list()] == [(name, 1, {"team": "a"})]


@pytest.mark.parametrize("name", ["", " ", "x" * 501])
def test_what_is_no_name(sdk: Client, name: str) -> None:
    with pytest.raises(InvalidSpec):
        sdk.experiments.create(name)


def test_rename_and_tags(sdk: Client) -> None:
    sdk.experiments.create("a", tags={"k": "1", "gone": "x"})
    sdk.experiments.create("b")
    changed = sdk.experiments.update("a", name="c", tags={"k": "2", "gone": None, "new": ""})
    assert (changed.name, changed.tags) == ("c", {"k": "2", "new": ""})
    with pytest.raises(Conflict, match="there already"):
        sdk.experiments.update("c", name="b")
    with pytest.raises(NotFound, match="nacre experiment ls"):
        sdk.experiments.get("a")


def test_the_trash_takes_the_runs_along_and_gives_them_back(sdk: Client) -> None:
    sdk.experiments.create("a")
    early, kept = (sdk.runs.create(name, experiment="a").id for name in ("early", "kept"))
    sdk.runs.delete(early)
    sdk.experiments.delete("a")
    assert sdk.experiments.list() == []
    assert [e.name for e in sdk.experiments.list(deleted=True)] == ["a"]
    assert sdk.runs.list() == []
    with pytest.raises(Conflict, match="already"):
        sdk.experiments.delete("a")
    with pytest.raises(Conflict, match="in the trash"):
        sdk.experiments.create("a")
    with pytest.raises(Conflict, match="in the trash"):
        sdk.runs.create("late", experiment="a")
    with pytest.raises(Conflict, match="its experiment a is in the trash"):
        sdk.runs.restore(kept)
    assert sdk.experiments.restore("a").runs in (1, 2)  # the clock of the test stands still
    assert sdk.runs.get(kept).deleted_at is None
    with pytest.raises(Conflict, match="not in the trash"):
        sdk.experiments.restore("a")


def test_the_default_keeps_its_name_and_comes_back_by_itself(sdk: Client) -> None:
    sdk.runs.create("first")
    with pytest.raises(InvalidSpec, match="keeps its name"):
        sdk.experiments.update("default", name="other")
    sdk.experiments.delete("default")
    assert sdk.runs.create("second").experiment == "default"
    assert [e.name for e in sdk.experiments.list()] == ["default"]


def test_an_experiment_in_which_a_job_runs_stays(edge: Edge, database: Database, sdk: Client) -> None:
    owner = edge.caller(edge.identity.sign_in("ann").secret)
    with database.write() as session:
        edge.runs.create_for_job(
            session,
            project_id=owner.project_id,
            user_id=owner.user_id,
            job_id="job_1",
            job_name="train",
            experiment="busy",
        )
    with pytest.raises(Conflict, match="nacre stop train"):
        sdk.experiments.delete("busy")
    assert sdk.experiments.get("busy").deleted_at is None


def test_others_do_not_see_them(edge: Edge, sdk: Client) -> None:
    number = sdk.experiments.create("secret").id
    with Client(edge.url, edge.token("bob"), project="bob") as other:
        assert other.experiments.list() == []
        for reference in ("secret", number):
            with pytest.raises(NotFound):
                other.experiments.get(reference)
