"""Users: signing up, in and out; who may invite; what administrators change."""

from __future__ import annotations

import logging
import os
import pwd
from dataclasses import replace

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from tests.identity_kit import ADDRESS, PASSWORD, Identity, wire

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.projects import EventRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.errors import (
    Conflict,
    InvalidSpec,
    NotFound,
    PermissionDenied,
    RateLimited,
    Unauthenticated,
)
from nacre.schema.access import Role
from nacre.schema.projects import MemberSet, ProjectCreate
from nacre.schema.users import (
    InvitationCreate,
    PasswordChange,
    SettingsUpdate,
    SignUp,
    SignUpPolicy,
    TokenCreate,
    UserUpdate,
)
from nacre.services.passwords import Passwords


@pytest.fixture
def identity(database: Database, clock: FixedClock) -> Identity:
    return wire(database, clock)


@pytest.fixture
def owner(identity: Identity) -> Caller:
    """The machine's owner, in the project ``default``."""
    return identity.caller(identity.users.ensure_owner()[1], "default")


def sign_up(name: str, invitation: str | None = None) -> SignUp:
    return SignUp(
        name=name,
        password=SecretStr(PASSWORD),
        invitation=SecretStr(invitation) if invitation is not None else None,
    )


class TestOwner:
    def test_the_first_start_makes_the_owner(self, identity: Identity, clock: FixedClock) -> None:
        user, secret = identity.users.ensure_owner()
        clock.advance(50 * 365 * 86_400)
        caller = identity.caller(secret, "default")
        assert user.admin
        assert caller.user_id == user.id
        assert caller.project is not None
        assert caller.project.role is Role.OWNER

    def test_it_is_named_after_the_user_of_the_operating_system(self, identity: Identity) -> None:
        expected = pwd.getpwuid(os.getuid()).pw_name.lower()
        assert identity.users.ensure_owner()[0].name == expected

    @pytest.mark.parametrize(
        ("os_name", "name"),
        [("Ada Lovelace", "ada-lovelace"), ("svc_$", "svc"), ("", "owner"), ("日本", "owner")],
    )
    def test_odd_names_are_made_into_names(
        self, identity: Identity, monkeypatch: pytest.MonkeyPatch, os_name: str, name: str
    ) -> None:
        entry = pwd.struct_passwd((os_name, "x", 1, 1, "", "/", "/bin/sh"))
        monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
        assert identity.users.ensure_owner()[0].name == name

    def test_a_good_token_is_kept_and_a_lost_one_replaced(self, identity: Identity) -> None:
        user, secret = identity.users.ensure_owner()
        assert identity.users.ensure_owner(secret) == (user, secret)
        again, other = identity.users.ensure_owner("nacre_lost")
        assert again == user
        assert other != secret
        assert identity.tokens.resolve(secret) is None
        assert identity.caller(other).user_id == user.id

    def test_another_users_token_is_not_taken_for_the_owners(self, identity: Identity) -> None:
        user, _ = identity.users.ensure_owner()
        theirs = identity.sign_up("mallory").secret
        again, secret = identity.users.ensure_owner(theirs)
        assert again == user
        assert secret != theirs


