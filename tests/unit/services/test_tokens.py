"""Tokens: who they resolve to, when they stop, how far new ones reach."""

from __future__ import annotations

import hashlib
import re
import threading

import pytest
from sqlalchemy import select, text
from tests.identity_kit import Identity, wire

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables import ALL_TABLES
from nacre.db.tables.users import TokenRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied
from nacre.schema.access import Role
from nacre.schema.projects import MemberSet
from nacre.schema.users import TokenCreate, UserUpdate
from nacre.services.tokens import REPORT_SCOPES, WORK_SCOPES


@pytest.fixture
def identity(database: Database, clock: FixedClock) -> Identity:
    return wire(database, clock)


@pytest.fixture
def ada(identity: Identity) -> Caller:
    return identity.person("ada")


def for_work(identity: Identity, caller: Caller, kind: str = "attempt", attempt: str = "att_1") -> str:
    scopes = {"instance": ["*"], "launcher": REPORT_SCOPES, "attempt": WORK_SCOPES}[kind]
    kind = "attempt" if kind == "launcher" else kind
    with identity.db.write() as session:
        return identity.tokens.issue(
            session,
            user_id=caller.user_id,
            kind=kind,
            name=attempt,
            scopes=scopes,
            project_id=caller.project_id,
            attempt_id=attempt,
        )[0]


