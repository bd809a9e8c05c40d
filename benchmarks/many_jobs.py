"""10,000 jobs submitted at once: is the server with them as fast as without?

    python benchmarks/many_jobs.py [--jobs 10000]

Real services on SQLite, with a fake engine of 4 cpus: no process runs, so that what is measured is the
work of the server. Told are the latency of a submission (the first 100, the last 100), of ``queue.list``,
of a page of ``jobs.list`` and of ``jobs.get`` while all of them wait; the passes of the queue (the first,
which has something to say of every job; one without news; one after jobs ended and others started, which
changes the names in every sentence) and how many rows of jobs each wrote; and the memory of the process.
Aims: the last submissions take no more than twice as long as the first, each list is there within a
second, and a pass without news writes nothing.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import event, select

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables import ALL_TABLES
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.jobs import JobSpec
from nacre.testing.jobs import JobsWorld


def person(db: Database, clock: FixedClock) -> Caller:
    """A project with one editor."""
    project, user = new_id("prj"), new_id("usr")
    with db.write() as session:
        session.add(ProjectRow(id=project, number=1, name="lab", description="", created_at=clock.now()))
        session.add(UserRow(id=user, name="editor", admin=False, created_at=clock.now()))
        session.flush()
        session.add(MemberRow(project_id=project, user_id=user, role=Role.EDITOR, created_at=clock.now()))
    return Caller(user, "editor", admin=False, project=ProjectRef(project, "lab", Role.EDITOR))


class Written:
    """How many rows of jobs were updated since it was asked last."""

    def __init__(self, db: Database) -> None:
        self._rows = 0
        event.listen(db.engine, "before_cursor_execute", self._seen)

    def _seen(self, _c: Any, _cursor: Any, statement: str, values: Any, _x: Any, many: bool) -> None:
        if statement.startswith("UPDATE jobs"):
            self._rows += len(values) if many else 1

    def take(self) -> int:
        """The number, which begins anew."""
        rows, self._rows = self._rows, 0
        return rows


def seconds(work: Callable[[], object], times: int = 1) -> float:
    """The median of what it took, of the wall."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def rss() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """Print the figures; the exit code says whether the aims were reached."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=10_000)
    count = parser.parse_args().jobs
    with tempfile.TemporaryDirectory() as folder:
        db, clock = Database.in_folder(Path(folder)), FixedClock()
        ALL_TABLES.create_all(db.engine)
        world, caller, written = JobsWorld(db, clock, Path(folder)), person(db, clock), Written(db)
        spec = JobSpec.model_validate(
            {"commands": ["python train.py"], "resources": {"cpu": 1, "memory": "1GB"}}
        )
        world.submit(caller)
        world.queue.advance()
        before = rss()

        took = []
        for _ in range(count):
            clock.advance(0.001)
            took.append(seconds(lambda: world.jobs.submit(caller, spec)))
        first, last = statistics.median(took[:100]), statistics.median(took[-100:])
        print(
            f"{count} jobs in {sum(took):.0f} s; a submission (median) takes {first * 1e3:.1f} ms", end=""
        )
        print(f" among the first 100, {last * 1e3:.1f} ms among the last")
        print(f"memory at most {before:.0f} MiB before, {rss():.0f} MiB after", flush=True)

        rows, passes = {}, {}
        written.take()

        def advance(name: str) -> None:
            passes[name] = seconds(world.queue.advance)
            rows[name] = written.take()
            print(f"pass of the queue, {name}: {passes[name]:.2f} s, {rows[name]} rows written", flush=True)

        advance("the first")
        advance("without news")
        with db.read() as session:
            alive = session.scalars(select(AttemptRow.id).where(AttemptRow.ended_at.is_(None))).all()
        for attempt in alive:
            world.exit(attempt)
        written.take()
        advance("after others started")
        advance("right after that")

        newest = world.jobs.list(caller, limit=1).items[0]
        reads = {
            "queue.list": seconds(lambda: world.scheduling.list(caller), 5),
            "jobs.list": seconds(lambda: world.jobs.list(caller, limit=100), 5),
            "jobs.get": seconds(lambda: world.jobs.get(caller, newest.id), 5),
            "queue.shares": seconds(lambda: world.scheduling.shares(caller), 5),
        }
        for name, took_s in reads.items():
            print(f"{name}: {took_s * 1e3:.0f} ms")
        print(f"memory at most {rss():.0f} MiB")
        db.close()
    aims = {
        "the last submissions take at most twice as long": last <= 2 * first,
        "lists within 1 s": max(reads.values()) <= 1,
        "a pass without news writes nothing": rows["without news"] == 0,
        "a pass in which only names changed writes few": rows["after others started"] <= 100,
    }
    for name, reached in aims.items():
        print(f"{name}: {'ok' if reached else 'MISSED'}")
    return int(not all(aims.values()))


if __name__ == "__main__":
    sys.exit(main())
