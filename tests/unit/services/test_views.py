"""Saved views: one's own, shared ones, and who may change which; on both databases."""

from __future__ import annotations

import pytest
from tests.identity_kit import Identity, wire

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NotFound, PermissionDenied, QuotaExceeded
from nacre.schema.access import Role
from nacre.schema.projects import MemberSet
from nacre.schema.views import ViewSet
from nacre.services import views as module
from nacre.services.views import Views


@pytest.fixture
def identity(database: Database, clock: FixedClock) -> Identity:
    return wire(database, clock)


@pytest.fixture
def views(identity: Identity) -> Views:
    return Views(identity.db, identity.clock, identity.events)


@pytest.fixture
def owner(identity: Identity) -> Caller:
    return identity.person("ada")


def member(identity: Identity, owner: Caller, name: str, role: Role) -> Caller:
    secret = identity.sign_up(name).secret
    identity.projects.set_member(owner, name, MemberSet(role=role))
    return identity.caller(secret, "ada")


def names(views: Views, caller: Caller, page: str | None = None) -> list[tuple[str, str]]:
    return [(one.name, one.user) for one in views.list(caller, page=page).items]


def test_a_view_is_kept_and_replaced(views: Views, owner: Caller, clock: FixedClock) -> None:
    first = views.set(owner, "best ≥ 0.9", ViewSet(page="runs", query="filter=a"))
    assert (first.name, first.page, first.query, first.user, first.shared) == (
        "best ≥ 0.9", "runs", "filter=a", "ada", False,
    )  # fmt: skip
    clock.advance(60)
    second = views.set(owner, "best ≥ 0.9", ViewSet(page="runs/compare", query="run=x", shared=True))
    assert (second.page, second.query, second.shared) == ("runs/compare", "run=x", True)
    assert (second.created_at, second.updated_at > first.updated_at) == (first.created_at, True)
    assert views.list(owner).items == [second]
    assert views.list(owner, page="runs").items == []


def test_own_views_are_seen_by_nobody_else_and_shared_ones_by_all(
    identity: Identity, views: Views, owner: Caller
) -> None:
    ben = member(identity, owner, "ben", Role.EDITOR)
    eve = identity.person("eve")
    views.set(owner, "mine", ViewSet(page="runs"))
    views.set(ben, "mine", ViewSet(page="runs"))
    views.set(ben, "ours", ViewSet(page="runs", shared=True))
    assert sorted(names(views, owner)) == [("mine", "ada"), ("ours", "ben")]
    assert sorted(names(views, ben, "runs")) == [("mine", "ben"), ("ours", "ben")]
    assert names(views, eve) == []
    with pytest.raises(NotFound, match="nacre views ls"):
        views.delete(owner, "mine", user="ben")
    views.delete(ben, "mine")
    assert names(views, owner)[-1] == ("mine", "ada"), "deleting one's own leaves another's of that name"


def test_a_viewer_keeps_views_but_shares_none(identity: Identity, views: Views, owner: Caller) -> None:
    kim = member(identity, owner, "kim", Role.VIEWER)
    assert views.set(kim, "k", ViewSet(page="runs")).user == "kim"
    with pytest.raises(PermissionDenied, match="editor"):
        views.set(kim, "k", ViewSet(page="runs", shared=True))
    views.set(owner, "ours", ViewSet(page="runs", shared=True))
    with pytest.raises(PermissionDenied, match="owner"):
        views.delete(kim, "ours", user="ada")


def test_an_owner_deletes_what_others_shared(identity: Identity, views: Views, owner: Caller) -> None:
    ben = member(identity, owner, "ben", Role.EDITOR)
    views.set(ben, "ours", ViewSet(page="runs", shared=True))
    with pytest.raises(NotFound):
        views.delete(owner, "ours")
    views.delete(owner, "ours", user="ben")
    assert names(views, ben) == []


def test_what_is_shared_is_told_and_what_is_private_is_not(
    identity: Identity, views: Views, owner: Caller
) -> None:
    views.set(owner, "secretly", ViewSet(page="runs"))
    views.set(owner, "ours", ViewSet(page="runs", shared=True))
    views.delete(owner, "ours")
    views.delete(owner, "secretly")
    told = [(e.verb, e.subject) for e in identity.events.list(owner).items if e.verb.startswith("views.")]
    assert told == [("views.delete", "ours"), ("views.set", "ours")]


@pytest.mark.parametrize("name", ["", " a", "a/b", "a\nb", "x" * 101, "."])
def test_what_is_no_name(views: Views, owner: Caller, name: str) -> None:
    with pytest.raises(InvalidSpec, match="cannot name a view"):
        views.set(owner, name, ViewSet(page="runs"))


def test_there_is_an_end_to_them(views: Views, owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VIEWS", 2)
    for name in ("a", "b"):
        views.set(owner, name, ViewSet(page="runs"))
    with pytest.raises(QuotaExceeded, match="the most there may be"):
        views.set(owner, "c", ViewSet(page="runs"))
    assert views.set(owner, "a", ViewSet(page="runs", query="x")).query == "x"


def test_pages_of_views(views: Views, owner: Caller) -> None:
    for number in range(5):
        views.set(owner, f"v{number}", ViewSet(page="runs"))
    first = views.list(owner, limit=3)
    rest = views.list(owner, limit=3, cursor=first.next)
    assert [len(first.items), len(rest.items), rest.next] == [3, 2, None]
    assert len({one.name for one in (*first.items, *rest.items)}) == 5
