"""Starts queued jobs."""

from __future__ import annotations

from nacre.control.loop import Loop
from nacre.services.elastic import Elastic
from nacre.services.queue import JobQueue


class QueueLoop(Loop):
    """Woken by ``jobs``: a submission, an end that frees room, an environment that is ready."""

    name = "queue"
    topics = ("jobs", "environments")
    interval_s = 5.0

    def __init__(self, queue: JobQueue, elastic: Elastic) -> None:
        self._queue = queue
        self._elastic = elastic
        self._warm = False

    def run_once(self) -> None:
        """One pass over the queue."""
        if not self._warm:
            self._queue.warm()
            self._warm = True
        self._queue.advance()
        self._elastic.advance()
