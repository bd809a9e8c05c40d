"""An instance in a real browser: sign-in by link, a notebook, a cell, and no way to the API."""

from __future__ import annotations

import time

import pytest
from browser import CHROMIUM, Browser
from real_server import Server

CELL = "document.querySelector('.jp-Notebook .cm-content')"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
]


def type_in(browser: Browser, text: str) -> None:
    """Type into the first cell; again when the page, which still arranges itself, lost it."""
    browser.wait("document.querySelector('.jp-Toolbar-kernelName')?.innerText === 'base'")
    browser.wait("document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'")
    deadline = time.monotonic() + 60
    seen = 0
    while seen < 5:
        assert time.monotonic() < deadline, "the cell keeps no text"
        seen = seen + 1 if browser.evaluate(f"{CELL}.innerText.trim()") == text else 0
        if seen == 0:
            browser.evaluate(f"{CELL}.focus()")
            browser.call("Input.insertText", text=text)
        time.sleep(0.2)


def test_a_cell_runs_in_the_browser_and_the_page_cannot_script_the_api(nacre_server: Server) -> None:
    nacre_server.run("instance", "create", "seen", "--type", "cpu.small", "--env", "base")
    browser = None
    try:
        with nacre_server.client() as client:
            browser = Browser(client.instances.open("seen").url)
        browser.wait("document.querySelectorAll('.jp-LauncherCard').length > 0")
        browser.evaluate("document.querySelector('.jp-LauncherCard[data-category=Notebook]').click()")
        browser.wait("document.querySelector('.jp-Notebook .jp-CodeCell .cm-content') !== null")
        type_in(browser, "print(6 * 7)")
        browser.press("Enter", 13, modifiers=8)
        browser.wait(
            "[...document.querySelectorAll('.jp-OutputArea-output')].some(o => o.innerText.trim() === '42')"
        )
        refused = browser.evaluate(
            f"fetch('{nacre_server.url}/api/v1/me', {{credentials: 'include'}})"
            ".then(a => 'answered ' + a.status, e => 'refused')"
        )
        assert refused == "refused"
        assert not [line for line in browser.console if "401" in line or "403" in line]
    finally:
        if browser is not None:
            browser.close()
        nacre_server.run("instance", "stop", "seen")
        nacre_server.run("instance", "delete", "seen", "--yes")
