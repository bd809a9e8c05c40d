"""Runs: what is logged is there once, found again by any of its names, on both databases."""

from __future__ import annotations

import io
import math
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied
from nacre.plugins.blobs.files import FileBlobs
from nacre.schema.launch import FileEntry
from nacre.schema.runs import Run, RunCreate, RunLog, RunState, RunUpdate, TrackRecord
from nacre.services.blobs import BlobLedger
from nacre.services.events import Events
from nacre.services.runs import Runs
from nacre.services.signals import Signals


def metric(key: str, value: float, step: int, time_ms: int = 1000) -> TrackRecord:
    return TrackRecord(type="m", key=key, value=value, step=step, time_ms=time_ms)


def param(key: str, text: str) -> TrackRecord:
    return TrackRecord(type="p", key=key, text=text, time_ms=1000)


@pytest.fixture
def signals() -> Signals:
    return Signals()


@pytest.fixture
def ledger(database: Database, clock: FixedClock, tmp_path: Path) -> BlobLedger:
    return BlobLedger(database, clock, FileBlobs(tmp_path / "blobs"))


@pytest.fixture
def runs(database: Database, clock: FixedClock, ledger: BlobLedger, signals: Signals) -> Runs:
    return Runs(database, clock, ledger, Events(database, clock), signals)


@pytest.fixture
def run(runs: Runs, people: People) -> Run:
    return runs.create(people.editor, RunCreate(name="first"))


def for_job(runs: Runs, database: Database, people: People, name: str = "train") -> str:
    with database.write() as session:
        return runs.create_for_job(
            session,
            project_id=people.project.id,
            user_id=people.editor.user_id,
            job_id=f"job_{name}",
            job_name=name,
        )


class TestCreate:
    def test_a_run_starts_running_in_its_experiment_with_its_tags(self, runs: Runs, people: People) -> None:
        made = runs.create(people.editor, RunCreate(name="a", experiment="digits", tags={"k": "v"}))
        assert len(made.id) == 32
        assert (made.name, made.experiment, made.state) == ("a", "digits", RunState.RUNNING)
        assert made.tags == {"k": "v"}
        assert made.user == "editor"
        assert made.project == "vision"
        assert made.job is None

    def test_without_a_name_it_is_called_after_its_id(self, runs: Runs, people: People) -> None:
        made = runs.create(people.editor, RunCreate())
        assert made.name == f"run-{made.id[:6]}"

    def test_threads_share_one_experiment(self, runs: Runs, people: People) -> None:
        made: list[Run] = []

        def make() -> None:
            made.append(runs.create(people.editor, RunCreate(experiment="same")))

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(runs.list(people.viewer, experiment="same").items) == 4
        assert runs.list(people.viewer, experiment="other").items == []


class TestFind:
    def test_by_id_prefix_and_name(self, runs: Runs, people: People, run: Run) -> None:
        for reference in (run.id, run.id[:6], run.id[:20], "first"):
            assert runs.get(people.viewer, reference).id == run.id

    def test_the_latest_of_a_name_wins(self, runs: Runs, people: People, run: Run) -> None:
        later = runs.create(people.editor, RunCreate(name="first"))
        assert runs.get(people.viewer, "first").id == later.id

    def test_by_the_name_of_its_job(self, runs: Runs, database: Database, people: People) -> None:
        run_id = for_job(runs, database, people)
        found = runs.get(people.viewer, "train")
        assert (found.id, found.job) == (run_id, "train")
        runs.update(people.editor, run_id, RunUpdate(name="renamed"))
        assert runs.get(people.viewer, "train").name == "renamed"

    @pytest.mark.parametrize("reference", ["nothing", "", "0", "%", "______"])
    def test_what_names_no_run_is_not_found(
        self, runs: Runs, people: People, run: Run, reference: str
    ) -> None:
        with pytest.raises(NotFound, match="nacre runs ls"):
            runs.get(people.viewer, reference)

    def test_five_digits_are_too_few(self, runs: Runs, people: People, run: Run) -> None:
        with pytest.raises(NotFound):
            runs.get(people.viewer, run.id[:5])

    def test_a_run_of_another_project_is_not_found(self, runs: Runs, people: People, run: Run) -> None:
        assert people.stranger.project is not None
        elsewhere = replace(people.stranger, project=replace(people.stranger.project, id="prj_else"))
        with pytest.raises(NotFound):
            runs.get(elsewhere, run.id)


