"""Headless Chromium, driven through its DevTools protocol."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
    "--remote-debugging-port=0",
)


class Browser:
    """One page. ``console`` collects what it complained of."""

    def __init__(self, url: str) -> None:
        assert CHROMIUM is not None
        self._profile = tempfile.mkdtemp(prefix="nacre-chromium-")
        self._process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._numbers = itertools.count(1)
        self.console: list[str] = []
        port = self._port()
        pages = httpx.get(f"http://127.0.0.1:{port}/json").json()
        page = next(p for p in pages if p["type"] == "page")
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(
            connect(page["webSocketDebuggerUrl"], max_size=None, proxy=None)
        )
        self.call("Runtime.enable")
        self.call("Page.enable")
        self.call("Page.navigate", url=url)

    def _port(self) -> int:
        file = Path(self._profile, "DevToolsActivePort")
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if file.exists() and (text := file.read_text()):
                return int(text.splitlines()[0])
            time.sleep(0.05)
        raise AssertionError("Chromium did not start")

    def call(self, method: str, **params: Any) -> Any:
        """Call the protocol; events on the way are noted."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("method") == "Runtime.consoleAPICalled" and message["params"]["type"] == "error":
                self.console.append(str(message["params"]["args"]))
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]

    def evaluate(self, script: str) -> Any:
        """The value of an expression, awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    def wait(self, script: str, timeout_s: float = 60) -> Any:
        """The first truthy value of an expression."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if found := self.evaluate(script):
                return found
            time.sleep(0.2)
        raise AssertionError(
            f"never true in the page: {script}\n{self.evaluate('document.body.innerText')}"
        )

    def press(self, key: str, code: int, modifiers: int = 0) -> None:
        """Press a key; ``modifiers`` 8 is Shift."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def close(self) -> None:
        self._open.close()
        self._process.terminate()
        self._process.wait(20)
        shutil.rmtree(self._profile, ignore_errors=True)
