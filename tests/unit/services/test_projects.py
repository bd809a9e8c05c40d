"""Projects: who sees them, who owns them, when they can go."""

from __future__ import annotations

import contextlib
import threading

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, select
from tests.conftest import People
from tests.identity_kit import Identity, wire

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.usage import UsageRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.errors import Conflict, InvalidSpec, NacreError, NotFound, PermissionDenied
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.projects import MemberSet, ProjectCreate, ProjectUpdate, SecretSet
from nacre.services import projects as projects_module


@pytest.fixture
def identity(database: Database, clock: FixedClock) -> Identity:
    return wire(database, clock)


def role_of(caller: Caller) -> Role | None:
    assert caller.project is not None
    return caller.project.role


class TestEnter:
    @pytest.mark.parametrize("name", ["owner", "editor", "viewer"])
    def test_by_name_or_id_in_ones_role(self, identity: Identity, people: People, name: str) -> None:
        caller: Caller = getattr(people, name)
        expected = ProjectRef(people.project.id, "vision", Role(name))
        assert identity.projects.enter(caller, "vision").project == expected
        assert identity.projects.enter(caller, people.project.id).project == expected

    def test_a_foreign_project_looks_like_none(self, identity: Identity, people: People) -> None:
        assert identity.projects.enter(people.stranger, "vision").project == ProjectRef("", "vision", None)
        assert identity.projects.enter(people.owner, "nothing").project == ProjectRef("", "nothing", None)

    def test_membership_changes_are_seen_at_once(self, identity: Identity, people: People) -> None:
        enter, stranger = identity.projects.enter, people.stranger
        assert role_of(enter(stranger, "vision")) is None
        identity.projects.set_member(people.owner, "stranger", MemberSet(role=Role.VIEWER))
        assert role_of(enter(stranger, "vision")) is Role.VIEWER
        identity.projects.set_member(people.owner, "stranger", MemberSet(role=Role.EDITOR))
        assert role_of(enter(stranger, "vision")) is Role.EDITOR
        identity.projects.remove_member(people.owner, "stranger")
        assert role_of(enter(stranger, "vision")) is None