class TestList:
    def test_newest_first_in_pages(self, runs: Runs, people: People) -> None:
        made = [runs.create(people.editor, RunCreate(name=f"r{n}")).id for n in range(5)]
        page = runs.list(people.viewer, limit=2)
        seen = [item.id for item in page.items]
        while page.next:
            page = runs.list(people.viewer, limit=2, cursor=page.next)
            seen += [item.id for item in page.items]
        assert seen == made[::-1]

    def test_each_has_its_own_records(self, runs: Runs, people: People) -> None:
        for name in ("a", "b"):
            made = runs.create(people.editor, RunCreate(name=name))
            records = [param("p", name), metric("m", 1.0 if name == "a" else 2.0, 0)]
            runs.log(people.editor, made.id, RunLog(records=records))
        b, a = runs.list(people.viewer).items
        assert (a.params, b.params) == ({"p": "a"}, {"p": "b"})
        assert (a.metrics[0].last, b.metrics[0].last) == (1.0, 2.0)


class TestLog:
    def test_last_value_extremes_and_count(self, runs: Runs, people: People, run: Run) -> None:
        runs.log(
            people.editor, run.id, RunLog(records=[metric("loss", v, s) for s, v in enumerate([3, 1, 2])])
        )
        runs.log(people.editor, run.id, RunLog(records=[metric("loss", 9, 3), metric("loss", 0.5, 4)]))
        [summary] = runs.get(people.viewer, run.id).metrics
        assert (summary.last, summary.step, summary.min, summary.max, summary.count) == (0.5, 4, 0.5, 9, 5)

    def test_the_last_value_is_that_of_the_greatest_step_however_late_others_come(
        self, runs: Runs, people: People, run: Run
    ) -> None:
        runs.log(people.editor, run.id, RunLog(records=[metric("loss", 1.0, 10)]))
        runs.log(people.editor, run.id, RunLog(records=[metric("loss", 7.0, 3)]))
        [summary] = runs.get(people.viewer, run.id).metrics
        assert (summary.last, summary.step, summary.count) == (1.0, 10, 2)

    def test_the_same_point_again_counts_once_but_other_values_stay(
        self, runs: Runs, people: People, run: Run
    ) -> None:
        for value in (1.0, 1.0, 2.0):
            runs.log(people.editor, run.id, RunLog(records=[metric("loss", value, 0)] * 2))
        found = runs.metric(people.viewer, run.id, "loss").points
        assert [(point.step, point.value) for point in found] == [(0, 1.0), (0, 2.0)]

    def test_points_come_in_order_of_step_then_time(self, runs: Runs, people: People, run: Run) -> None:
        sent = [metric("a/b", 3, 2), metric("a/b", 2, 1, 2000), metric("a/b", 1, 1, 1500)]
        runs.log(people.editor, run.id, RunLog(records=sent))
        points = runs.metric(people.viewer, run.id, "a/b").points
        assert [(p.step, p.time_ms, p.value) for p in points] == [(1, 1500, 1), (1, 2000, 2), (2, 1000, 3)]

    def test_nan_and_infinity_survive(self, runs: Runs, people: People, run: Run) -> None:
        odd = [math.nan, math.inf, -math.inf, 1.0, math.nan]
        runs.log(people.editor, run.id, RunLog(records=[metric("x", v, s) for s, v in enumerate(odd)]))
        values = [p.value for p in runs.metric(people.viewer, run.id, "x").points]
        assert str(values) == str(odd)
        [summary] = runs.get(people.viewer, run.id).metrics
        assert math.isnan(summary.last)
        assert (summary.min, summary.max) == (-math.inf, math.inf)

    def test_a_batch_counts_once_however_often_it_is_sent(
        self, runs: Runs, people: People, run: Run
    ) -> None:
        batch = RunLog(records=[metric("loss", 1.0, 0), param("lr", "0.1")], batch="b1")
        for _ in range(3):
            runs.log(people.editor, run.id, batch)
        runs.log(people.editor, run.id, RunLog(records=[metric("loss", 2.0, 1)], batch="b2"))
        found = runs.get(people.viewer, run.id)
        assert found.metrics[0].count == 2
        assert found.params == {"lr": "0.1"}

    def test_the_last_value_of_a_param_stays(self, runs: Runs, people: People, run: Run) -> None:
        runs.log(people.editor, run.id, RunLog(records=[param("lr", "1"), param("lr", "2")]))
        runs.log(people.editor, run.id, RunLog(records=[param("lr", "3"), param("seed", "7")]))
        assert runs.get(people.viewer, run.id).params == {"lr": "3", "seed": "7"}

    def test_text_that_no_database_keeps_is_made_storable(
        self, runs: Runs, people: People, run: Run
    ) -> None:
        records = [param("a\0b", "x\0y"), metric("m\0", 1, 0), param("é", "日本")]
        runs.log(people.editor, run.id, RunLog(records=records))
        found = runs.get(people.viewer, run.id)
        assert found.params == {"a�b": "x�y", "é": "日本"}
        assert found.metrics[0].key == "m�"

    def test_many_keys_in_one_batch(self, runs: Runs, people: People, run: Run) -> None:
        records = [metric(f"k{n}", n, 0) for n in range(3000)]
        records += [param(f"p{n}", "v") for n in range(3000)]
        for _ in range(2):
            runs.log(people.editor, run.id, RunLog(records=records))
        found = runs.get(people.viewer, run.id)
        assert len(found.metrics) == len(found.params) == 3000
        assert {summary.count for summary in found.metrics} == {1}

    def test_who_watches_is_woken_after_the_commit(
        self, runs: Runs, database: Database, people: People, run: Run, signals: Signals
    ) -> None:
        with signals.listen(f"run:{run.id}") as woken:
            with database.write() as session:
                with session.begin_nested():
                    runs.apply(session, run.id, [metric("loss", 1.0, 0)])
                assert not woken.is_set()
            assert woken.is_set()

    def test_writers_of_one_run_lose_nothing(self, runs: Runs, people: People, run: Run) -> None:
        def write(number: int) -> None:
            for step in range(20):
                runs.log(
                    people.editor,
                    run.id,
                    RunLog(records=[metric("shared", number, step), metric(f"own{number}", step, step)]),
                )

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counts = {m.key: m.count for m in runs.get(people.viewer, run.id).metrics}
        assert counts == {"shared": 80} | {f"own{n}": 20 for n in range(4)}
        assert len(runs.metric(people.viewer, run.id, "shared").points) == 80

    def test_applying_to_a_deleted_run_changes_nothing(
        self, runs: Runs, database: Database, people: People, run: Run
    ) -> None:
        runs.delete(people.editor, run.id)
        with database.write() as session:
            runs.apply(session, run.id, [metric("loss", 1.0, 0)])

    def test_ten_thousand_points_a_second(
        self, runs: Runs, database: Database, people: People, run: Run
    ) -> None:
        batches = [[metric(f"m{n % 20}", n, at * 5000 + n) for n in range(5000)] for at in range(4)]
        started = time.perf_counter()
        for batch in batches:
            with database.write() as session:
                runs.apply(session, run.id, batch)
        assert 20_000 / (time.perf_counter() - started) > 10_000
        assert sum(m.count for m in runs.get(people.viewer, run.id).metrics) == 20_000


