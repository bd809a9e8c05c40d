"""From signing up to a model that recognises a digit drawn with the mouse: by clicks only."""

from __future__ import annotations

import math

import pytest
from console_kit import MakePerson, Person, Words
from playwright.sync_api import Locator, Page, expect
from real_server import MakeServer

pytestmark = [pytest.mark.framework, pytest.mark.timeout(900)]

LONG_MS = 400_000
"""An environment may have to be built."""
Stroke = list[tuple[float, float]]


def zero() -> list[Stroke]:
    """An oval, in parts of the pad's sides."""
    turns = [2 * math.pi * n / 40 for n in range(41)]
    return [[(0.5 + 0.2 * math.cos(a), 0.5 + 0.32 * math.sin(a)) for a in turns]]


def one() -> list[Stroke]:
    """A stroke downward, with a small flag."""
    return [[(0.42, 0.28), (0.52, 0.16), (0.52, 0.3), (0.52, 0.5), (0.52, 0.7), (0.52, 0.86)]]


def four() -> list[Stroke]:
    """An open four."""
    return [
        [(0.35, 0.15), (0.3, 0.35), (0.28, 0.52), (0.45, 0.53), (0.7, 0.52)],
        [(0.62, 0.2), (0.6, 0.5), (0.58, 0.88)],
    ]


def draw(page: Page, pad: Locator, strokes: list[Stroke]) -> None:
    """Draw with the mouse."""
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=4)
        page.mouse.up()


def step(person: Person, words: Words, name: str) -> Locator:
    """A step's row on the first page."""
    title = words("welcome", f"steps.{name}.title")
    heading = person.page.get_by_role("heading", name=title, exact=True)
    return person.page.get_by_role("listitem").filter(has=heading)


@pytest.mark.parametrize(
    ("language", "dark", "phone"), [("en", False, False), ("zh", True, True)], ids=["desktop", "phone"]
)
def test_eight_steps_by_clicks(
    make_server: MakeServer, person: MakePerson, language: str, dark: bool, phone: bool
) -> None:
    server = make_server()
    words = Words(language)
    ada = person(server, language=language, dark=dark, phone=phone)
    page = ada.page

    def click(scope: Page | Locator, area: str, key: str) -> None:
        scope.get_by_role("button", name=words(area, key)).or_(
            scope.get_by_role("link", name=words(area, key))
        ).first.click()

    def done(name: str) -> None:
        expect(step(ada, words, name)).to_contain_text(words("welcome", "state.done"), timeout=LONG_MS)

    # 1 account, with a project
    ada.go("/")
    page.wait_for_url("**/sign-in*")
    ada.picture("steps-0-sign-in")
    page.get_by_role("link", name=words("door", "signUp")).click()
    expect(page.get_by_role("button", name=words("door", "signUp"))).to_be_visible()  # not sign-in's fields
    page.get_by_label(words("door", "name"), exact=True).fill("ada")
    page.get_by_label(words("door", "password"), exact=True).fill("analytical engine")
    click(page, "door", "signUp")
    page.wait_for_url("**/welcome")
    done("account")
    ada.picture("steps-1-account")

    # 2 instance: JupyterLab in a tab of its own, from the other origin
    click(step(ada, words, "instance"), "welcome", "act.instance")
    click(page, "instances", "create.submit")
    with ada.page.context.expect_page(timeout=LONG_MS) as opened:
        page.get_by_role("button", name=words("instances", "open.button", app="JupyterLab")).click(
            timeout=LONG_MS
        )
    lab = opened.value
    lab.wait_for_url(f"{server.content_url}/**", timeout=60_000)
    expect(lab.locator(".jp-LauncherCard").first).to_be_visible(timeout=60_000)
    lab.close()
    ada.picture("steps-2-instance")

    # 3 environment, 4 data
    ada.go("/welcome")
    if step(ada, words, "environment").get_by_role("button", name=words("welcome", "act.build")).count():
        click(step(ada, words, "environment"), "welcome", "act.build")
    click(step(ada, words, "data"), "welcome", "act.sample")
    done("data")
    done("environment")
    ada.picture("steps-4-data")

    # 5 code, 6 train: the form with the script, sent as it is
    click(step(ada, words, "code"), "welcome", "act.code")
    page.get_by_role("button", name=words("jobs", "form.submit")).click()
    page.wait_for_url("**/jobs/*")
    ada.settle()
    expect(page.locator("[data-line]").first).to_be_visible(timeout=LONG_MS)
    ada.picture("steps-6-train")
    ada.go("/welcome")
    done("train")

    # 7 evaluate, 8 deploy
    click(step(ada, words, "evaluate"), "welcome", "act.evaluate")
    done("evaluate")
    click(step(ada, words, "deploy"), "welcome", "act.deploy")
    done("deploy")
    ada.picture("steps-8-deployed")

    click(step(ada, words, "deploy"), "welcome", "act.draw")
    pad = page.get_by_label(words("endpoints", "draw.label"))
    right = 0
    for digit, strokes in ((0, zero()), (1, one()), (4, four())):
        draw(page, pad, strokes)
        expect(page.get_by_test_id("winner")).to_be_visible()
        page.wait_for_timeout(1000)
        right += page.get_by_test_id("winner").inner_text() == str(digit)
        ada.picture(f"steps-9-drawn-{digit}")
        page.get_by_role("button", name=words("endpoints", "draw.clear")).click()
    assert right >= 2, "of three digits that were drawn, at least two are recognised"
    assert ada.complaints == []
