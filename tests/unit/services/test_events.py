"""Events: found by what, whom and when, in one project and on the whole server."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.conftest import People
from tests.identity_kit import Identity, wire

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import PermissionDenied
from nacre.schema.base import Page
from nacre.schema.projects import Event
from nacre.services.events import EventFilter


@pytest.fixture
def identity(database: Database, clock: FixedClock) -> Identity:
    return wire(database, clock)


@pytest.fixture
def told(identity: Identity, people: People) -> Identity:
    """Six events of the project, a minute between them, and two of the server."""
    owner, editor = people.owner, people.editor
    with_user = (
        ("jobs.submit", "job_1", editor, {"name": "train-1"}),
        ("jobs.stop", "job_1", owner, {"name": "train-1"}),
        ("data.create", "digits@1", editor, {"size": 3}),
        ("data.create", "digits_2@1", editor, {"size": 4}),
        ("members.set", "usr_1", owner, {"user": "ada", "role": "viewer"}),
    )
    for verb, subject, caller, detail in with_user:
        with identity.db.write() as session:
            identity.events.add(session, people.project.id, caller.user_id, verb, subject, **detail)
        identity.clock.advance(60)
    with identity.db.write() as session:
        identity.events.add(session, people.project.id, None, "jobs.end", "job_1", name="train-1")
        identity.events.add(session, None, owner.user_id, "settings.update", "sign_up", value="open")
        identity.events.add(session, None, people.stranger.user_id, "users.sign_in", "usr_9")
    return identity


def verbs(*pages: Page[Event]) -> list[str]:
    """Sorted: events of one millisecond have no order."""
    return sorted(event.verb for page in pages for event in page.items)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (EventFilter(verb="jobs"), ["jobs.end", "jobs.stop", "jobs.submit"]),
        (EventFilter(verb="jobs.stop"), ["jobs.stop"]),
        (EventFilter(verb="job"), []),
        (EventFilter(verb="jobs%"), []),
        (EventFilter(user="editor"), ["data.create", "data.create", "jobs.submit"]),
        (EventFilter(user="nobody"), []),
        (EventFilter(subject="job_1"), ["jobs.end", "jobs.stop", "jobs.submit"]),
        (EventFilter(subject="train-1", user="owner"), ["jobs.stop"]),
        (EventFilter(subject="digits"), ["data.create"]),
        (EventFilter(subject="digits@1"), ["data.create"]),
        (EventFilter(subject="ada"), ["members.set"]),
        (
            EventFilter(),
            ["data.create", "data.create", "jobs.end", "jobs.stop", "jobs.submit", "members.set"],
        ),
    ],
)
def test_found_in_a_project(told: Identity, people: People, wanted: EventFilter, found: list[str]) -> None:
    assert verbs(told.events.list(people.viewer, wanted)) == found


def test_before_a_moment(told: Identity, people: People) -> None:
    moment = told.clock.now() - timedelta(minutes=3)
    assert verbs(told.events.list(people.viewer, EventFilter(before=moment))) == [
        "jobs.stop",
        "jobs.submit",
    ]


def test_pages_of_what_is_wanted_follow_each_other(told: Identity, people: People) -> None:
    wanted = EventFilter(verb="jobs")
    first = told.events.list(people.viewer, wanted, limit=2)
    rest = told.events.list(people.viewer, wanted, limit=2, cursor=first.next)
    assert (len(first.items), len(rest.items), rest.next) == (2, 1, None)
    assert verbs(first, rest) == ["jobs.end", "jobs.stop", "jobs.submit"]


def test_of_the_whole_server(told: Identity, people: People) -> None:
    page = told.events.list_all(people.owner)
    assert len(page.items) == 8
    by_verb = {event.verb: (event.project, event.user) for event in page.items}
    assert by_verb["users.sign_in"] == (None, "stranger")
    assert by_verb["settings.update"] == (None, "owner")
    assert by_verb["jobs.end"] == ("vision", None)
    of_project = told.events.list_all(people.owner, EventFilter(verb="data"), project="vision")
    assert verbs(of_project) == ["data.create", "data.create"]
    assert told.events.list_all(people.owner, project="speech").items == []
    assert len(told.events.list_all(people.owner, project=people.project.id).items) == 6


def test_work_does_not_read_those_of_the_server(told: Identity, people: People) -> None:
    work = replace(people.owner, project_ids=frozenset({people.project.id}))
    with pytest.raises(PermissionDenied, match="cannot read the events of the whole server"):
        told.events.list_all(work)