class TestMetric:
    def test_an_unknown_metric_names_those_that_there_are(
        self, runs: Runs, people: People, run: Run
    ) -> None:
        runs.log(people.editor, run.id, RunLog(records=[metric("loss", 1, 0)]))
        with pytest.raises(NotFound, match="it has loss"):
            runs.metric(people.viewer, run.id, "los")

    def test_of_many_points_the_spikes_stay(self, runs: Runs, people: People, run: Run) -> None:
        values = [0.0] * 1000
        values[417], values[802] = 9.0, -9.0
        runs.log(people.editor, run.id, RunLog(records=[metric("x", v, s) for s, v in enumerate(values)]))
        points = runs.metric(people.viewer, run.id, "x", limit=20).points
        assert len(points) <= 20
        assert {9.0, -9.0} <= {p.value for p in points}
        assert (points[0].step, points[-1].step) == (0, 999)


class TestEnd:
    def test_finishing_is_done_once(
        self, runs: Runs, database: Database, people: People, clock: FixedClock
    ) -> None:
        run_id = for_job(runs, database, people)
        for state in (RunState.FAILED, RunState.FINISHED):
            with database.write() as session:
                runs.finish(session, run_id, state, clock.now())
            clock.advance(5)
        found = runs.get(people.viewer, run_id)
        assert found.state is RunState.FAILED
        assert found.ended_at == found.created_at

    def test_a_client_ends_its_own_run(
        self, runs: Runs, people: People, run: Run, clock: FixedClock
    ) -> None:
        clock.advance(3)
        ended = runs.update(people.editor, run.id, RunUpdate(state=RunState.FINISHED))
        assert (ended.state, ended.ended_at) == (RunState.FINISHED, clock.now())

    def test_the_state_of_a_jobs_run_is_the_jobs(
        self, runs: Runs, database: Database, people: People
    ) -> None:
        run_id = for_job(runs, database, people)
        with pytest.raises(Conflict, match="job train"):
            runs.update(people.editor, run_id, RunUpdate(state=RunState.FINISHED))


