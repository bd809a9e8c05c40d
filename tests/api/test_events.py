"""Events over HTTP: filtered, a project's to its members, the server's to administrators."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.conftest import Http
from tests.identity_kit import Identity

A = "/api/v1"


@pytest.fixture
def owner(identity: Identity) -> str:
    return identity.users.ensure_owner()[1]


@pytest.fixture
def ada(api: Http, identity: Identity) -> str:
    """Owner of a project in which she did something."""
    secret = identity.sign_up("ada").secret
    for network in ("full", "none"):
        api.request("PATCH", f"{A}/projects/ada", token=secret, json={"network": network})
    api.request("PUT", f"{A}/projects/ada/secrets/HF_TOKEN", token=secret, json={"value": "x"})
    return secret


def listed(api: Http, url: str, token: str, **query: Any) -> list[tuple[str, str | None, str | None]]:
    """Sorted: events of one millisecond have no order."""
    answer = api.request("GET", url, token=token, params=query)
    assert answer.status_code == 200, answer.text
    return sorted((e["verb"], e["user"], e["project"]) for e in answer.json()["items"])


def test_a_projects_events_are_filtered(api: Http, ada: str) -> None:
    url = f"{A}/projects/ada/events"
    assert listed(api, url, ada, verb="secrets") == [("secrets.set", "ada", "ada")]
    assert (
        listed(api, url, ada, verb="projects.update", user="ada") == [("projects.update", "ada", "ada")] * 2
    )
    assert listed(api, url, ada, subject="HF_TOKEN") == [("secrets.set", "ada", "ada")]
    assert listed(api, url, ada, user="bob") == []
    assert listed(api, url, ada, before="2000-01-01T00:00:00") == []
    assert len(listed(api, url, ada, before="2999-01-01T00:00:00+08:00")) >= 3
    for query in ({"before": "yesterday"}, {"verb": "x" * 65}):
        assert api.request("GET", url, token=ada, params=query).status_code == 422


def test_administrators_see_those_of_the_server(api: Http, ada: str, owner: str) -> None:
    url = f"{A}/events"
    assert ("users.sign_up", "ada", None) in listed(api, url, owner)
    assert listed(api, url, owner, project="ada", verb="secrets") == [("secrets.set", "ada", "ada")]
    assert api.request("GET", url, token=ada).status_code == 403