class TestProjects:
    def test_the_maker_owns_it(self, identity: Identity, people: People) -> None:
        body = ProjectCreate(name="speech", description="sounds")
        made = identity.projects.create(people.stranger, body)
        assert (made.name, made.description, made.network, made.role) == (
            "speech",
            "sounds",
            "none",
            Role.OWNER,
        )
        assert identity.projects.get(identity.projects.enter(people.stranger, "speech")) == made

    def test_names_are_unique(self, identity: Identity, people: People) -> None:
        with pytest.raises(Conflict, match="the name vision is taken"):
            identity.projects.create(people.stranger, ProjectCreate(name="vision"))

    @pytest.mark.parametrize("name", ["default", "all", "prj_1"])
    def test_reserved_names(self, identity: Identity, people: People, name: str) -> None:
        with pytest.raises(InvalidSpec, match="reserved"):
            identity.projects.create(people.stranger, ProjectCreate(name=name))

    def test_numbers_are_never_used_again(self, identity: Identity, people: People) -> None:
        def make(name: str) -> int:
            made = identity.projects.create(people.owner, ProjectCreate(name=name))
            with identity.db.read() as session:
                return identity.projects.by_id(session, made.id).number

        assert make("a") == 2
        identity.projects.delete(identity.projects.enter(people.owner, "a"))
        assert make("b") == 3

    def test_made_at_the_same_moment_each_gets_its_number(self, identity: Identity, people: People) -> None:
        made: list[str] = []
        refused: list[NacreError] = []

        def make(name: str) -> None:
            try:
                made.append(identity.projects.create(people.owner, ProjectCreate(name=name)).id)
            except NacreError as error:
                refused.append(error)

        threads = [threading.Thread(target=make, args=(name,)) for name in ("a", "b", "c", "d", "a")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [type(error) for error in refused] == [Conflict]
        with identity.db.read() as session:
            assert sorted(identity.projects.by_id(session, i).number for i in made) == [2, 3, 4, 5]

    def test_list_has_ones_own_with_the_role(self, identity: Identity, people: People) -> None:
        identity.projects.create(people.editor, ProjectCreate(name="speech"))
        listed = identity.projects.list(people.editor).items
        assert {p.name: p.role for p in listed} == {"speech": Role.OWNER, "vision": Role.EDITOR}
        assert identity.projects.list(people.stranger).items == []

    def test_update_leaves_null(self, identity: Identity, people: People) -> None:
        identity.projects.update(people.owner, ProjectUpdate(description="seeing"))
        changed = identity.projects.update(people.owner, ProjectUpdate(network="full"))
        assert (changed.description, changed.network) == ("seeing", "full")
        with identity.db.read() as session:
            assert identity.projects.by_id(session, people.project.id).network == "full"

    def test_by_id_of_a_deleted_one(self, identity: Identity, people: People) -> None:
        with identity.db.read() as session, pytest.raises(NotFound, match="prj_gone"):
            identity.projects.by_id(session, "prj_gone")


class TestDelete:
    def test_members_secrets_and_events_go_along(self, identity: Identity, people: People) -> None:
        identity.secrets.set(people.owner, "TOKEN", SecretSet.model_validate({"value": "x"}))
        identity.projects.delete(people.owner)
        assert identity.projects.list(people.editor).items == []
        assert role_of(identity.projects.enter(people.owner, "vision")) is None
        identity.projects.create(people.editor, ProjectCreate(name="vision"))
        assert identity.secrets.list(identity.projects.enter(people.editor, "vision")).items == []

    def test_what_it_cost_stays_on_record(self, identity: Identity, people: People) -> None:
        with identity.db.write() as session:
            session.add(
                UsageRow(
                    id=new_id("use"),
                    allocation_id="att_1",
                    project_id=people.project.id,
                    user_id=people.owner.user_id,
                    kind="job",
                    subject_id="job_1",
                    subject_name="train",
                    cpu=1.0,
                    memory=1,
                    gpu=0,
                    price_per_hour=0,
                    started_at=identity.clock.now(),
                )
            )
        identity.projects.delete(people.owner)
        assert role_of(identity.projects.enter(people.owner, "vision")) is None
        assert "vision" not in [p.name for p in identity.projects.list(people.owner).items]
        with identity.db.read() as session:
            kept = session.execute(select(UsageRow.subject_name, ProjectRow.name).join(ProjectRow)).one()
        assert tuple(kept) == ("train", "vision~1")
        identity.projects.create(people.editor, ProjectCreate(name="vision"))

    def test_a_table_that_nobody_named_protects_it_too(
        self, identity: Identity, people: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        known = MetaData()
        studies = Table("search_studies", known, Column("id", BigInteger), Column("project_id", String(40)))
        studies.create(identity.db.engine)
        monkeypatch.setattr(projects_module, "ALL_TABLES", known)
        with identity.db.write() as session:
            session.execute(
                studies.insert(), [{"id": i, "project_id": people.project.id} for i in range(3)]
            )
        with pytest.raises(Conflict, match="3 search studies"):
            identity.projects.delete(people.owner)


class TestMembers:
    def test_by_name_in_pages(self, identity: Identity, people: People) -> None:
        first = identity.projects.members(people.viewer, limit=2)
        rest = identity.projects.members(people.viewer, cursor=first.next, limit=2)
        assert [(m.user, m.role) for m in first.items + rest.items] == [
            ("editor", Role.EDITOR),
            ("owner", Role.OWNER),
            ("viewer", Role.VIEWER),
        ]
        assert rest.next is None

    def test_nobody_of_that_name(self, identity: Identity, people: People) -> None:
        with pytest.raises(NotFound, match="there is no user eve"):
            identity.projects.set_member(people.owner, "eve", MemberSet(role=Role.VIEWER))
        with pytest.raises(NotFound, match="stranger is not a member"):
            identity.projects.remove_member(people.owner, "stranger")

    def test_the_last_owner_stays(self, identity: Identity, people: People) -> None:
        with pytest.raises(Conflict, match="owner is the last owner"):
            identity.projects.remove_member(people.owner, "owner")
        with pytest.raises(Conflict, match="owner is the last owner"):
            identity.projects.set_member(people.owner, "owner", MemberSet(role=Role.VIEWER))
        identity.projects.set_member(people.owner, "editor", MemberSet(role=Role.OWNER))
        identity.projects.remove_member(people.owner, "owner")
        assert [m.user for m in identity.projects.members(people.viewer).items] == ["editor", "viewer"]

    def test_two_owners_who_remove_each_other_leave_one(self, identity: Identity, people: People) -> None:
        identity.projects.set_member(people.owner, "editor", MemberSet(role=Role.OWNER))
        barrier = threading.Barrier(2)

        def remove(name: str) -> None:
            barrier.wait(10)
            with contextlib.suppress(Conflict):
                identity.projects.remove_member(people.owner, name)

        threads = [threading.Thread(target=remove, args=(name,)) for name in ("owner", "editor")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        roles = [m.role for m in identity.projects.members(people.viewer).items]
        assert roles.count(Role.OWNER) == 1

    def test_a_token_of_work_makes_no_project(self, identity: Identity, people: People) -> None:
        limited = Caller("usr_1", "x", project_ids=frozenset({people.project.id}))
        with pytest.raises(PermissionDenied, match="cannot make projects"):
            identity.projects.create(limited, ProjectCreate(name="more"))


class TestEvents:
    def test_what_happened_newest_first_by_whom(self, identity: Identity, people: People) -> None:
        identity.projects.update(people.owner, ProjectUpdate(network="full"))
        identity.clock.advance(1)
        identity.projects.set_member(people.owner, "stranger", MemberSet(role=Role.VIEWER))
        found = identity.events.list(people.viewer).items
        assert {(e.verb, e.user) for e in found} == {
            ("projects.update", "owner"),
            ("members.set", "owner"),
        }
        changed = next(e for e in found if e.verb == "projects.update")
        assert (changed.subject, changed.detail) == (people.project.id, {"network": "full"})

    def test_pages_have_every_event_once(self, identity: Identity, people: People) -> None:
        with identity.db.write() as session:
            for i in range(7):
                identity.events.add(session, people.project.id, None, "jobs.end", f"job_{i}", number=i)
        seen: list[str] = []
        cursor = None
        while True:
            page = identity.events.list(people.viewer, cursor=cursor, limit=3)
            seen += [e.subject for e in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert sorted(seen) == [f"job_{i}" for i in range(7)]

    def test_of_a_change_that_failed_there_is_none(self, identity: Identity, people: People) -> None:
        with pytest.raises(Conflict):
            identity.projects.remove_member(people.owner, "owner")
        assert identity.events.list(people.viewer).items == []