class TestSignUp:
    def test_makes_an_account_with_a_project_of_its_own_and_signs_in(self, identity: Identity) -> None:
        issued = identity.sign_up("ada")
        assert (issued.user.name, issued.user.admin, issued.token.kind) == ("ada", False, "session")
        caller = identity.caller(issued.secret, "ada")
        assert caller.project is not None
        assert caller.project.role is Role.OWNER
        assert identity.sign_in("ada").user == issued.user

    def test_the_password_is_stored_as_argon2id(self, identity: Identity) -> None:
        issued = identity.sign_up("ada")
        with identity.db.read() as session:
            stored = session.get_one(UserRow, issued.user.id).password_hash
        assert stored is not None
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert PASSWORD not in stored

    def test_a_taken_name(self, identity: Identity) -> None:
        identity.sign_up("ada")
        with pytest.raises(Conflict, match="the name ada is taken"):
            identity.sign_up("ada")

    @pytest.mark.parametrize("name", ["admin", "default", "me", "root", "usr_1", "prj_1"])
    def test_reserved_names(self, identity: Identity, name: str) -> None:
        with pytest.raises(InvalidSpec, match="reserved"):
            identity.sign_up(name)

    def test_a_taken_project_name_gets_a_number(self, identity: Identity) -> None:
        ada = identity.person("ada")
        identity.projects.create(ada, ProjectCreate(name="bob"))
        issued = identity.sign_up("bob")
        names = [p.name for p in identity.projects.list(identity.caller(issued.secret)).items]
        assert names == ["bob-2"]

    def test_it_needs_an_invitation_at_first(self, identity: Identity) -> None:
        assert identity.settings.get().sign_up is SignUpPolicy.INVITE
        for near in (False, True):  # nothing is near where others can connect
            with pytest.raises(PermissionDenied, match="needs an invitation: ask an administrator"):
                identity.users.sign_up(sign_up("ada"), ADDRESS, near=near)

    def test_who_is_near_needs_none_while_the_server_listens_on_loopback(self, identity: Identity) -> None:
        identity.settings._loopback = True
        assert identity.settings.get(near=True).sign_up is SignUpPolicy.OPEN
        assert identity.settings.get().sign_up is SignUpPolicy.INVITE
        with pytest.raises(PermissionDenied):
            identity.users.sign_up(sign_up("ada"), ADDRESS)
        assert identity.users.sign_up(sign_up("ada"), ADDRESS, near=True).user.name == "ada"

    @pytest.mark.parametrize("policy", [SignUpPolicy.CLOSED, SignUpPolicy.INVITE])
    def test_what_an_administrator_sets_holds_for_who_is_near_too(
        self, identity: Identity, owner: Caller, policy: SignUpPolicy
    ) -> None:
        identity.settings._loopback = True
        identity.settings.update(owner, SettingsUpdate(sign_up=policy))
        assert identity.settings.get(near=True).sign_up is policy
        with pytest.raises(PermissionDenied):
            identity.users.sign_up(sign_up("ada"), ADDRESS, near=True)

    def test_closed_says_whom_to_ask(self, identity: Identity, owner: Caller) -> None:
        identity.settings.update(owner, SettingsUpdate(sign_up=SignUpPolicy.CLOSED))
        with pytest.raises(PermissionDenied, match="closed on this server: ask its owner"):
            identity.users.sign_up(sign_up("ada"), ADDRESS)

    def test_open_needs_nothing_and_invite_an_invitation(self, identity: Identity, owner: Caller) -> None:
        identity.settings.update(owner, SettingsUpdate(sign_up=SignUpPolicy.OPEN))
        assert identity.users.sign_up(sign_up("ada"), ADDRESS).user.name == "ada"
        identity.settings.update(owner, SettingsUpdate(sign_up=SignUpPolicy.INVITE))
        with pytest.raises(PermissionDenied, match="needs an invitation"):
            identity.users.sign_up(sign_up("bob"), ADDRESS)

    def test_a_failed_sign_up_leaves_nothing(self, identity: Identity) -> None:
        with pytest.raises(PermissionDenied):
            identity.users.sign_up(sign_up("ada"), ADDRESS)
        with identity.db.read() as session:
            assert session.execute(select(UserRow)).first() is None


