"""Usage: one record per allocation, and costs that add up however they are grouped."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.domain.identity import Caller
from nacre.domain.scheduling import Holding
from nacre.errors import InvalidSpec
from nacre.ports.engines import NodeFacts
from nacre.services.nodes import Nodes
from nacre.services.prices import Prices
from nacre.services.usage import UsageLedger

PRICE = 3_600_000  # one micro per millisecond


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    return Prices(tmp_path / "prices.toml")


@pytest.fixture
def usage(database: Database, clock: FixedClock, prices: Prices) -> UsageLedger:
    return UsageLedger(database, clock, prices)


class Book:
    """Opens and closes allocations of project vision."""

    def __init__(self, database: Database, clock: FixedClock, usage: UsageLedger, people: People) -> None:
        self.database, self.clock, self.usage, self.people = database, clock, usage, people

    def open(self, allocation: str, **changed: Any) -> None:
        fields: dict[str, Any] = {
            "project_id": self.people.project.id,
            "user_id": self.people.editor.user_id,
            "kind": "job",
            "subject_id": f"job_{allocation}",
            "subject_name": f"job {allocation}",
            "cpu": 1.0,
            "memory": 2**30,
            "gpu": 0,
            "price_per_hour": PRICE,
            "started_at": self.clock.now(),
        }
        with self.database.write() as session:
            self.usage.open(session, allocation_id=allocation, **(fields | changed))

    def close(self, allocation: str, at: datetime | None = None) -> None:
        with self.database.write() as session:
            self.usage.close(session, allocation, at or self.clock.now())

    def cost_of(self, *subjects: str) -> dict[str, int]:
        with self.database.read() as session:
            return self.usage.cost_of(session, subjects)


@pytest.fixture
def book(database: Database, clock: FixedClock, usage: UsageLedger, people: People) -> Book:
    return Book(database, clock, usage, people)


class TestRecord:
    def test_opening_and_closing_again_changes_nothing(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        book.open("a")
        clock.advance(1)
        book.open("a", price_per_hour=1)
        clock.advance(1)
        book.close("a")
        clock.advance(10)
        book.close("a")
        book.open("a")
        [record] = usage.list(people.viewer).items
        assert (record.seconds, record.cost) == (2.0, 2000)
        assert (record.user, record.project, record.kind) == ("editor", "vision", "job")

    def test_closing_what_was_never_opened_makes_no_record(
        self, book: Book, usage: UsageLedger, people: People
    ) -> None:
        book.close("ghost")
        assert usage.list(people.viewer).items == []

    def test_an_end_before_the_start_costs_nothing(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        book.open("a")
        book.close("a", clock.now() - timedelta(seconds=5))
        [record] = usage.list(people.viewer).items
        assert (record.seconds, record.cost) == (0.0, 0)
        assert record.ended_at == record.started_at

    def test_a_running_one_counts_up_to_now(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        book.open("a")
        clock.advance(3)
        [record] = usage.list(people.viewer).items
        assert (record.ended_at, record.seconds, record.cost) == (None, 3.0, 3000)

    def test_pages_newest_first(self, book: Book, usage: UsageLedger, people: People) -> None:
        for name in "abcde":
            book.open(name)
        first = usage.list(people.viewer, limit=3)
        second = usage.list(people.viewer, limit=3, cursor=first.next)
        ids = [item.id for item in (*first.items, *second.items)]
        assert ids == sorted(ids, reverse=True)
        assert len(set(ids)) == 5
        assert second.next is None


class TestCostOf:
    def test_all_attempts_of_a_subject_together(self, book: Book, clock: FixedClock) -> None:
        book.open("a1", subject_id="job_x")
        clock.advance(1)
        book.close("a1")
        book.open("a2", subject_id="job_x")
        clock.advance(2)
        assert book.cost_of("job_x", "job_none") == {"job_x": 3000, "job_none": 0}

    def test_of_more_subjects_than_a_statement_takes(self, book: Book) -> None:
        assert len(book.cost_of(*(f"job_{n}" for n in range(2500)))) == 2500


class TestCost:
    def test_sums_by_each_key_add_up_to_the_same_total(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        book.open("a")
        book.open("b", kind="instance", user_id=people.owner.user_id, price_per_hour=PRICE + 7)
        clock.advance(3 * 24 * 3600 + 17.123)
        book.close("a")
        clock.advance(1.5)
        total = usage.cost(people.viewer).total
        assert total == sum(book.cost_of("job_a", "job_b").values())
        for key in ("project", "user", "kind", "day"):
            found = usage.cost(people.viewer, by=[key])
            assert found.total == total
            assert sum(line.cost for line in found.lines) == total
        assert len(usage.cost(people.viewer, by=["day"]).lines) == 4
        both = usage.cost(people.viewer, by=["kind", "user"]).lines
        assert [(line.kind, line.user, line.day) for line in both] == [
            ("instance", "owner", None),
            ("job", "editor", None),
        ]

    def test_a_period_counts_only_what_fell_into_it(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        start = clock.now()
        book.open("a")
        clock.advance(10)
        book.close("a")
        found = usage.cost(
            people.viewer, since=start + timedelta(seconds=4), until=start + timedelta(seconds=7)
        )
        assert (found.total, found.lines[0].seconds) == (3000, 3.0)
        assert usage.cost(people.viewer, since=clock.now()).lines == []

    def test_nothing_used_costs_nothing(self, usage: UsageLedger, people: People) -> None:
        found = usage.cost(people.viewer, by=["project"])
        assert (found.total, found.lines, found.currency) == (0, [], "USD")

    def test_an_unknown_key_names_those_that_there_are(self, usage: UsageLedger, people: People) -> None:
        with pytest.raises(InvalidSpec, match="project, user, kind, day"):
            usage.cost(people.viewer, by=["moon"])

    def test_by_subject_with_its_name_and_the_dearest_first(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        for name, price in (("cheap", PRICE), ("dear", 3 * PRICE), ("middling", 2 * PRICE)):
            book.open(name, price_per_hour=price)
        book.open("dear-again", subject_id="job_dear", subject_name="job dear")
        clock.advance(1)
        found = usage.cost(people.viewer, by=["kind", "subject"], top=2)
        assert [(line.subject, line.subject_name, line.cost) for line in found.lines] == [
            ("job_dear", "job dear", 4000),
            ("job_middling", "job middling", 2000),
        ]
        assert found.total == 7000
        assert [line.kind for line in found.lines] == ["job", "job"]
        assert usage.cost(people.viewer, by=["kind"]).lines[0].subject_name is None


class TestForecast:
    def test_what_runs_will_have_cost_what_the_ledger_says_then(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        book.open("before")
        clock.advance(20 * 86_400 + 0.123)
        book.close("before")
        book.open("slow", price_per_hour=1_234_567)
        book.open("fast", price_per_hour=7_654_321, kind="instance")
        clock.advance(3_601.234)
        found = usage.forecast(people.viewer)
        assert (found.month, found.currency) == ("2026-01", "USD")
        assert found.spent == usage.cost(people.viewer, since=found.since).total
        assert (found.running, found.running_per_hour) == (2, 1_234_567 + 7_654_321)
        clock.advance((found.until - found.now).total_seconds())
        then = usage.cost(people.viewer, since=found.since, until=found.until)
        assert found.by_running.total == then.total
        assert usage.forecast(people.viewer).month == "2026-02"

    def test_a_month_begins_with_nothing_spent(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        book.open("a")
        clock.advance(31 * 86_400)
        book.close("a")
        found = usage.forecast(people.viewer)
        assert (found.since, found.spent, found.by_running.total) == (clock.now(), 0, 0)
        assert found.recent == 7 * 86_400_000
        assert found.by_recent.total == 28 * 86_400_000

    def test_the_mean_is_over_seven_days_or_since_the_first_use_but_a_day_at_least(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        book.open("a")
        clock.advance(3_600)
        book.close("a")
        day = timedelta(days=1)
        first = usage.forecast(people.viewer)
        assert first.recent_since == clock.now() - day
        left = first.until - first.now
        assert first.by_recent.total == 3_600_000 + round(3_600_000 * (left / day))
        clock.advance(3 * 86_400)
        assert usage.forecast(people.viewer).recent_since == clock.now() - 3 * day - timedelta(hours=1)
        clock.advance(10 * 86_400)
        later = usage.forecast(people.viewer)
        assert (later.recent_since, later.recent) == (clock.now() - 7 * day, 0)
        assert later.by_recent.total == later.spent == 3_600_000

    def test_nothing_used(self, usage: UsageLedger, people: People) -> None:
        found = usage.forecast(people.viewer)
        totals = (found.spent, found.running, found.by_running.total, found.by_recent.total)
        assert totals == (0, 0, 0, 0)
        assert found.by_recent.assumption.endswith("the last 1 day")

    def test_of_the_projects_that_one_sees_and_of_the_one_that_is_named(
        self, book: Book, usage: UsageLedger, people: People, clock: FixedClock
    ) -> None:
        book.open("a")
        clock.advance(10)
        assert usage.forecast(people.viewer).spent == 10_000
        assert usage.forecast(people.viewer, project="vision").running == 1
        assert usage.forecast(people.viewer, project="other").running == 0
        assert usage.forecast(people.stranger).spent == 0


class TestSight:
    """A member sees their projects, an administrator the machine, a limited token its project."""

    @pytest.fixture
    def other(self, database: Database, book: Book, clock: FixedClock, people: People) -> str:
        with database.write() as session:
            session.add(ProjectRow(id="prj_o", number=2, name="other", created_at=clock.now()))
            session.flush()
            session.add(
                MemberRow(
                    project_id="prj_o",
                    user_id=people.stranger.user_id,
                    role="owner",
                    created_at=clock.now(),
                )
            )
        book.open("mine")
        book.open("theirs", project_id="prj_o", user_id=people.stranger.user_id)
        clock.advance(1)
        return "prj_o"

    def projects(self, usage: UsageLedger, caller: Caller, **asked: Any) -> list[str | None]:
        return [line.project for line in usage.cost(caller, by=["project"], **asked).lines]

    def test_each_their_own(self, usage: UsageLedger, people: People, other: str) -> None:
        assert self.projects(usage, people.viewer) == ["vision"]
        assert self.projects(usage, people.stranger) == ["other"]
        assert self.projects(usage, people.owner) == ["other", "vision"]
        assert self.projects(usage, people.owner, project="other") == ["other"]
        assert self.projects(usage, people.viewer, project="other") == []

    def test_a_limited_token(self, usage: UsageLedger, people: People, other: str) -> None:
        limited = replace(people.owner, project_ids=frozenset({other}))
        assert self.projects(usage, limited) == ["other"]


class TestNodes:
    def test_what_is_taken_and_what_fits(self, database: Database, prices: Prices, people: People) -> None:
        there = [NodeFacts("here", 4, 8 * 2**30, ["A10", "A10"], isolation="full")]
        held = [
            Holding("here", "one", 1.0, 2**30, {1: 1.0}),
            Holding("here", "two", 0.5, 2**30),
            Holding("gone", "three", 2.0, 2**30, {0: 1.0}),
        ]
        nodes = Nodes(database, lambda: there, lambda session: held, prices)
        gone, here = nodes.list(people.viewer).items
        assert (here.name, here.cpu_used, here.memory_used) == ("here", 1.5, 2**31)
        assert here.gpus_used == {1: 1.0}
        assert (here.alive, here.isolation) == (True, "full")
        assert (gone.name, gone.alive, gone.cpu_used) == ("gone", False, 2.0)
        available = {t.name for t in nodes.instance_types(people.viewer).items if t.available}
        assert available == {"cpu.small", "cpu.medium"}

    def test_the_work_that_one_may_see(
        self, database: Database, prices: Prices, people: People, book: Book
    ) -> None:
        def start(name: str, node: str, ended: bool = False) -> None:
            book.open(name)
            with database.write() as session:
                session.add(
                    AttemptRow(
                        id=name,
                        project_id=people.project.id,
                        kind="job",
                        subject_id=f"job_{name}",
                        number=1,
                        state="running",
                        cpu=0.5,
                        memory=2**30,
                        allocated_at=book.clock.now(),
                        ended_at=book.clock.now() if ended else None,
                    )
                )
                session.flush()
                place: dict[str, Any] = {"node": node, "gpus": {"1": 0.5}, "handle": {}, "state": "running"}
                session.add(ReplicaRow(attempt_id=name, rank=0, **place))

        start("one", "here")
        start("over", "here", ended=True)
        start("two", "here")
        nodes = Nodes(database, lambda: [NodeFacts("here", 4, 2**33)], lambda session: [], prices)
        [mine] = nodes.list(people.viewer).items
        assert [work.name for work in mine.work] == ["job one", "job two"]
        first = mine.work[0]
        assert (first.project, first.kind, first.user) == ("vision", "job", "editor")
        assert (first.cpu, first.gpus, first.price_per_hour) == (0.5, {1: 0.5}, PRICE)
        assert first.since == book.clock.now()
        assert [len(node.work) for node in nodes.list(people.owner).items] == [2]  # an administrator
        assert [len(node.work) for node in nodes.list(people.stranger).items] == [0]
