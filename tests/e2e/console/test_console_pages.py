"""Every page, looked at in both languages and themes, on a desk and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from console_kit import MakePerson
from furnished import PAGES, furnish
from real_server import Server

pytestmark = [pytest.mark.framework, pytest.mark.timeout(900)]

LOOKS = (("en", False, False), ("zh", True, True), ("en", True, False), ("zh", False, True))
"""Language, dark, phone."""


@pytest.fixture(scope="module")
def full_server(console_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server whose project has something on every page."""
    folder: Path = tmp_path_factory.mktemp("furniture")
    furnish(console_server, folder)
    return console_server


@pytest.mark.parametrize(("language", "dark", "phone"), LOOKS)
def test_every_page(
    full_server: Server, person: MakePerson, language: str, dark: bool, phone: bool
) -> None:
    """It shows itself without an error, fits the window, and axe-core finds no serious violation."""
    ada = person(full_server, language=language, dark=dark, phone=phone, token=full_server.token)
    wrong: dict[str, list[str]] = {}
    for name, path in PAGES:
        ada.go(path)
        ada.page.wait_for_timeout(800)  # charts, and what is read second
        ada.picture(f"page-{name}")
        found = ada.violations()
        if ada.overflow():
            found.append(f"{ada.overflow()} px too wide")
        if ada.page.get_by_role("heading", level=1).count() != 1:
            found.append("not exactly one heading of level 1")
        if name != "job-failed":  # which says so in one
            found += [f"alert: {text}" for text in ada.page.get_by_role("alert").all_inner_texts()]
        if found or ada.complaints:
            wrong[name] = found + ada.complaints
        ada.complaints.clear()
    assert wrong == {}
