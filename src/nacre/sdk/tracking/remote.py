"""Outside a job: records go to the server in batches, sent by a thread."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
import warnings
from urllib.parse import quote

from nacre.sdk.tracking.wire import Away, Refused, Wire

_GATHER_S = 0.25
_BATCH_LINES = 5000
_BATCH_BYTES = 4 * 2**20
_MAX_WAITING = 1_000_000
_LAST_S = 10.0


def warn(message: str) -> None:
    """A sentence for the user; their program goes on."""
    warnings.warn("nacre: " + message, RuntimeWarning, stacklevel=2)


class RemoteRun:
    """A run made through the API. It never stops the user's program: while the server is away records
    wait in memory (a million at most), and what the server refuses is said in a warning."""

    def __init__(self, wire: Wire, project: str, name: str, experiment: str = "default") -> None:
        self.wire = wire
        self.base = f"/api/v1/projects/{quote(project, safe='')}"
        self.run_id: str | None = None
        self._spec = {"name": name[:250], "experiment": experiment}
        self._pid = os.getpid()
        self._dead = False
        self._full = False
        self._waiting: list[str] = []
        self._sending = 0
        self._closing_at: float | None = None
        self._creating = threading.Lock()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def create(self, timeout_s: float = 30.0) -> str:
        """Make the run if that has not been done, and return its id.

        Raises:
            Away, Refused: it cannot be made, now or ever.
        """
        with self._creating:
            if self.run_id is None:
                body = json.dumps(self._spec).encode()
                made = self.wire.call("POST", self.base + "/runs", body, timeout_s=timeout_s)
                self.run_id = str(made["id"])
            return self.run_id

    def begin(self) -> None:
        """Make the run now if the server is there; otherwise the thread goes on trying."""
        try:
            self.create(timeout_s=5.0)
        except Away as error:
            warn(f"{error}; what is logged waits until it does")
        except Refused as error:
            self._refuse(f"nothing is tracked: {error}")

    def write(self, lines: list[str]) -> None:
        """Hand lines to the thread. A forked child has no thread: it sends them itself."""
        if self._dead:
            return
        if os.getpid() != self._pid:
            self._send(lines, time.monotonic() + 2.0)
            return
        with self._changed:
            if len(self._waiting) + len(lines) > _MAX_WAITING:
                if not self._full:
                    self._full = True
                    warn("the server is away and too much waits for it: from here on records are dropped")
                return
            self._waiting.extend(lines)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="nacre-track", daemon=True)
                self._thread.start()
            self._changed.notify()

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until everything logged so far has been sent; false when time ran out."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._dead or not (self._waiting or self._sending), timeout_s
            )

    def end(self, state: str) -> None:
        """Send what waits, for ten seconds at most, and end the run."""
        if self._dead or os.getpid() != self._pid:
            return
        with self._changed:
            self._closing_at = time.monotonic() + _LAST_S
            self._changed.notify_all()
        if not self.flush(_LAST_S + 1.0):
            warn(f"{self.wire.url} does not answer: {len(self._waiting) + self._sending} records are lost")
        if self.run_id is None or self._dead:
            return
        self._dead = True
        body = json.dumps({"state": state}).encode()
        try:
            self.wire.call("PATCH", f"{self.base}/runs/{self.run_id}", body, timeout_s=5.0)
        except (Away, Refused) as error:
            warn(f"the run could not be ended: {error}")

    def after_fork(self) -> None:
        """In a child: the thread and what waits stay with the parent."""
        self._waiting, self._thread = [], None
        self._creating = threading.Lock()
        self._changed = threading.Condition()

    # The thread

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing_at)
                if not self._waiting:
                    return
                if self._closing_at is None and len(self._waiting) < _BATCH_LINES:
                    self._changed.wait_for(
                        lambda: self._closing_at is not None or len(self._waiting) >= _BATCH_LINES,
                        _GATHER_S,
                    )
                lines = self._take()
                self._sending = len(lines)
            self._send(lines, None)
            with self._changed:
                self._sending = 0
                self._changed.notify_all()
                if self._dead:
                    return

    def _take(self) -> list[str]:
        size = count = 0
        for line in self._waiting[:_BATCH_LINES]:
            size += len(line)
            if count and size > _BATCH_BYTES:
                break
            count += 1
        lines, self._waiting = self._waiting[:count], self._waiting[count:]
        return lines

    def _send(self, lines: list[str], deadline: float | None) -> None:
        """Send one batch, again and again until ``deadline`` (null: while the program runs).

        Its id makes it count once however often it arrives.
        """
        body = f'{{"batch":"{uuid.uuid4().hex}","records":[{",".join(lines)}]}}'.encode()
        pause = 0.1
        while True:
            try:
                self.wire.call("POST", f"{self.base}/runs/{self.create()}/log", body)
                return
            except Refused as error:
                if self.run_id is None:
                    self._refuse(f"nothing is tracked: {error}")
                else:
                    warn(f"{len(lines)} records were refused: {error}")
                return
            except Away as error:
                end = deadline if deadline is not None else self._closing_at
                if end is not None and time.monotonic() + pause > end:
                    if deadline is not None:
                        warn(f"{error}: {len(lines)} records are lost")
                    else:
                        self._refuse(f"{error}: {len(lines) + len(self._waiting)} records are lost")
                    return
            with self._changed:  # the end of the program wakes it
                self._changed.wait(pause)
            pause = min(pause * 2, 5.0) if self._closing_at is None else 0.2

    def _refuse(self, message: str) -> None:
        self._dead = True
        self._waiting = []
        warn(message)
