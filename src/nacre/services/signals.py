"""Wake-ups inside one server process: "something of this topic changed".

A signal is a hint. Whoever waits also looks by itself now and then, so that a lost hint, or a change made
by another server, costs only time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Signals:
    """Topics are plain strings: ``jobs``, ``attempt:att_…``, ``run:…``, ``access``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: dict[str, set[threading.Event]] = {}
        self._futures: dict[str, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}

    def notify(self, *topics: str) -> None:
        """Wake everybody who waits for one of the topics, or for ``kind:*``. Call it after the commit."""
        topics += tuple({f"{topic.partition(':')[0]}:*" for topic in topics if ":" in topic})
        with self._lock:
            events = [e for t in topics for e in self._events.get(t, ())]
            futures = [f for t in topics for f in self._futures.get(t, ())]
        for event in events:
            event.set()
        for loop, flag in futures:
            if not loop.is_closed():
                loop.call_soon_threadsafe(flag.set)

    @contextmanager
    def listen(self, *topics: str) -> Iterator[threading.Event]:
        """An event that is set by each notification; clear it before you look."""
        event = threading.Event()
        with self._lock:
            for topic in topics:
                self._events.setdefault(topic, set()).add(event)
        try:
            yield event
        finally:
            with self._lock:
                for topic in topics:
                    self._events[topic].discard(event)
                    if not self._events[topic]:
                        del self._events[topic]

    @contextmanager
    def listen_async(self, *topics: str) -> Iterator[asyncio.Event]:
        """The same for the running event loop."""
        entry = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            for topic in topics:
                self._futures.setdefault(topic, set()).add(entry)
        try:
            yield entry[1]
        finally:
            with self._lock:
                for topic in topics:
                    self._futures[topic].discard(entry)
                    if not self._futures[topic]:
                        del self._futures[topic]
