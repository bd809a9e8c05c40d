"""An instance in a real browser: sign-in by link, a notebook, a cell, and no way to the API."""

from __future__ import annotations

import pytest
from browser import CHROMIUM, Browser
from real_server import Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
]


def test_a_cell_runs_in_the_browser_and_the_page_cannot_script_the_api(nacre_server: Server) -> None:
    nacre_server.run("instance", "create", "seen", "--type", "cpu.small", "--env", "base")
    browser = None
    try:
        with nacre_server.client() as client:
            browser = Browser(client.instances.open("seen").url)
        browser.wait("document.querySelectorAll('.jp-LauncherCard').length > 0")
        browser.evaluate("document.querySelector('.jp-LauncherCard[data-category=Notebook]').click()")
        browser.wait("document.querySelector('.jp-Notebook .jp-CodeCell .cm-content') !== null")
        browser.wait("document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'")
        browser.evaluate("document.querySelector('.jp-Notebook .cm-content').focus()")
        browser.call("Input.insertText", text="print(6 * 7)")
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
