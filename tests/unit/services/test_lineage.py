"""Lineage: from data and environments to what is served, both ways."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import event
from tests.conftest import People
from tests.models_kit import ModelsWorld, world

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.jobs import JobRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.errors import InvalidSpec, NotFound
from nacre.schema.access import Role
from nacre.schema.lineage import LineageGraph
from nacre.schema.models import EvaluationCreate
from nacre.services import lineage
from nacre.services.lineage import Lineages


@pytest.fixture
def made(database: Database, clock: FixedClock, tmp_path: Path, people: People) -> ModelsWorld:
    """``digits@1`` and ``@2``; job ``first`` trained on 1 and ``second`` on 2; ``net/1`` of the first,
    evaluated on ``held@1`` and served as ``ask``."""
    found = world(database, clock, tmp_path)
    me = people.editor
    for content in (b"1", b"2"):
        found.dataset(me, "digits", {"a": content})
    found.dataset(me, "held", {"x.npz": b"x"})
    for name, ref in (("first", "digits@1"), ("second", "digits@2")):
        found.trained(me, {"model.pt": name.encode()}, name=name, inputs={"train": ref})
    found.convert(me, found.register(me, "net", run="first"))
    found.evaluations.create(me, "net", "1", EvaluationCreate(data="held@1"))
    found.deploy(me, model="net")
    return found


def graph(made: ModelsWorld, caller: Caller, subject: str) -> LineageGraph:
    found = Lineages(made.jobs.db).get(caller, subject)
    ids = {node.id for node in found.nodes}
    assert ids.issuperset(found.subject)
    assert all(first in ids and second in ids for first, second in found.edges)
    assert len(ids) == len(found.nodes)
    return found


def labels(found: LineageGraph) -> set[str]:
    return {f"{node.kind} {node.label}" for node in found.nodes}


ALL_OF_FIRST = {
    "data digits@1",
    "environment base",
    "job first",
    "run first",
    "model net/1",
    "evaluation net/1 on held@1",
    "data held@1",
    "endpoint ask",
}


class TestBothWays:
    def test_of_a_model_version(self, made: ModelsWorld, people: People) -> None:
        found = graph(made, people.viewer, "model:net/1")
        assert labels(found) == ALL_OF_FIRST
        named = {node.id: node.label for node in found.nodes}
        assert {(named[first], named[second]) for first, second in found.edges} == {
            ("digits@1", "first"),
            ("base", "first"),
            ("first", "first"),
            ("first", "net/1"),
            ("net/1", "net/1 on held@1"),
            ("held@1", "net/1 on held@1"),
            ("net/1", "ask"),
        }
        assert not found.cut

    def test_from_the_middle_it_is_the_same(self, made: ModelsWorld, people: People) -> None:
        for subject in ("job:first", "run:first", "model:net", "model:net@latest", "model:net/latest"):
            assert labels(graph(made, people.viewer, subject)) == ALL_OF_FIRST

    def test_of_data(self, made: ModelsWorld, people: People) -> None:
        first = graph(made, people.viewer, "data:digits/1")
        assert labels(first) == ALL_OF_FIRST - {"environment base"}
        second = graph(made, people.viewer, "data:digits@2")
        assert labels(second) == {"data digits@2", "job second", "run second"}
        both = graph(made, people.viewer, "data:digits")
        assert set(both.subject) == {"data:digits/1", "data:digits/2"}
        assert labels(both) == labels(first) | labels(second)
        held = graph(made, people.viewer, "data:held/latest")
        assert labels(held) == {"data held@1", "evaluation net/1 on held@1", "model net/1"}

    def test_of_an_endpoint_and_an_environment(self, made: ModelsWorld, people: People) -> None:
        assert labels(graph(made, people.viewer, "endpoint:ask")) == ALL_OF_FIRST - {
            "evaluation net/1 on held@1",
            "data held@1",
        }
        found = labels(graph(made, people.viewer, "environment:base"))
        assert {"job first", "job second", "model net/1", "endpoint ask"} <= found
        assert "data digits@1" not in found

    def test_of_an_evaluation(self, made: ModelsWorld, people: People) -> None:
        one = next(n for n in graph(made, people.viewer, "model:net/1").nodes if n.kind == "evaluation")
        found = graph(made, people.viewer, one.id)
        assert labels(found) == ALL_OF_FIRST - {"endpoint ask"}
        assert (one.name, one.version) == ("net", 1)


class TestWhatIsGone:
    def test_deleted_data_is_still_named(self, made: ModelsWorld, people: People) -> None:
        made.jobs.datasets.delete_version(people.editor, "digits", "1")
        nodes = {node.label: node for node in graph(made, people.viewer, "model:net/1").nodes}
        assert nodes["digits@1"].state == "deleted"
        assert nodes["held@1"].state is None
        with pytest.raises(NotFound):
            graph(made, people.viewer, "data:digits/1")

    def test_states_are_the_things_own(self, made: ModelsWorld, people: People) -> None:
        states = {f"{n.kind} {n.label}": n.state for n in graph(made, people.viewer, "model:net/1").nodes}
        assert states["job first"] == "succeeded"
        assert states["environment base"] == "ready"
        assert states["model net/1"] is None


class TestBounds:
    def test_it_says_when_it_is_cut(
        self, made: ModelsWorld, people: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lineage, "MAX_NODES", 4)
        found = graph(made, people.viewer, "model:net/1")
        assert found.cut
        assert len(found.nodes) == 4

    def test_many_jobs_take_few_queries(self, made: ModelsWorld, people: People) -> None:
        with made.jobs.db.write() as session:
            pattern = session.query(JobRow).filter_by(name="first").one()
            columns = {c.name: getattr(pattern, c.name) for c in JobRow.__table__.columns}
            for number in range(500):
                session.add(JobRow(**columns | {"id": f"job_many{number:04}", "name": f"many{number}"}))
        asked: list[str] = []
        listener = lambda *call: asked.append(call[2])  # noqa: E731
        event.listen(made.jobs.db.engine, "before_cursor_execute", listener)
        try:
            found = graph(made, people.viewer, "data:digits/1")
        finally:
            event.remove(made.jobs.db.engine, "before_cursor_execute", listener)
        assert found.cut
        assert len(found.nodes) == lineage.MAX_NODES
        assert len(asked) < 60

    def test_a_name_elsewhere_in_a_record_is_no_input(self, made: ModelsWorld, people: People) -> None:
        made.jobs.submit(people.editor, name="other", env={"NOTE": "digits@1"})
        assert "job other" not in labels(graph(made, people.viewer, "data:digits/1"))


class TestRefusals:
    def test_what_is_no_subject(self, made: ModelsWorld, people: People) -> None:
        for subject in ("digits", "data:", ":x", "secret:x", "DATA:digits", "data"):
            with pytest.raises(InvalidSpec, match="is no subject"):
                graph(made, people.viewer, subject)

    def test_what_is_not_there(self, made: ModelsWorld, people: People) -> None:
        versions = ("data:digits/9", "data:digits/x", "data:digits/99999999999999", "model:net/9")
        kinds = ("data", "job", "run", "model", "endpoint", "environment", "evaluation")
        for subject in (*versions, "data:%", *(f"{kind}:absent" for kind in kinds)):
            with pytest.raises(NotFound):
                graph(made, people.viewer, subject)

    def test_another_project_sees_nothing(self, made: ModelsWorld, people: People) -> None:
        elsewhere = Caller("usr_x", "x", project=ProjectRef("prj_other", "other", Role.OWNER))
        run = next(n for n in graph(made, people.viewer, "job:first").nodes if n.kind == "run")
        for subject in ("data:digits", "job:first", run.id, "model:net", "model:net/1", "endpoint:ask"):
            with pytest.raises(NotFound):
                graph(made, elsewhere, subject)
        # the catalogue's environments are everybody's; what was done in them is not
        assert labels(graph(made, elsewhere, "environment:base")) == {"environment base"}