class TestInvitations:
    def test_the_owners_invitation_works_while_sign_up_is_closed(
        self, identity: Identity, owner: Caller
    ) -> None:
        identity.settings.update(owner, SettingsUpdate(sign_up=SignUpPolicy.CLOSED))
        invitation = identity.users.invitations.create(owner, InvitationCreate())
        assert invitation.secret is not None
        assert invitation.secret not in repr(invitation)
        issued = identity.users.sign_up(sign_up("ada", invitation.secret), ADDRESS)
        assert issued.user.name == "ada"

    def test_it_lets_one_person_in_once(self, identity: Identity, owner: Caller) -> None:
        secret = identity.users.invitations.create(owner, InvitationCreate()).secret
        identity.users.sign_up(sign_up("ada", secret), ADDRESS)
        with pytest.raises(PermissionDenied, match="unknown, used or expired"):
            identity.users.sign_up(sign_up("bob", secret), ADDRESS)

    def test_it_expires(self, identity: Identity, owner: Caller, clock: FixedClock) -> None:
        secret = identity.users.invitations.create(owner, InvitationCreate(lifetime_s=60)).secret
        clock.advance(60)
        assert identity.users.invitations.list(owner).items == []
        with pytest.raises(PermissionDenied, match="unknown, used or expired"):
            identity.users.sign_up(sign_up("ada", secret), ADDRESS)

    def test_it_brings_into_a_project_in_a_role(self, identity: Identity, owner: Caller) -> None:
        body = InvitationCreate(project="default", role="viewer")
        invitation = identity.users.invitations.create(owner, body)
        issued = identity.users.sign_up(sign_up("ada", invitation.secret), ADDRESS)
        caller = identity.caller(issued.secret, "default")
        assert caller.project is not None
        assert caller.project.role is Role.VIEWER

    def test_only_into_a_project_that_one_owns(self, identity: Identity, owner: Caller) -> None:
        ada = identity.person("ada")
        with pytest.raises(NotFound, match="there is no project ada"):
            identity.users.invitations.create(owner, InvitationCreate(project="ada"))
        identity.projects.set_member(ada, owner.user_name, MemberSet(role=Role.EDITOR))
        with pytest.raises(PermissionDenied, match="only an owner of ada"):
            identity.users.invitations.create(owner, InvitationCreate(project="ada"))

    def test_an_unknown_role(self, identity: Identity, owner: Caller) -> None:
        with pytest.raises(InvalidSpec, match="there is no role 'boss': use viewer, editor, owner"):
            identity.users.invitations.create(owner, InvitationCreate(role="boss"))

    def test_other_administrators_invite_unless_sign_up_is_closed(
        self, identity: Identity, owner: Caller
    ) -> None:
        identity.clock.advance(1)
        ada = identity.person("ada")
        identity.users.update(owner, "ada", UserUpdate(admin=True))
        identity.settings.update(owner, SettingsUpdate(sign_up=SignUpPolicy.CLOSED))
        with pytest.raises(PermissionDenied, match="only the owner of the machine invites"):
            identity.users.invitations.create(ada, InvitationCreate())
        identity.settings.update(owner, SettingsUpdate(sign_up=SignUpPolicy.INVITE))
        secret = identity.users.invitations.create(ada, InvitationCreate()).secret
        identity.settings.update(owner, SettingsUpdate(sign_up=SignUpPolicy.CLOSED))
        with pytest.raises(PermissionDenied, match="closed since"):
            identity.users.sign_up(sign_up("bob", secret), ADDRESS)

    def test_withdrawn_before_but_not_after_its_use(self, identity: Identity, owner: Caller) -> None:
        invitations = identity.users.invitations
        first, second = (invitations.create(owner, InvitationCreate()) for _ in range(2))
        invitations.delete(owner, first.id)
        with pytest.raises(PermissionDenied):
            identity.users.sign_up(sign_up("ada", first.secret), ADDRESS)
        identity.users.sign_up(sign_up("ada", second.secret), ADDRESS)
        with pytest.raises(Conflict, match="ada has used this invitation"):
            invitations.delete(owner, second.id)
        with pytest.raises(NotFound, match="nacre user invitations"):
            invitations.delete(owner, first.id)

    def test_the_list_shows_no_secret(self, identity: Identity, owner: Caller) -> None:
        made = identity.users.invitations.create(owner, InvitationCreate(project="default"))
        [listed] = identity.users.invitations.list(owner).items
        assert (listed.id, listed.project, listed.secret) == (made.id, "default", None)


