"""Live updates: who may watch what, and feeds that many subscribers share.

However many clients watch a thing, it is read once for all of them that are at the same position. A slow
client holds nothing back and is held no messages for: it has a position, and what it is sent next covers
everything since.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg

from nacre.db.connect import Database
from nacre.db.queries.run_table import resolve_runs
from nacre.domain.identity import Caller, check
from nacre.errors import InvalidSpec, NotFound, RateLimited, Unavailable
from nacre.schema.charts import RunSearch
from nacre.schema.live import LiveSubscribe
from nacre.schema.operations import OPERATIONS
from nacre.services.live_access import Access, set_within
from nacre.services.live_nouns import NounTopics
from nacre.services.live_topics import (
    EventsTopic,
    ListTopic,
    Position,
    Reading,
    RunTopic,
    Topic,
)
from nacre.services.projects import Projects
from nacre.services.run_table import RunTable
from nacre.services.signals import Signals
from nacre.services.tokens import Tokens

GOVERNS = {
    "run": "runs.get",
    "runs": "runs.search",
    "job": "jobs.get",
    "jobs": "jobs.list",
    "log": "jobs.logs",
    "events": "events.list",
    "instances": "instances.list",
    "environments": "environments.list",
    "models": "models.list",
    "data": "data.list",
    "endpoints": "endpoints.list",
    "instance": "instances.get",
    "environment": "environments.get",
    "model": "models.get",
    "endpoint": "endpoints.get",
    "dataset": "data.get",
    "environment_log": "environments.logs",
    "instance_log": "instances.logs",
    "replica_log": "endpoints.logs",
}
"""The operation whose scope and role a topic needs."""
_NAMED = {
    "run": "run",
    "job": "job",
    "log": "job",
    "instance": "instance",
    "environment": "environment",
    "model": "model",
    "endpoint": "endpoint",
    "dataset": "dataset",
    "environment_log": "environment",
    "instance_log": "instance",
    "replica_log": "replica",
}
"""What the name of a subscription names."""

MAX_CONNECTIONS = 256
"""Of one user."""
_READERS = 4
_LEAST_S = 0.1
"""Between two looks at what changes urgently."""


class Feed:
    """One topic, watched for everybody. Lives on the event loop."""

    def __init__(self, topic: Topic, signals: Signals, pool: ThreadPoolExecutor) -> None:
        self.topic = topic
        self._signals = signals
        self._pool = pool
        self._wakes: dict[object, Callable[[], None]] = {}
        self._known: dict[str, asyncio.Future[Reading]] = {}
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def join(self, who: object, wake: Callable[[], None]) -> None:
        """Call ``wake`` whenever there may be something new."""
        self._wakes[who] = wake

    def leave(self, who: object) -> bool:
        """Stop that; whether nobody is left."""
        self._wakes.pop(who, None)
        return not self._wakes

    def close(self) -> None:
        """Watch no more."""
        self._task.cancel()

    def _look(self, position: Position) -> Reading:
        try:
            return self.topic.read(position)
        except (sqlite3.OperationalError, psycopg.OperationalError) as error:
            raise Unavailable(f"the database cannot answer: {error}") from error

    def read(self, position: Position) -> asyncio.Future[Reading]:
        """What is new past a position: one look for all who are there, so nobody may cancel it.

        The future fails with a NacreError when it is gone, or cannot be read now.
        """
        found = self._known.get(position.key)
        if found is None:
            loop = asyncio.get_running_loop()
            found = loop.run_in_executor(self._pool, self._look, position)
            found.add_done_callback(_heard)
            self._known[position.key] = found
        return found

    async def _watch(self) -> None:
        with (
            self._signals.listen_async(*self.topic.signals) as changed,
            self._signals.listen_async(*self.topic.urgent) as urgent,
        ):
            while True:
                await set_within(changed, self.topic.again_s)
                changed.clear()
                urgent.clear()
                self._known.clear()
                for wake in [*self._wakes.values()]:
                    wake()
                rest_s = self._to_next_beat()
                await asyncio.sleep(min(_LEAST_S, rest_s))
                await set_within(urgent, rest_s - _LEAST_S)
                self._known.clear()

    def _to_next_beat(self) -> float:
        """Feeds of the same pace look at the same moments, so that who watches several is woken once."""
        now, every_s = asyncio.get_running_loop().time(), self.topic.every_s
        return (round(now / every_s) + 1) * every_s - now


def _heard(found: asyncio.Future[Any]) -> None:
    if not found.cancelled():
        found.exception()  # whoever waited may be gone


class Live:
    """Topics for callers, and the feeds of this process."""

    def __init__(
        self,
        *,
        db: Database,
        signals: Signals,
        tokens: Tokens,
        projects: Projects,
        table: RunTable,
        nouns: NounTopics,
    ) -> None:
        self._db = db
        self._tokens = tokens
        self._projects = projects
        self._table = table
        self._nouns = nouns
        self.signals = signals
        self._feeds: dict[str, Feed] = {}
        self._connections: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="live")
        self.access = Access(signals, self.run, self.caller, self.enter)

    # Who may; blocking

    def caller(self, secret: str | None) -> Caller:
        """Who connects.

        Raises:
            Unauthenticated, PermissionDenied: this token may not.
        """
        caller = self._tokens.resolve(secret) if secret else None
        check(OPERATIONS["live.connect"], caller)
        assert caller is not None
        return caller

    def enter(self, caller: Caller, wanted: LiveSubscribe) -> Caller:
        """The caller inside the topic's project.

        Raises:
            NotFound, PermissionDenied: they may not watch this.
        """
        entered = self._projects.enter(caller, wanted.project)
        check(OPERATIONS[GOVERNS[wanted.topic]], entered)
        return entered

    def open(self, caller: Caller, wanted: LiveSubscribe) -> tuple[Topic, Position]:
        """The topic, and where this subscriber begins.

        Raises:
            NotFound: there is no such thing, or the caller may not know.
            InvalidSpec: a field is missing, or the filter does not parse.
        """
        entered = self.enter(caller, wanted)
        if wanted.topic in _NAMED and not wanted.name:
            raise InvalidSpec(f"name: which {_NAMED[wanted.topic]} to watch is missing")
        topic = self._topic(entered, wanted)
        return topic, topic.start(wanted.cursor)

    def _topic(self, caller: Caller, wanted: LiveSubscribe) -> Topic:
        name = wanted.name or ""
        if wanted.topic == "run":
            with self._db.read() as session:
                [row] = resolve_runs(session, caller.project_id, [name])
            if row is None:
                raise NotFound(f"there is no run {name!r} in this project: see 'nacre runs ls'")
            return RunTopic(self._db, row, wanted.keys)
        if wanted.topic == "runs":
            return self._runs(caller, wanted)
        if wanted.topic == "events":
            return EventsTopic(self._db, caller.project_id)
        return self._nouns.topic(caller, wanted)

    def _runs(self, caller: Caller, wanted: LiveSubscribe) -> Topic:
        spec = RunSearch(
            filter=wanted.filter,
            order_by=wanted.order_by,
            experiments=wanted.experiments,
            view=wanted.view,
            columns=wanted.columns,
            limit=wanted.limit,
        )
        self._table.check(spec)
        key = f"runs:{caller.project_id}:{spec.model_dump_json()}"
        return ListTopic(key, ("run:*",), self._db, lambda: self._table.search(caller, spec)["items"])

    # On the event loop

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do something that blocks in a thread of the live connections'."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def join(self, topic: Topic, who: object, wake: Callable[[], None]) -> Feed:
        """The feed of a topic, with one more subscriber."""
        feed = self._feeds.get(topic.key)
        if feed is None:
            feed = self._feeds[topic.key] = Feed(topic, self.signals, self._pool)
        feed.join(who, wake)
        return feed

    def leave(self, feed: Feed, who: object) -> None:
        """One subscriber less."""
        if feed.leave(who) and self._feeds.get(feed.topic.key) is feed:
            del self._feeds[feed.topic.key]
            feed.close()

    @contextmanager
    def connection(self, caller: Caller) -> Iterator[None]:
        """Count a connection of a user while it lasts.

        Raises:
            RateLimited: they have too many.
        """
        if self._connections[caller.user_id] >= MAX_CONNECTIONS:
            raise RateLimited(
                f"you have {MAX_CONNECTIONS} live connections: close some, or put subscriptions together"
            )
        self._connections[caller.user_id] += 1
        try:
            yield
        finally:
            self._connections[caller.user_id] -= 1
            if not self._connections[caller.user_id]:
                del self._connections[caller.user_id]

    @property
    def feeds(self) -> int:
        """How many things are watched now."""
        return len(self._feeds)
