"""A person in front of the console: a browser profile, what they see, and what the page complained of."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from real_server import Server

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PATIENCE_MS = 20_000


class Screenshots:
    """Pictures, kept as output of the tests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def take(self, page: Page, name: str) -> Path:
        """A picture of the whole page."""
        path = self._folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.png"
        page.screenshot(path=path, full_page=True)
        return path


class Person:
    """A browser profile with one page. ``complaints``: errors of scripts, and of the page's policy."""

    def __init__(
        self,
        browser: Browser,
        server: Server,
        screenshots: Screenshots,
        *,
        language: str = "en",
        dark: bool = False,
        phone: bool = False,
    ) -> None:
        self.server = server
        self.look = f"{language}-{'dark' if dark else 'light'}-{'phone' if phone else 'desktop'}"
        self.complaints: list[str] = []
        self._screenshots = screenshots
        self._context = browser.new_context(
            base_url=server.url,
            viewport=PHONE if phone else DESKTOP,
            has_touch=phone,
            locale="zh-CN" if language == "zh" else "en-US",
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
            reduced_motion="reduce",
        )
        self._context.set_default_timeout(PATIENCE_MS)
        self.page = self._context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def sign_in_by_link(self, token: str) -> None:
        """As ``nacre console`` does it: a link that works once."""
        link = self.server.client(token).sessions.link()
        self.page.goto(link.path)
        self.page.wait_for_url(lambda url: "sign-in" not in url)

    def go(self, path: str) -> Page:
        """Open an address of the console and wait until it has settled."""
        self.page.goto(path)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Until nothing is loading any more."""
        self.page.wait_for_load_state("load")
        self.page.locator("#root > *").first.wait_for(state="attached")
        expect(self.page.locator("output[aria-label]")).to_have_count(0, timeout=PATIENCE_MS)

    def picture(self, name: str) -> Path:
        """Keep what is seen now, from the top, under a name that says how it was looked at."""
        self.page.evaluate("window.scrollTo(0, 0)")
        return self._screenshots.take(self.page, f"{name}-{self.look}")

    def violations(self) -> list[str]:
        """Serious and critical violations that axe-core finds on the page."""
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate(
            "async () => await axe.run(document, {resultTypes: ['violations']})"
        )
        return [
            f"{one['id']}: {json.dumps([node['html'][:160] for node in one['nodes'][:3]])}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window; 0 where it fits."""
        return int(
            self.page.evaluate(
                "Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth)"
            )
        )

    def close(self) -> None:
        """End the profile."""
        self._context.close()


class MakePerson(Protocol):
    """The fixture ``person``."""

    def __call__(
        self,
        server: Server,
        *,
        language: str = "en",
        dark: bool = False,
        phone: bool = False,
        token: str | None = None,
    ) -> Person: ...


class Words:
    """What the console says: ``words("welcome", "act.train")``, in one language."""

    def __init__(self, language: str) -> None:
        self._folder = ROOT / "console" / "src" / "locales" / language

    def __call__(self, area: str, key: str, **values: str) -> str:
        found: Any = json.loads((self._folder / f"{area}.json").read_text())
        for part in key.split("."):
            found = found[part]
        text = str(found)
        for name, value in values.items():
            text = text.replace("{{" + name + "}}", value)
        return text