class TestDelete:
    def test_everything_of_it_goes(self, runs: Runs, people: People, run: Run) -> None:
        runs.log(people.editor, run.id, RunLog(records=[metric("loss", 1, 0), param("a", "b")], batch="x"))
        with pytest.raises(Conflict, match="not in the trash"):
            runs.purge(people.editor, run.id)
        runs.delete(people.editor, run.id)
        runs.purge(people.editor, run.id)
        with pytest.raises(NotFound):
            runs.get(people.viewer, run.id)
        assert runs.list(people.viewer).items == []

    def test_a_deleted_run_lies_in_the_trash_and_comes_back(
        self, runs: Runs, people: People, run: Run
    ) -> None:
        runs.log(people.editor, run.id, RunLog(records=[metric("loss", 1, 0)]))
        runs.delete(people.editor, run.id)
        assert runs.get(people.viewer, run.id).deleted_at is not None
        assert runs.list(people.viewer).items == []
        with pytest.raises(NotFound):
            runs.get(people.viewer, "first")
        with pytest.raises(Conflict, match="already"):
            runs.delete(people.editor, run.id)
        assert runs.restore(people.editor, run.id).deleted_at is None
        assert [m.count for m in runs.get(people.viewer, "first").metrics] == [1]
        with pytest.raises(Conflict, match="not in the trash"):
            runs.restore(people.editor, run.id)

    def test_a_jobs_run_goes_with_its_job(self, runs: Runs, database: Database, people: People) -> None:
        run_id = for_job(runs, database, people)
        with pytest.raises(Conflict, match="nacre delete train"):
            runs.delete(people.editor, run_id)
        with database.write() as session:
            runs.remove(session, run_id)
        with pytest.raises(NotFound):
            runs.get(people.viewer, run_id)


class TestJobToken:
    """A job's token reaches its own run only."""

    def test_it_may_not_write_to_others(
        self, runs: Runs, database: Database, people: People, run: Run, clock: FixedClock
    ) -> None:
        own = for_job(runs, database, people)
        fields: dict[str, Any] = {"state": "running", "cpu": 1.0, "memory": 1}
        with database.write() as session:
            session.add(
                AttemptRow(
                    id="att_1",
                    project_id=people.project.id,
                    kind="job",
                    subject_id="job_train",
                    number=1,
                    run_id=own,
                    allocated_at=clock.now(),
                    **fields,
                )
            )
        job = replace(people.editor, attempt_id="att_1", scopes=frozenset({"runs:write", "runs:read"}))
        runs.log(job, own, RunLog(records=[param("a", "b")]))
        with pytest.raises(PermissionDenied):
            runs.log(job, run.id, RunLog(records=[param("a", "b")]))
        nested = runs.create(job, RunCreate(name="nested"))
        runs.log(job, nested.id, RunLog(records=[param("a", "b")]))
        again = replace(job, attempt_id="att_2")
        with pytest.raises(PermissionDenied):
            runs.log(again, nested.id, RunLog(records=[param("a", "b")]))
        with database.write() as session:
            session.add(
                AttemptRow(
                    id="att_2",
                    project_id=people.project.id,
                    kind="job",
                    subject_id="job_train",
                    number=2,
                    run_id=own,
                    allocated_at=clock.now(),
                    **fields,
                )
            )
        runs.log(again, nested.id, RunLog(records=[param("a", "c")]))
        instance = replace(job, scopes=frozenset({"*"}))
        runs.log(instance, run.id, RunLog(records=[param("a", "b")]))