class TestSignIn:
    def test_a_session_ends_after_its_time(self, identity: Identity, clock: FixedClock) -> None:
        identity.sign_up("ada")
        issued = identity.sign_in("ada")
        assert issued.token.expires_at is not None
        assert (issued.token.expires_at - clock.now()).days == 30
        clock.advance(30 * 86_400)
        assert identity.tokens.resolve(issued.secret) is None

    def test_wrong_password_and_unknown_user_look_alike(self, identity: Identity) -> None:
        identity.sign_up("ada")
        with pytest.raises(Unauthenticated) as wrong:
            identity.sign_in("ada", "not the password")
        with pytest.raises(Unauthenticated) as unknown:
            identity.sign_in("nobody", "not the password")
        assert wrong.value.problem() == unknown.value.problem()

    @pytest.mark.parametrize("name", ["ada", "nobody", "token-only"])
    def test_each_failure_does_the_work_of_one_check(
        self, identity: Identity, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        identity.sign_up("ada")
        with identity.db.write() as session:
            session.add(UserRow(id="usr_x", name="token-only", created_at=identity.clock.now()))
        checks: list[str] = []
        verify = Passwords.match

        def counted(self: Passwords, stored: str | None, password: SecretStr) -> bool:
            checks.append((stored or self._nobody).rsplit("$", 2)[0])
            return verify(self, stored, password)

        monkeypatch.setattr(Passwords, "match", counted)
        with pytest.raises(Unauthenticated):
            identity.sign_in(name, "not the password")
        assert checks == ["$argon2id$v=19$m=19456,t=2,p=1"]

    def test_a_disabled_user_with_the_right_password(self, identity: Identity, owner: Caller) -> None:
        identity.sign_up("ada")
        identity.users.update(owner, "ada", UserUpdate(disabled=True))
        with pytest.raises(PermissionDenied, match="disabled"):
            identity.sign_in("ada")
        with pytest.raises(Unauthenticated):
            identity.sign_in("ada", "not the password")

    def test_guessing_is_slowed_down_per_name_and_address(
        self, identity: Identity, clock: FixedClock
    ) -> None:
        identity.sign_up("ada")
        for _ in range(5):
            with pytest.raises(Unauthenticated):
                identity.sign_in("ada", "not the password")
        with pytest.raises(RateLimited, match="wait 1 s") as caught:
            identity.sign_in("ada")
        assert caught.value.extra == {"retry_after_s": 1}
        assert identity.sign_in("ada", address="192.0.2.2").user.name == "ada"
        clock.advance(1)
        assert identity.sign_in("ada").user.name == "ada"
        with pytest.raises(Unauthenticated):  # a success starts the count anew
            identity.sign_in("ada", "not the password")

    def test_neither_log_nor_events_show_a_password(
        self, identity: Identity, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        identity.sign_up("ada")
        identity.sign_in("ada")
        with pytest.raises(Unauthenticated):
            identity.sign_in("ada", "my-other-password")
        assert "sign-in as ada from 192.0.2.1 failed" in caplog.text
        with identity.db.read() as session:
            events = [(e.verb, e.subject, e.detail) for e in session.execute(select(EventRow)).scalars()]
        for text in (caplog.text, str(events)):
            assert "my-other-password" not in text
            assert PASSWORD not in text

    def test_an_old_hash_is_renewed(self, identity: Identity) -> None:
        user = identity.sign_up("ada").user
        weak = Passwords()
        weak._hasher = type(weak._hasher)(time_cost=1, memory_cost=64, parallelism=1)
        with identity.db.write() as session:
            session.get_one(UserRow, user.id).password_hash = weak.hash(SecretStr(PASSWORD))
        identity.sign_in("ada")
        with identity.db.read() as session:
            stored = session.get_one(UserRow, user.id).password_hash
        assert stored is not None
        assert "m=19456,t=2,p=1" in stored
        assert identity.sign_in("ada").user == user


class TestSignOut:
    def test_ends_this_session_only(self, identity: Identity) -> None:
        first, second = identity.sign_up("ada").secret, identity.sign_in("ada").secret
        identity.users.sign_out(identity.caller(second))
        assert identity.tokens.resolve(second) is None
        assert identity.tokens.resolve(first) is not None

    def test_a_programs_token_is_not_signed_out(self, identity: Identity, owner: Caller) -> None:
        with pytest.raises(Conflict, match="nacre token delete"):
            identity.users.sign_out(owner)
        assert identity.users.me(owner).admin


class TestPassword:
    def test_a_change_ends_the_other_sessions(self, identity: Identity) -> None:
        first = identity.sign_up("ada").secret
        second = identity.sign_in("ada").secret
        program = identity.tokens.create(identity.caller(first), TokenCreate(name="ci")).secret
        change = PasswordChange(old=SecretStr(PASSWORD), new=SecretStr("another password"))
        identity.users.change_password(identity.caller(second), change)
        assert identity.tokens.resolve(first) is None
        assert identity.tokens.resolve(second) is not None
        assert identity.tokens.resolve(program) is not None
        with pytest.raises(Unauthenticated):
            identity.sign_in("ada")
        assert identity.sign_in("ada", "another password").user.name == "ada"

    def test_the_old_one_is_needed_and_not_guessed(self, identity: Identity) -> None:
        ada = identity.person("ada")
        for old in ("wrong", "", "wrong", "wrong", "wrong"):
            guess = PasswordChange(old=SecretStr(old), new=SecretStr("another password"))
            with pytest.raises(PermissionDenied, match="old password is wrong"):
                identity.users.change_password(ada, guess)
        right = PasswordChange(old=SecretStr(PASSWORD), new=SecretStr("another password"))
        with pytest.raises(RateLimited):
            identity.users.change_password(ada, right)

    def test_the_owner_sets_a_first_one(self, identity: Identity, owner: Caller) -> None:
        change = PasswordChange(old=SecretStr(""), new=SecretStr(PASSWORD))
        identity.users.change_password(owner, change)
        assert identity.sign_in(owner.user_name).user.id == owner.user_id
        with pytest.raises(PermissionDenied):
            identity.users.change_password(owner, change)

    def test_not_with_a_token_of_work(self, identity: Identity, owner: Caller) -> None:
        notebook = replace(owner, project_ids=frozenset({owner.project_id}))
        with pytest.raises(PermissionDenied, match="cannot change a password"):
            identity.users.change_password(
                notebook, PasswordChange(old=SecretStr(""), new=SecretStr(PASSWORD))
            )


class TestAdministration:
    def test_list_in_pages(self, identity: Identity, owner: Caller) -> None:
        for name in ("ada", "bob", "eve"):
            identity.sign_up(name)
        first = identity.users.list(owner, limit=3)
        rest = identity.users.list(owner, limit=3, cursor=first.next)
        assert {u.name for u in first.items + rest.items} == {"ada", "bob", "eve", owner.user_name}
        assert (len(first.items), rest.next) == (3, None)

    def test_the_list_says_when_somebody_was_last_seen(
        self, identity: Identity, owner: Caller, clock: FixedClock
    ) -> None:
        seen, never = identity.sign_up("ada"), identity.sign_up("bob")
        clock.advance(60)
        identity.caller(seen.secret)
        identity.sign_in("ada")  # a later sign-in that nothing was done with
        identity.tokens.record_uses()
        at = {user.name: user.last_seen_at for user in identity.users.list(owner).items}
        assert at["ada"] == clock.now()
        assert at[never.user.name] is None

    def test_sessions_of_somebody_are_seen_and_ended(self, identity: Identity, owner: Caller) -> None:
        first, second = identity.sign_up("ada"), identity.sign_in("ada")
        found = identity.users.sessions(owner, "ada").items
        assert [token.id for token in found] == [second.token.id, first.token.id]
        identity.users.end_session(owner, "ada", first.token.id)
        assert identity.tokens.resolve(first.secret) is None
        assert identity.tokens.resolve(second.secret) is not None
        assert [token.id for token in identity.users.sessions(owner, "ada").items] == [second.token.id]

    def test_a_session_is_ended_as_its_owners_only(self, identity: Identity, owner: Caller) -> None:
        ada, bob = identity.sign_up("ada"), identity.sign_up("bob")
        with identity.db.write() as session:
            secret, work = identity.tokens.issue(
                session, user_id=ada.user.id, kind="attempt", name="job", scopes=["runs:read"]
            )
        for user, token in (("bob", ada.token.id), ("ada", bob.token.id), ("ada", work), ("ada", "tok_x")):
            with pytest.raises(NotFound, match=f"{user} has no token"):
                identity.users.end_session(owner, user, token)
        assert identity.tokens.resolve(secret) is not None
        with pytest.raises(NotFound, match="there is no user eve"):
            identity.users.sessions(owner, "eve")

    def test_update_by_name_or_id(self, identity: Identity, owner: Caller) -> None:
        ada = identity.sign_up("ada").user
        assert identity.users.update(owner, "ada", UserUpdate(admin=True)).admin
        assert not identity.users.update(owner, ada.id, UserUpdate(admin=False)).admin
        with pytest.raises(NotFound, match="there is no user eve"):
            identity.users.update(owner, "eve", UserUpdate(admin=True))

    @pytest.mark.parametrize("change", [UserUpdate(disabled=True), UserUpdate(admin=False)])
    def test_somebody_always_administers(
        self, identity: Identity, owner: Caller, change: UserUpdate
    ) -> None:
        with pytest.raises(Conflict, match="last administrator"):
            identity.users.update(owner, owner.user_name, change)
        with pytest.raises(Conflict, match="last administrator"):
            identity.users.delete(owner, owner.user_name)
        identity.sign_up("ada")
        identity.users.update(owner, "ada", UserUpdate(admin=True))
        assert identity.users.update(owner, owner.user_name, change).name == owner.user_name

    def test_administration_works_from_the_next_request_on(self, identity: Identity, owner: Caller) -> None:
        secret = identity.sign_up("ada").secret
        assert not identity.caller(secret).admin
        identity.users.update(owner, "ada", UserUpdate(admin=True))
        assert identity.caller(secret).admin

    def test_delete_a_user_who_owns_nothing(self, identity: Identity, owner: Caller) -> None:
        issued = identity.sign_up("ada")
        ada = identity.caller(issued.secret, "ada")
        with pytest.raises(Conflict, match="ada is the only owner of ada"):
            identity.users.delete(owner, "ada")
        identity.projects.set_member(ada, owner.user_name, MemberSet(role=Role.OWNER))
        identity.users.delete(owner, "ada")
        assert identity.tokens.resolve(issued.secret) is None
        members = identity.projects.members(identity.projects.enter(owner, "ada")).items
        assert [m.user for m in members] == [owner.user_name]


class TestSettings:
    def test_null_leaves_it(self, identity: Identity, owner: Caller) -> None:
        identity.settings.update(owner, SettingsUpdate(sign_up=SignUpPolicy.INVITE))
        assert identity.settings.update(owner, SettingsUpdate()).sign_up is SignUpPolicy.INVITE
        assert identity.settings.get().sign_up is SignUpPolicy.INVITE

    def test_they_say_whether_sign_up_was_ever_set(self, identity: Identity, owner: Caller) -> None:
        assert not identity.settings.get().sign_up_set
        assert identity.settings.update(owner, SettingsUpdate(sign_up=SignUpPolicy.INVITE)).sign_up_set
