"""How much memory the server takes while a test goes on."""

from __future__ import annotations

import threading

from real_server import Server


class Memory:
    """Watches the most that the server holds while a test goes on."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.before = server.rss()
        self.most = self.before
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, self._server.rss())

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def grown(self) -> int:
        """Bytes over what it held before."""
        return self.most - self.before
