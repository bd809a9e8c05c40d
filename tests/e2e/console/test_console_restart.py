"""A server that goes away under an open page: the page says so, comes back by itself, misses nothing."""

from __future__ import annotations

import pytest
from console_kit import MakePerson
from playwright.sync_api import expect
from real_server import MakeServer

pytestmark = pytest.mark.timeout(240)

COUNT = """
import time
for number in range(400):
    print("line", number, flush=True)
    time.sleep(0.05)
"""


def test_an_open_log_goes_on_after_a_restart(make_server: MakeServer, person: MakePerson) -> None:
    server = make_server()
    server.submit({"main.py": COUNT}, name="count")
    ada = person(server, token=server.token)
    ada.go("/p/default/jobs/count?tab=log")
    mark = ada.page.get_by_test_id("live")
    expect(mark).to_have_attribute("data-state", "live")
    expect(ada.page.get_by_text("line 5", exact=True)).to_be_visible()

    server.kill9()
    expect(mark).to_have_attribute("data-state", "reconnecting")
    server.start()
    expect(mark).to_have_attribute("data-state", "live", timeout=30_000)
    server.wait("count")
    expect(ada.page.get_by_text("line 399", exact=True)).to_be_visible(timeout=30_000)

    with ada.page.expect_download() as download:
        ada.page.get_by_role("link", name="Download the log").click()
    assert download.value.path().read_text().splitlines() == [f"line {n}" for n in range(400)]
    seen = ada.page.evaluate("[...document.querySelectorAll('[data-index]')].map(row => row.textContent)")
    shown = [text for text in seen if "line " in text]
    assert len(shown) == len(set(shown)) > 0
