"""Fixtures: Debian's Chromium, driven by Playwright, and people in front of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from console_kit import CHROMIUM, FLAGS, MakePerson, Person, Screenshots
from playwright.sync_api import Browser, sync_playwright
from real_server import MakeServer, Server

ROOT = Path(__file__).resolve().parents[3]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    missing = CHROMIUM is None
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.slow)
            if missing:
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed (Debian: chromium)"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module; each person has a profile of their own.

    No longer than that: while Playwright is open its event loop counts as running in this thread, and other
    tests cannot run one.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def screenshots() -> Screenshots:
    """Where pictures are kept: ``NACRE_SCREENSHOTS``, else ``build/screenshots``."""
    return Screenshots(Path(os.environ.get("NACRE_SCREENSHOTS") or ROOT / "build" / "screenshots"))


@pytest.fixture(scope="module")
def console_server(make_module_server: MakeServer) -> Server:
    """A server with the console, of this module's own."""
    return make_module_server()


@pytest.fixture
def person(chromium: Browser, screenshots: Screenshots) -> Iterator[MakePerson]:
    """Makes people with a browser: ``person(server, language="zh", dark=True, phone=True)``."""
    people: list[Person] = []

    def make(
        server: Server,
        *,
        language: str = "en",
        dark: bool = False,
        phone: bool = False,
        token: str | None = None,
    ) -> Person:
        one = Person(chromium, server, screenshots, language=language, dark=dark, phone=phone)
        people.append(one)
        if token is not None:
            one.sign_in_by_link(token)
        return one

    yield make
    for one in people:
        one.close()
