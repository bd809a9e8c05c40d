"""An endpoint's page: a canary, its share moved by keys, promoted and rolled back; settings; viewers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from console_kit import MakePerson, Person
from playwright.sync_api import Locator, expect
from real_server import Server, wait_until
from served import ask, deploy, register

from nacre.schema.endpoints import EndpointDeploy, EndpointSettings, EndpointUpdate

pytestmark = pytest.mark.timeout(240)

PAGE = "/p/default/endpoints/double"
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def canary_server(console_server: Server) -> Server:
    """Revision 1 doubles; revision 2 triples, for 10 percent of the requests."""
    deploy(console_server, "double", 2.0)
    register(console_server, 3.0)
    nacre = console_server.client()
    nacre.endpoints.deploy("double", EndpointDeploy(model="multiply", version="2", traffic=10))
    nacre.endpoints.wait("double", timeout_s=60)
    return console_server


def shares(server: Server) -> dict[int, int]:
    """What is wanted of each revision that answers, as the API says."""
    found = server.client().endpoints.get("double")
    return {one.number: one.traffic for one in found.revisions if one.traffic}


def row(one: Person, revision: int) -> Locator:
    """The line of a revision's slider."""
    slider = one.page.get_by_role("slider", name=f"Share of revision {revision} in percent")
    return one.page.locator("[class*=share]").filter(has=slider).last


def look(one: Person) -> list[str]:
    """What is wrong with the page as it is now."""
    found = one.violations() + one.complaints
    return [*found, f"{one.overflow()} px too wide"] if one.overflow() else found


def test_a_canary_is_moved_promoted_and_rolled_back(canary_server: Server, person: MakePerson) -> None:
    server = canary_server
    ada = person(server, token=server.token)
    page = ada.go(f"{PAGE}?tab=revisions")
    assert shares(server) == {1: 90, 2: 10}
    expect(row(ada, 2)).to_contain_text("10 %")
    expect(row(ada, 1)).to_contain_text("90 %")

    slider = page.get_by_role("slider", name="Share of revision 2 in percent")
    slider.focus()
    for _ in range(15):
        page.keyboard.press("ArrowRight")
    expect(row(ada, 2)).to_contain_text("25 %")
    expect(row(ada, 1)).to_contain_text("75 %")
    assert shares(server) == {1: 90, 2: 10}, "nothing is sent before it is applied"

    # The endpoint goes on, and is shown as it is: the draft stays.
    url = server.client().endpoints.get("double").url
    for _ in range(20):
        ask(server, url)
    counted = page.get_by_role("row", name="multiply/1").get_by_role("cell").nth(4)
    expect(counted).to_have_text(re.compile("[1-9]"))
    expect(row(ada, 2)).to_contain_text("25 %")
    expect(row(ada, 1)).to_contain_text("75 %")
    assert look(ada) == []
    ada.picture("endpoint-canary")

    page.get_by_role("button", name="Apply shares").click()
    wait_until("the shares are those of the sliders", lambda: shares(server) == {1: 75, 2: 25})
    expect(page.get_by_role("button", name="Apply shares")).to_be_disabled()

    page.get_by_role("button", name="Promote revision 2").click()
    wait_until("revision 2 has all", lambda: shares(server) == {2: 100})
    wait_until("revision 2 answers", lambda: ask(server, url) == [3.0, 6.0])
    expect(page.get_by_role("slider")).to_have_count(0)  # nothing to share

    page.get_by_role("button", name="Roll back", exact=True).click()
    wait_until("the shares are those of before", lambda: shares(server) == {1: 75, 2: 25})
    expect(row(ada, 1)).to_contain_text("75 %")
    assert look(ada) == []


def test_settings_send_what_changed_and_show_what_the_server_refuses(
    canary_server: Server, person: MakePerson
) -> None:
    nacre = canary_server.client()
    nacre.endpoints.update("double", EndpointUpdate(settings=EndpointSettings(queue=7)))
    ada = person(canary_server, token=canary_server.token, phone=True)
    page = ada.go(f"{PAGE}?tab=settings")
    save = page.get_by_role("button", name="Save")
    expect(save).to_be_disabled()
    expect(page.get_by_label("Queue")).to_have_value("7")

    page.get_by_label("Fewest replicas").fill("5")
    save.click()
    expect(page.get_by_role("alert")).to_contain_text("raise max_replicas, or lower min_replicas")
    page.get_by_label("Fewest replicas").fill("few")
    save.click()
    expect(page.get_by_text("Input should be a valid integer")).to_be_visible()

    page.get_by_label("Fewest replicas").fill("1")
    page.get_by_label("Queue").fill("")
    page.get_by_label("Largest request").fill("8 MB")
    page.get_by_label("Take a worse revision back by itself").press("Space")
    with page.expect_request(lambda one: one.method == "PATCH") as sent:
        save.click()
    assert sent.value.post_data_json == {
        "settings": {"queue": None, "max_request_bytes": 8 * 2**20, "rollback": {"enabled": False}}
    }
    expect(save).to_be_disabled()
    kept = nacre.endpoints.get("double").settings
    assert (kept.queue, kept.max_request_bytes, kept.rollback.enabled) == (None, 8 * 2**20, False)
    assert look(ada) == []