class TestResolve:
    def test_the_database_has_only_the_hash(self, identity: Identity, ada: Caller) -> None:
        issued = identity.tokens.create(ada, TokenCreate(name="ci"))
        assert re.fullmatch(r"nacre_[A-Za-z0-9_-]{43}", issued.secret)
        with identity.db.read() as session:
            row = session.get_one(TokenRow, issued.token.id)
            assert row.hash == hashlib.sha256(issued.secret.encode()).hexdigest()
            for table in ALL_TABLES.sorted_tables:
                stored = session.execute(select(table)).all()
                assert issued.secret not in str(stored)
        assert issued.secret not in repr(issued)

    @pytest.mark.parametrize("secret", ["", "nacre_", "nacre_" + "A" * 43, "x" * 10_000, "ü\udc80"])
    def test_unknown_secrets_belong_to_nobody(self, identity: Identity, ada: Caller, secret: str) -> None:
        assert identity.tokens.resolve(secret) is None

    def test_it_ends_when_it_expires_also_while_it_is_remembered(
        self, identity: Identity, ada: Caller
    ) -> None:
        secret = identity.tokens.create(ada, TokenCreate(name="ci", lifetime_s=60)).secret
        identity.clock.advance(59)
        assert identity.tokens.resolve(secret) is not None
        identity.clock.advance(1)
        assert identity.tokens.resolve(secret) is None

    def test_revoking_stops_it_at_once(self, identity: Identity, ada: Caller) -> None:
        issued = identity.tokens.create(ada, TokenCreate(name="ci"))
        assert identity.tokens.resolve(issued.secret) is not None
        identity.tokens.delete(ada, "ci")
        assert identity.tokens.resolve(issued.secret) is None

    def test_a_revocation_while_it_is_being_looked_up_wins(
        self, identity: Identity, ada: Caller, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        issued = identity.tokens.create(ada, TokenCreate(name="ci"))
        loaded, go_on = threading.Event(), threading.Event()
        load = identity.tokens._load

        def slow(digest: str) -> object:
            found = load(digest)
            loaded.set()
            assert go_on.wait(10)
            return found

        monkeypatch.setattr(identity.tokens, "_load", slow)
        reader = threading.Thread(target=identity.tokens.resolve, args=(issued.secret,))
        reader.start()
        assert loaded.wait(10)
        identity.tokens.delete(ada, issued.token.id)
        go_on.set()
        reader.join(10)
        assert identity.tokens.resolve(issued.secret) is None

    def test_disabling_the_user_stops_it_and_enabling_revives_it(
        self, identity: Identity, ada: Caller
    ) -> None:
        secret = identity.tokens.create(ada, TokenCreate(name="ci")).secret
        assert identity.tokens.resolve(secret) is not None
        identity.users.update(ada, "ada", UserUpdate(disabled=True))
        assert identity.tokens.resolve(secret) is None
        identity.users.update(ada, "ada", UserUpdate(disabled=False))
        assert identity.tokens.resolve(secret) is not None

    def test_a_rolled_back_token_never_was(self, identity: Identity, ada: Caller) -> None:
        secrets: list[str] = []

        def fail() -> None:
            with identity.db.write() as session:
                secrets.append(
                    identity.tokens.issue(
                        session, user_id=ada.user_id, kind="user", name="x", scopes=["*"]
                    )[0]
                )
                raise RuntimeError("in the middle")

        with pytest.raises(RuntimeError):
            fail()
        assert identity.tokens.resolve(secrets[0]) is None


class TestTokensOfWork:
    def test_an_attempt_is_an_editor_of_its_own_project_only(self, identity: Identity, ada: Caller) -> None:
        caller = identity.tokens.resolve(for_work(identity, ada))
        assert caller is not None
        assert caller.project == ProjectRef(ada.project_id, "ada", Role.EDITOR)
        assert caller.attempt_id == "att_1"
        assert caller.scopes == set(WORK_SCOPES)
        assert identity.projects.enter(caller, "ada").project == caller.project
        assert identity.projects.enter(caller, ada.project_id).project == caller.project
        assert identity.projects.enter(caller, "other").project == ProjectRef("", "other", None)

    def test_an_instance_acts_as_its_user_but_never_administers(
        self, identity: Identity, clock: FixedClock
    ) -> None:
        owner, secret = identity.users.ensure_owner()
        caller = identity.caller(for_work(identity, identity.caller(secret, "default"), "instance"))
        assert owner.admin
        assert (caller.user_id, caller.admin, caller.scopes) == (owner.id, False, {"*"})
        assert caller.project is not None
        assert caller.project.role is Role.OWNER

    def test_an_instance_loses_the_project_with_the_membership(
        self, identity: Identity, ada: Caller
    ) -> None:
        bob = identity.person("bob")
        identity.projects.set_member(ada, "bob", MemberSet(role=Role.EDITOR))
        secret = for_work(identity, identity.projects.enter(bob, "ada"), "instance")
        assert identity.caller(secret, "ada").project == ProjectRef(ada.project_id, "ada", Role.EDITOR)
        identity.projects.remove_member(ada, "bob")
        project = identity.caller(secret, "ada").project
        assert project is not None
        assert project.role is None

    def test_they_end_together_with_the_attempt(self, identity: Identity, ada: Caller) -> None:
        secrets = [for_work(identity, ada, kind) for kind in ("attempt", "instance")]
        other = for_work(identity, ada, attempt="att_2")
        assert all(identity.tokens.resolve(s) for s in [*secrets, other])
        with identity.db.write() as session:
            identity.tokens.revoke_attempt(session, "att_1")
        assert [identity.tokens.resolve(s) for s in secrets] == [None, None]
        assert identity.tokens.resolve(other) is not None

    def test_of_a_disabled_user_only_launchers_go_on(self, identity: Identity, ada: Caller) -> None:
        launcher = for_work(identity, ada, "launcher")
        work = [for_work(identity, ada, kind) for kind in ("attempt", "instance")]
        identity.users.update(ada, "ada", UserUpdate(disabled=True))
        assert identity.caller(launcher).scopes == {"attempts:report"}
        assert [identity.tokens.resolve(secret) for secret in work] == [None, None]

    @pytest.mark.parametrize("kind", ["attempt", "instance"])
    def test_they_make_no_tokens_and_revoke_none(self, identity: Identity, ada: Caller, kind: str) -> None:
        caller = identity.caller(for_work(identity, ada, kind))
        issued = identity.tokens.create(ada, TokenCreate(name="ci"))
        with pytest.raises(PermissionDenied, match="cannot make tokens"):
            identity.tokens.create(caller, TokenCreate(name="more"))
        with pytest.raises(PermissionDenied, match="cannot revoke tokens"):
            identity.tokens.delete(caller, issued.token.id)

    def test_they_are_not_listed(self, identity: Identity, ada: Caller) -> None:
        for_work(identity, ada)
        assert [token.kind for token in identity.tokens.list(ada).items] == ["session"]


class TestCreate:
    def test_scopes_are_kept_sorted_once(self, identity: Identity, ada: Caller) -> None:
        body = TokenCreate(name="ci", scopes=["jobs:write", "jobs:read", "jobs:write"])
        issued = identity.tokens.create(ada, body)
        assert issued.token.scopes == ["jobs:read", "jobs:write"]
        assert issued.token.expires_at is None
        assert identity.caller(issued.secret).scopes == {"jobs:read", "jobs:write"}

    def test_a_scope_that_does_not_exist(self, identity: Identity, ada: Caller) -> None:
        with pytest.raises(InvalidSpec, match="there is no scope jobs:wriet"):
            identity.tokens.create(ada, TokenCreate(name="ci", scopes=["jobs:wriet"]))

    def test_predicting_is_a_scope_though_no_operation(self, identity: Identity, ada: Caller) -> None:
        issued = identity.tokens.create(ada, TokenCreate(name="app", scopes=["endpoints:invoke"]))
        assert issued.token.scopes == ["endpoints:invoke"]

    def test_no_more_scopes_than_the_token_in_use(self, identity: Identity, ada: Caller) -> None:
        narrow = identity.limited(ada, "tokens:write", "jobs:read")
        issued = identity.tokens.create(narrow, TokenCreate(name="reader", scopes=["jobs:read"]))
        assert issued.token.scopes == ["jobs:read"]
        for more in (["*"], ["jobs:write"], ["jobs:read", "runs:read"]):
            with pytest.raises(PermissionDenied, match="may do more than itself"):
                identity.tokens.create(narrow, TokenCreate(name="more", scopes=more))

    def test_no_longer_life_than_the_token_in_use(self, identity: Identity, ada: Caller) -> None:
        short = identity.tokens.create(ada, TokenCreate(name="short", lifetime_s=600)).secret
        caller = identity.caller(short)
        for lifetime in (None, 601):
            with pytest.raises(PermissionDenied, match="at most 600 seconds"):
                identity.tokens.create(caller, TokenCreate(name="long", lifetime_s=lifetime))
        assert (
            identity.tokens.create(caller, TokenCreate(name="child", lifetime_s=600)).token.name == "child"
        )

    def test_names_are_unique_among_ones_own(self, identity: Identity, ada: Caller) -> None:
        identity.tokens.create(ada, TokenCreate(name="ci"))
        with pytest.raises(Conflict, match="nacre token delete ci"):
            identity.tokens.create(ada, TokenCreate(name="ci"))
        bob = identity.person("bob")
        assert identity.tokens.create(bob, TokenCreate(name="ci")).token.name == "ci"


class TestListAndDelete:
    def test_newest_first_in_pages(self, identity: Identity, ada: Caller) -> None:
        made = [identity.tokens.create(ada, TokenCreate(name=f"t{i}")).token.id for i in range(5)]
        first = identity.tokens.list(ada, limit=2)
        rest = identity.tokens.list(ada, cursor=first.next, limit=100)
        listed = [token.id for token in first.items + rest.items]
        assert rest.next is None
        assert listed == sorted(listed, reverse=True)
        assert set(made) < set(listed)
        assert len(listed) == 6  # the session of the sign-up too

    def test_others_tokens_do_not_exist(self, identity: Identity, ada: Caller) -> None:
        bob = identity.person("bob")
        theirs = identity.tokens.create(bob, TokenCreate(name="ci"))
        for name in (theirs.token.id, "ci"):
            with pytest.raises(NotFound, match="nacre token ls"):
                identity.tokens.delete(ada, name)
        assert identity.tokens.resolve(theirs.secret) is not None


class TestUses:
    def test_the_last_use_is_seen_at_once_and_written_later(self, identity: Identity, ada: Caller) -> None:
        issued = identity.tokens.create(ada, TokenCreate(name="ci"))
        identity.clock.advance(30)
        at = identity.clock.now()
        identity.tokens.resolve(issued.secret)

        def stored() -> object:
            with identity.db.read() as session:
                return session.get_one(TokenRow, issued.token.id).last_used_at

        listed = {token.name: token.last_used_at for token in identity.tokens.list(ada).items}
        assert listed["ci"] == at
        assert stored() is None
        assert identity.tokens.record_uses() >= 1
        assert stored() == at
        assert identity.tokens.record_uses() == 0

    def test_a_remembered_token_costs_no_query(self, identity: Identity, ada: Caller) -> None:
        secret = identity.tokens.create(ada, TokenCreate(name="ci")).secret
        first = identity.tokens.resolve(secret)
        with identity.db.write() as session:
            session.execute(text("DELETE FROM tokens"))  # as another server would, unseen by this one
        assert identity.tokens.resolve(secret) == first

    def test_expired_tokens_are_swept_after_a_week(self, identity: Identity, ada: Caller) -> None:
        identity.tokens.create(ada, TokenCreate(name="short", lifetime_s=60))
        identity.tokens.create(ada, TokenCreate(name="ever"))
        identity.clock.advance(7 * 86_400 + 59)
        assert identity.tokens.sweep() == 0
        identity.clock.advance(2)
        assert identity.tokens.sweep() == 1
        assert "short" not in [token.name for token in identity.tokens.list(ada).items]


class TestGrants:
    def test_every_token_that_may_predict_with_the_projects_it_reaches(
        self, identity: Identity, ada: Caller
    ) -> None:
        bob = identity.person("bob")
        identity.projects.set_member(ada, "bob", MemberSet(role=Role.VIEWER))
        everything = identity.tokens.create(bob, TokenCreate(name="all", lifetime_s=3600))
        predicts = identity.tokens.create(ada, TokenCreate(name="app", scopes=["endpoints:invoke"]))
        reads = identity.tokens.create(ada, TokenCreate(name="reader", scopes=["jobs:read"]))
        work = for_work(identity, ada)
        grants = identity.tokens.grants()

        def of(secret: str) -> tuple[list[str], int | None] | None:
            found = grants.get(hashlib.sha256(secret.encode()).hexdigest())
            return (found.projects, found.expires_ms) if found else None

        at = int(identity.clock.now().timestamp() * 1000)
        assert of(everything.secret) == (["ada", "bob"], at + 3_600_000)
        assert of(predicts.secret) == (["ada"], None)
        assert of(work) == (["ada"], None)
        assert of(reads.secret) is None

    def test_a_rate_is_granted_and_not_outdone(self, identity: Identity, ada: Caller) -> None:
        body = TokenCreate(name="app", scopes=["endpoints:invoke", "tokens:write"], rate_per_s=5, burst=20)
        issued = identity.tokens.create(ada, body)
        assert (issued.token.rate_per_s, issued.token.burst) == (5, 20)
        assert [(t.rate_per_s, t.burst) for t in identity.tokens.list(ada).items if t.name == "app"] == [
            (5, 20)
        ]
        (found,) = (g for g in identity.tokens.grants().values() if g.rate_per_s is not None)
        assert (found.rate_per_s, found.burst) == (5, 20)
        app = identity.caller(issued.secret)
        for rate in (None, 6.0):
            body = TokenCreate(name="more", scopes=["endpoints:invoke"], rate_per_s=rate)
            with pytest.raises(PermissionDenied, match="ask for a rate of 5"):
                identity.tokens.create(app, body)
        body = TokenCreate(name="less", scopes=["endpoints:invoke"], rate_per_s=2)
        assert identity.tokens.create(app, body).token.rate_per_s == 2
        with pytest.raises(InvalidSpec, match="a burst goes with a rate"):
            identity.tokens.create(ada, TokenCreate(name="odd", burst=2))

    def test_expired_and_disabled_have_none(self, identity: Identity, ada: Caller) -> None:
        identity.tokens.create(ada, TokenCreate(name="short", lifetime_s=60))
        before = len(identity.tokens.grants())
        identity.clock.advance(60)
        assert len(identity.tokens.grants()) == before - 1
        identity.users.update(ada, "ada", UserUpdate(disabled=True))
        assert identity.tokens.grants() == {}

    def test_whatever_changes_them_notifies(self, identity: Identity, ada: Caller) -> None:
        identity.person("bob")
        issued = identity.tokens.create(ada, TokenCreate(name="first"))
        work = for_work(identity, ada)
        assert work

        def revoke() -> None:
            with identity.db.write() as session:
                identity.tokens.revoke_attempt(session, "att_1")

        changes = {
            "create": lambda: identity.tokens.create(ada, TokenCreate(name="second")),
            "delete": lambda: identity.tokens.delete(ada, issued.token.id),
            "issue": lambda: for_work(identity, ada, attempt="att_9"),
            "revoke": revoke,
            "disable": lambda: identity.users.update(ada, "bob", UserUpdate(disabled=True)),
            "add member": lambda: identity.projects.set_member(ada, "bob", MemberSet(role=Role.VIEWER)),
            "remove member": lambda: identity.projects.remove_member(ada, "bob"),
            "sign in": lambda: identity.sign_in("ada"),
        }
        silent = []
        for name, change in changes.items():
            with identity.signals.listen("access") as heard:
                change()
                if not heard.is_set():
                    silent.append(name)
        assert silent == []
