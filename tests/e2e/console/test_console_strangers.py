"""Two people in two projects: by no address does one see what is the other's."""

from __future__ import annotations

import pytest
from console_kit import MakePerson, Person
from playwright.sync_api import expect
from real_server import MakeServer, Server

pytestmark = pytest.mark.timeout(240)

PASSWORD = "correct horse battery"
AREAS = ("instances", "environments", "data", "jobs", "runs", "models", "endpoints", "settings")


def sign_up(server: Server, person: MakePerson, name: str) -> Person:
    """A new account, in the browser."""
    one = person(server)
    one.go("/sign-up")
    one.page.get_by_label("Name", exact=True).fill(name)
    one.page.get_by_label("Password", exact=True).fill(PASSWORD)
    one.page.get_by_role("button", name="Sign up").click()
    one.page.wait_for_url("**/welcome")
    return one


def test_addresses_of_another_project_lead_nowhere(make_server: MakeServer, person: MakePerson) -> None:
    server = make_server()
    ada, eve = sign_up(server, person, "ada"), sign_up(server, person, "eve")
    for one, project in ((ada, "adas"), (eve, "eves")):
        made = one.page.evaluate(
            """async (name) => (await fetch("/api/v1/projects", {
                method: "POST",
                body: JSON.stringify({name}),
                headers: {"Content-Type": "application/json", "X-Nacre-Console": "1"},
            })).status""",
            project,
        )
        assert made in (200, 201)
    for area in AREAS:
        for path in (f"/p/adas/{area}", f"/p/adas/{area}/secret-thing"):
            eve.go(path)
            expect(eve.page.get_by_role("alert").first).to_be_visible()
            assert "not a member" in eve.page.get_by_role("alert").first.inner_text()
    status = eve.page.evaluate("async () => (await fetch('/api/v1/projects/adas/jobs')).status")
    assert status == 404
    ada.go("/p/adas/jobs")
    expect(ada.page.get_by_role("alert")).to_have_count(0)