def test_hours_with_other_bounds_are_added_and_removed(canary_server: Server, person: MakePerson) -> None:
    nacre = canary_server.client()
    ada = person(canary_server, token=canary_server.token)
    page = ada.go(f"{PAGE}?tab=settings")
    page.get_by_role("button", name="Add hours").click()
    hours = page.get_by_role("group", name="Hours 1", exact=True)
    hours.get_by_label("From").fill("22:00")
    hours.get_by_label("To", exact=True).fill("06:00")
    hours.get_by_label("Mon").uncheck()
    hours.get_by_label("Fewest replicas").fill("0")
    hours.get_by_label("Most replicas").fill("3")
    ada.picture("endpoint-hours")
    assert look(ada) == []
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    [kept] = nacre.endpoints.get("double").scaling.schedules
    assert (kept.days, kept.from_time, kept.to_time) == ([1, 2, 3, 4], "22:00", "06:00")
    assert (kept.min_replicas, kept.max_replicas) == (0, 3)
    page.get_by_role("button", name="Remove hours 1").click()
    page.get_by_role("button", name="Save").click()
    wait_until("there are none", lambda: nacre.endpoints.get("double").scaling.schedules == [])


def test_without_replicas_the_page_says_where_failures_are_told(
    canary_server: Server, person: MakePerson
) -> None:
    ada = person(canary_server, token=canary_server.token)
    page = ada.go(f"{PAGE}?tab=log")
    expect(page.get_by_text("run in the shared model server, not in replicas")).to_be_visible()
    assert look(ada) == []


def test_the_log_of_each_replica_is_there_also_of_one_that_ended(
    console_server: Server, person: MakePerson, tmp_path: Path
) -> None:
    folder = tmp_path / "talks"
    folder.mkdir()
    talking = "print('I am here')\ndef predict(x):\n    print('asked', x)\n    return x\n"
    (folder / "predict.py").write_text(talking)
    console_server.run("deploy", str(folder), "--name", "talks", timeout_s=300)
    nacre = console_server.client()
    [first] = nacre.endpoints.replicas("talks")
    ada = person(console_server, token=console_server.token)
    page = ada.go("/p/default/endpoints/talks?tab=log")
    log = page.get_by_role("tabpanel")
    expect(log.get_by_text("I am here")).to_be_visible()
    assert list(nacre.endpoints.ask_code(nacre.endpoints.get("talks"), 7)) == ["7"]
    expect(log.get_by_text("asked 7")).to_be_visible()  # it comes while one looks

    (folder / "predict.py").write_text("raise ValueError('no weights')\n")
    assert console_server.run("deploy", str(folder), "--name", "talks", check=False).returncode == 1
    failed = nacre.endpoints.replicas("talks")[0]
    page.get_by_role("combobox", name="Replica whose log is shown").click()
    page.get_by_role("option", name="Revision 2 · failed").first.click()
    expect(log.get_by_text("ValueError: no weights").last).to_be_visible()
    expect(page.get_by_role("alert").first).to_contain_text("revision 1 answers; revision 2 has failed")
    assert look(ada) == []
    ada.picture("endpoint-log")
    ada.go(f"/p/default/endpoints/talks?tab=log&replica={failed.id}")
    expect(log.get_by_text("ValueError: no weights").last).to_be_visible()
    ada.go(f"/p/default/endpoints/talks?tab=log&replica={first.id}")
    expect(log.get_by_text("asked 7")).to_be_visible()
    nacre.endpoints.delete("talks")


def test_a_viewer_sees_values_and_changes_nothing(canary_server: Server, person: MakePerson) -> None:
    eve = person(canary_server, phone=True)
    page = eve.go("/sign-up")
    page.get_by_label("Name", exact=True).fill("eve")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.wait_for_url("**/welcome")
    canary_server.client().members.set("eve", "viewer")

    eve.go(f"{PAGE}?tab=settings")
    expect(page.get_by_text("Automatic roll-back")).to_be_visible()
    expect(page.get_by_role("textbox")).to_have_count(0)
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    eve.go(f"{PAGE}?tab=revisions")
    expect(page.get_by_role("region", name="Who answers")).to_contain_text("%")
    expect(page.get_by_role("slider")).to_have_count(0)
    for name in ("Apply shares", "Roll back", "Promote revision 2"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    assert look(eve) == []
