"""What endpoints ask of the model server, what they take over from it, and what they cost."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.usage import UsageRow
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.ports.blobs import blob_path
from nacre.schema.endpoints import Endpoint
from nacre.schema.serving import Routes, ServedRevisionState, ServedState, ServingStatus


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    found = models_kit.world(database, clock, tmp_path)
    found.ready(people.editor)
    return found


def get(world: ModelsWorld, people: People) -> Endpoint:
    return world.endpoints.get(people.viewer, "ask")


def states(endpoint: Endpoint) -> list[tuple[int, str]]:
    """Revisions, oldest first."""
    return [(r.number, r.state) for r in reversed(endpoint.revisions)]


def shares(routes: Routes, name: str = "ask") -> dict[int, int]:
    """What the model server is told: revision to percent."""
    return {one.revision: one.traffic for one in routes.endpoints[f"vision/{name}"].revisions}


def usage(world: ModelsWorld) -> list[UsageRow]:
    with world.jobs.db.read() as session:
        mine = select(UsageRow).where(UsageRow.kind == "endpoint").order_by(UsageRow.id)
        return list(session.scalars(mine))


class TestDeploy:
    def test_a_new_endpoint_starts(self, world: ModelsWorld, people: People) -> None:
        found = world.deploy(people.editor)
        assert (found.state, found.project, found.name, found.user) == (
            "starting",
            "vision",
            "ask",
            "editor",
        )
        assert (found.model, found.version, found.type) == ("digits", 1, "cpu.small")
        assert found.url == "http://127.0.0.1:7375/endpoints/vision/ask"
        assert found.signature is not None
        assert found.price_per_hour > 0
        assert states(found) == [(1, "starting")]

    def test_the_model_server_is_told_where_the_file_lies(self, world: ModelsWorld, people: People) -> None:
        world.deploy(people.editor)
        routes = world.endpoints.settling.wanted_routes()
        assert routes.generation == 0
        (served,) = routes.endpoints["vision/ask"].revisions
        assert (served.revision, served.model, served.model_version) == (1, "digits", 1)
        assert (served.runtime, served.traffic, served.shadow, served.sample) == ("onnx", 100, 0, None)
        assert served.signature is not None
        assert served.signature.model_dump() == models_kit.SIGNATURE
        assert served.digest is not None
        path = Path(served.path)
        assert path == blob_path(world.jobs.ledger.root, served.digest)
        assert path.read_bytes() == b"onnx"

    def test_an_alias_is_followed(self, world: ModelsWorld, people: People) -> None:
        world.register(people.editor, alias="best")
        with pytest.raises(Conflict, match=r"digits/2 is not ready to serve.*converting"):
            world.deploy(people.editor, version="best")
        assert world.endpoints.list(people.viewer).items == []

    @pytest.mark.parametrize("name", ["Bad Name", "../x", "", "a/b"])
    def test_a_name_that_is_none_is_refused(self, world: ModelsWorld, people: People, name: str) -> None:
        with pytest.raises(InvalidSpec, match="is not a name"):
            world.deploy(people.editor, name)

    def test_what_is_not_there_is_named(self, world: ModelsWorld, people: People) -> None:
        with pytest.raises(NotFound, match="nothing"):
            world.deploy(people.editor, model="nothing")
        with pytest.raises(NotFound, match=r"cpu\.enormous"):
            world.deploy(people.editor, type="cpu.enormous")
        with pytest.raises(NotFound, match="nacre endpoint ls"):
            world.endpoints.get(people.viewer, "nothing")
        with pytest.raises(NotFound, match="nacre endpoint ls"):
            world.endpoints.delete(people.editor, "nothing")

    def test_a_gpu_that_would_not_be_used_is_not_sold(self, world: ModelsWorld, people: People) -> None:
        with pytest.raises(InvalidSpec, match=r"runs on CPUs, and gpu\.small has a GPU"):
            world.deploy(people.editor, type="gpu.small", runtime="onnx")
        assert usage(world) == []


class TestStates:
    def test_the_model_servers_word_makes_it_ready(self, world: ModelsWorld, people: People) -> None:
        world.deploy(people.editor)
        world.serve()
        found = get(world, people)
        assert (found.state, states(found)) == ("ready", [(1, "ready")])

    def test_the_old_revision_answers_while_the_next_one_loads(
        self, world: ModelsWorld, people: People
    ) -> None:
        world.deploy(people.editor)
        world.serve()
        world.ready(people.editor, onnx=b"onnx 2")
        found = world.deploy(people.editor)
        assert (found.state, states(found)) == ("updating", [(1, "ready"), (2, "starting")])
        world.serve()
        found = get(world, people)
        assert (found.state, states(found)) == ("ready", [(1, "retired"), (2, "ready")])
        assert found.version == 2

    def test_a_load_that_failed_says_why(self, world: ModelsWorld, people: People) -> None:
        world.deploy(people.editor)
        world.serve(failing="model.onnx is not an ONNX model")
        found = get(world, people)
        assert (found.state, found.reason) == ("failed", "load_failed")
        assert found.message == "model.onnx is not an ONNX model"
        assert states(found) == [(1, "failed")]
        assert found.revisions[0].message == found.message
        again = world.deploy(people.editor)
        assert (again.state, again.reason, again.message) == ("starting", None, None)
        world.serve()
        assert states(get(world, people)) == [(1, "failed"), (2, "ready")]

    def test_a_failed_swap_leaves_the_old_revision_answering(
        self, world: ModelsWorld, people: People
    ) -> None:
        world.deploy(people.editor)
        world.serve()
        world.ready(people.editor, onnx=b"broken")
        world.deploy(people.editor)
        routes = world.serve(2, failing="broken")
        found = get(world, people)
        assert (found.state, found.reason) == ("ready", "load_failed")
        assert found.message == "revision 1 answers; revision 2 has failed: broken"
        assert states(found) == [(1, "ready"), (2, "failed")]
        assert (found.version, found.revisions[1].traffic, found.revisions[0].traffic) == (1, 100, 0)
        # a model server that is started anew loads what answered, not what cannot be loaded
        assert shares(routes) == {1: 100}
        world.serve()
        assert (get(world, people).state, states(get(world, people))) == ("ready", states(found))
        assert get(world, people).message == found.message
        world.deploy(people.editor)
        world.serve()
        assert (get(world, people).reason, get(world, people).message) == (None, None)
        assert states(get(world, people)) == [(1, "retired"), (2, "failed"), (3, "ready")]

    def test_the_word_on_a_revision_is_not_taken_for_a_later_one(
        self, world: ModelsWorld, people: People
    ) -> None:
        world.deploy(people.editor)
        applied = world.endpoints.settling.wanted_routes()
        world.deploy(people.editor)
        failed = ServedState(revisions=[ServedRevisionState(revision=1, state="failed", message="broken")])
        status = ServingStatus(generation=1, pid=1, endpoints={"vision/ask": failed})
        world.endpoints.settling.settle(applied, status)
        found = get(world, people)
        assert (found.state, found.message) == ("starting", None)
        assert states(found) == [(1, "starting"), (2, "starting")]

    def test_nor_for_another_endpoint_of_the_same_name(self, world: ModelsWorld, people: People) -> None:
        world.deploy(people.editor)
        applied = world.endpoints.settling.wanted_routes()
        world.ready(people.editor, "other", onnx=b"other")
        world.endpoints.delete(people.editor, "ask")
        world.deploy(people.editor, model="other")
        ready = ServedState(revisions=[ServedRevisionState(revision=1, state="ready")])
        status = ServingStatus(generation=1, pid=1, endpoints={"vision/ask": ready})
        assert not world.endpoints.settling.settle(applied, status)
        assert get(world, people).state == "starting"

    def test_a_revision_that_was_overtaken_while_it_loaded(
        self, world: ModelsWorld, people: People
    ) -> None:
        world.deploy(people.editor)
        world.serve()
        world.deploy(people.editor)
        world.deploy(people.editor)
        world.serve(3, failing="broken")
        assert states(get(world, people)) == [(1, "ready"), (2, "retired"), (3, "failed")]

    def test_settling_again_changes_nothing(self, world: ModelsWorld, people: People) -> None:
        world.deploy(people.editor)
        world.serve()
        before = get(world, people)
        world.serve()
        assert get(world, people) == before

    def test_a_model_server_that_cannot_start_is_told(self, world: ModelsWorld, people: People) -> None:
        world.deploy(people.editor)
        world.endpoints.settling.hold_up("the model server did not start: the port is taken")
        found = get(world, people)
        assert (found.state, found.reason) == ("starting", "model_server_unavailable")
        assert "port is taken" in (found.message or "")
        world.serve()
        assert (get(world, people).state, get(world, people).message) == ("ready", None)

    def test_what_the_model_server_counts_is_shown(self, world: ModelsWorld, people: People) -> None:
        world.deploy(people.editor)
        one = ServedRevisionState(
            revision=1, state="ready", requests=5, errors={"500": 1}, in_flight=2, memory_bytes=7
        )
        counted = ServedState(revisions=[one], requests=5, errors=1, latency_p50_ms=0.5)
        world.told = ServingStatus(generation=1, pid=1, endpoints={"vision/ask": counted})
        found = get(world, people)
        assert (found.requests, found.errors, found.latency_p50_ms) == (5, 1, 0.5)
        (revision,) = found.revisions
        assert (revision.requests, revision.errors, revision.in_flight) == (5, 1, 2)
        assert (revision.memory_bytes, revision.waiting) == (7, 0)
        world.told = None
        assert get(world, people).requests is None


class TestUsage:
    def test_one_allocation_is_one_record(
        self, world: ModelsWorld, people: People, clock: FixedClock
    ) -> None:
        endpoint = world.deploy(people.editor)
        world.serve()
        clock.advance(1800)
        world.deploy(people.editor)
        world.serve()
        clock.advance(1800)
        assert get(world, people).cost == endpoint.price_per_hour
        world.endpoints.delete(people.editor, "ask")
        (record,) = usage(world)
        assert record.ended_at is not None
        assert (record.ended_at - record.started_at).total_seconds() == 3600
        assert (record.subject_id, record.subject_name) == (endpoint.id, "ask")

    def test_another_shape_closes_one_record_and_opens_the_next(
        self, world: ModelsWorld, people: People, clock: FixedClock
    ) -> None:
        other = next(t.name for t in world.jobs.prices.types() if not t.gpu and t.name != "cpu.small")
        world.deploy(people.editor)
        clock.advance(60)
        assert world.deploy(people.editor, type=other).type == other
        first, second = usage(world)
        assert first.ended_at == second.started_at == clock.now()
        assert second.ended_at is None
        clock.advance(60)
        world.endpoints.delete(people.editor, "ask")
        assert [r.ended_at for r in usage(world)] == [first.ended_at, clock.now()]

    def test_a_refused_deployment_costs_nothing(self, world: ModelsWorld, people: People) -> None:
        world.register(people.editor)
        with pytest.raises(Conflict):
            world.deploy(people.editor)
        assert usage(world) == []

    def test_a_deployment_after_the_end_is_another_allocation(
        self, world: ModelsWorld, people: People
    ) -> None:
        ids = []
        for _ in range(2):
            ids.append(world.deploy(people.editor).id)
            world.endpoints.delete(people.editor, "ask")
        assert [r.subject_id for r in usage(world)] == ids
        assert all(r.ended_at for r in usage(world))


def test_an_undeployed_endpoint_is_served_no_more(world: ModelsWorld, people: People) -> None:
    world.deploy(people.editor)
    world.deploy(people.editor, "other")
    assert [e.name for e in world.endpoints.list(people.viewer).items] == ["other", "ask"]
    world.endpoints.delete(people.editor, "ask")
    assert set(world.endpoints.settling.wanted_routes().endpoints) == {"vision/other"}
    assert [e.name for e in world.endpoints.list(people.viewer).items] == ["other"]