class TestArtifacts:
    def entry(self, ledger: BlobLedger, people: People, path: str, data: bytes) -> FileEntry:
        digest = blake3(data).hexdigest()
        ledger.put(people.editor, digest, io.BytesIO(data))
        return FileEntry(path=path, size=len(data), digest=digest)

    def test_adding_merges_and_replaces(
        self, runs: Runs, people: People, run: Run, ledger: BlobLedger
    ) -> None:
        assert runs.artifacts(people.viewer, run.id).files == []
        runs.add_artifacts(people.editor, run.id, [self.entry(ledger, people, "a.txt", b"one")])
        added = [self.entry(ledger, people, p, b"two") for p in ("a.txt", "sub/b.txt")]
        runs.add_artifacts(people.editor, run.id, added)
        found = runs.artifacts(people.viewer, run.id)
        assert [e.path for e in found.files] == ["a.txt", "sub/b.txt"]
        entry, stream = runs.artifact(people.viewer, run.id, "a.txt")
        with stream:
            assert stream.read() == b"two"
        assert entry.size == 3
        assert runs.get(people.viewer, run.id).artifacts == found.manifest

    def test_a_blob_that_was_not_sent_is_named(self, runs: Runs, people: People, run: Run) -> None:
        lost = FileEntry(path="lost.bin", size=1, digest="0" * 64)
        with pytest.raises(InvalidSpec, match=r"lost\.bin"):
            runs.add_artifacts(people.editor, run.id, [lost])

    def test_a_wrong_length_is_refused(
        self, runs: Runs, people: People, run: Run, ledger: BlobLedger
    ) -> None:
        entry = self.entry(ledger, people, "a", b"one").model_copy(update={"size": 9})
        with pytest.raises(InvalidSpec, match="has 3 bytes"):
            runs.add_artifacts(people.editor, run.id, [entry])

    @pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "", "a/./b", "a\0"])
    def test_an_unsafe_path_is_refused(
        self, runs: Runs, people: People, run: Run, ledger: BlobLedger, path: str
    ) -> None:
        with pytest.raises(InvalidSpec):
            runs.add_artifacts(people.editor, run.id, [self.entry(ledger, people, path, b"x")])

    def test_a_file_that_is_not_there_says_how_to_see_what_is(
        self, runs: Runs, people: People, run: Run
    ) -> None:
        with pytest.raises(NotFound, match="nacre runs artifacts"):
            runs.artifact(people.viewer, run.id, "none")

    def test_threads_that_add_at_once_lose_none(
        self, runs: Runs, people: People, run: Run, ledger: BlobLedger
    ) -> None:
        entries = [self.entry(ledger, people, f"f{n}", b"%d" % n) for n in range(6)]
        threads = [
            threading.Thread(target=runs.add_artifacts, args=(people.editor, run.id, [entry]))
            for entry in entries
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(runs.artifacts(people.viewer, run.id).files) == 6

    def test_the_blobs_are_kept_as_long_as_the_run(
        self, runs: Runs, people: People, run: Run, ledger: BlobLedger, clock: FixedClock
    ) -> None:
        entry = self.entry(ledger, people, "a.txt", b"precious")
        runs.add_artifacts(people.editor, run.id, [entry])
        clock.advance(10 * 24 * 3600)
        ledger.collect()
        _, stream = runs.artifact(people.viewer, run.id, "a.txt")
        stream.close()
        runs.delete(people.editor, run.id)
        ledger.collect()
        ledger.open(people.editor, entry.digest).close()
        runs.purge(people.editor, run.id)
        ledger.collect()
        with pytest.raises(NotFound):
            ledger.open(people.editor, entry.digest)
