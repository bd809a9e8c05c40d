"""Attempts: what launchers report counts once, and what the engine loses is repaired or ended."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from blake3 import blake3
from sqlalchemy import select
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.usage import UsageRow
from nacre.errors import NotFound, PermissionDenied, TooLarge, Unavailable
from nacre.schema.launch import FileEntry, Manifest
from nacre.testing.engines import FakeLaunch
from nacre.testing.jobs import JobsWorld, lines


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


def metric(value: float, step: int) -> dict[str, object]:
    return {"type": "m", "key": "loss", "value": value, "step": step}


def folder(world: JobsWorld, people: People, text: bytes) -> str:
    """Send a folder with one file; its manifest's digest."""
    digest = str(blake3(text).hexdigest())
    world.ledger.put(people.editor, digest, io.BytesIO(text))
    files = [FileEntry(path="a.txt", size=len(text), digest=digest)]
    return world.ledger.write_manifest(people.project.id, Manifest(files=files))


class TestLogChannel:
    def test_bytes_are_taken_once_whatever_is_repeated(self, world: JobsWorld, people: People) -> None:
        _, attempt = world.running(people.editor)

        def send(offset: int, body: bytes) -> int:
            return world.attempts.report(attempt, 0, "log", offset=offset, body=body).offset

        assert send(0, b"hello ") == 6
        assert send(0, b"hello ") == 6
        assert send(3, b"lo world") == 11
        assert send(20, b"a gap") == 11
        assert send(11, b"") == 11
        assert world.attempts.log_path(attempt).read_bytes() == b"hello world"

    def test_binary_bytes_and_halves_of_characters_stay_as_they_are(
        self, world: JobsWorld, people: People
    ) -> None:
        _, attempt = world.running(people.editor)
        data = bytes(range(256)) * 3 + "é".encode()[:1]
        world.attempts.report(attempt, 0, "log", offset=0, body=data)
        assert world.attempts.log_path(attempt).read_bytes() == data

    def test_one_body_is_bounded(self, world: JobsWorld, people: People) -> None:
        _, attempt = world.running(people.editor)
        with pytest.raises(TooLarge):
            world.attempts.report(attempt, 0, "log", offset=0, body=b"x" * (2**20 + 1))

    def test_an_unknown_attempt_or_replica_is_not_found(self, world: JobsWorld, people: People) -> None:
        _, attempt = world.running(people.editor)
        for name, rank in (("att_nothing", 0), (attempt, 7)):
            for channel in ("log", "track"):
                with pytest.raises(NotFound):
                    world.attempts.report(name, rank, channel, offset=0, body=b"x\n")  # type: ignore[arg-type]
        assert not (world.folder / "logs" / "att_nothing").exists()


class TestTrackChannel:
    def test_points_are_there_once_whatever_is_repeated(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        job, attempt = world.running(people.editor)
        whole = lines(clock, *(metric(i / 10, i) for i in range(10)))
        cut = whole.index(b"\n", len(whole) // 2) + 1

        def send(offset: int, body: bytes) -> int:
            return world.attempts.report(attempt, 0, "track", offset=offset, body=body).offset

        assert send(0, whole[:cut]) == cut
        assert send(0, whole[:cut]) == cut
        assert send(0, whole) == len(whole)
        assert send(len(whole) + 5, b"{}\n") == len(whole)
        points = world.runs.metric(people.viewer, job.run, "loss").points
        assert [point.step for point in points] == list(range(10))

    def test_half_a_line_waits_for_its_end(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        job, attempt = world.running(people.editor)
        line = lines(clock, metric(1.0, 1))
        assert world.attempts.report(attempt, 0, "track", offset=0, body=line[:-5]).offset == 0
        assert world.attempts.report(attempt, 0, "track", offset=0, body=line).offset == len(line)
        assert len(world.runs.metric(people.viewer, job.run, "loss").points) == 1

    def test_malformed_lines_are_left_out_with_a_warning(
        self, world: JobsWorld, people: People, clock: FixedClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        job, attempt = world.running(people.editor)
        body = (
            b"not json\n\xff\xfe\n{}\n   \n"
            + lines(clock, metric(1.0, 1))
            + b'{"type":"m","key":"loss","value":"x","time_ms":1}\n'
            + lines(clock, metric(2.0, 2))
        )
        with caplog.at_level(logging.WARNING):
            assert world.attempts.report(attempt, 0, "track", offset=0, body=body).offset == len(body)
        assert "4 malformed lines" in caplog.text
        assert len(world.runs.metric(people.viewer, job.run, "loss").points) == 2

    def test_an_endless_line_does_not_wedge_the_channel(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        job, attempt = world.running(people.editor)
        size = 2**19
        assert world.attempts.report(attempt, 0, "track", offset=0, body=b"x" * size).offset == size
        rest = b"xx\n" + lines(clock, metric(1.0, 1))
        assert world.attempts.report(attempt, 0, "track", offset=size, body=rest).offset == size + len(rest)
        assert len(world.runs.metric(people.viewer, job.run, "loss").points) == 1


class TestEventsChannel:
    def test_a_repeated_exit_ends_once(self, world: JobsWorld, people: People, clock: FixedClock) -> None:
        job, attempt = world.running(people.editor, max_restarts=1)
        body = lines(clock, {"type": "exit", "reason": "exit_nonzero", "exit_code": 1})
        for _ in range(3):
            world.attempts.report(attempt, 0, "events", offset=0, body=body)
        assert world.queue.advance() == 1
        assert len(world.jobs.get(people.viewer, job.id).attempts) == 2

    def test_usage_ends_when_the_launcher_says_but_never_in_the_future(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        _, attempt = world.running(people.editor)
        clock.advance(100)
        ended = clock.now()
        body = lines(clock, {"type": "exit", "reason": "succeeded", "exit_code": 0})
        clock.advance(50)  # the server was away
        world.attempts.report(attempt, 0, "events", offset=0, body=body)
        with world.db.read() as session:
            assert session.scalars(select(UsageRow.ended_at)).one() == ended
        _, second = world.running(people.editor)
        world.report(second, {"type": "exit", "reason": "succeeded", "time_ms": 10**17})
        with world.db.read() as session:
            row = session.get_one(AttemptRow, second)
        assert row.ended_at == clock.now()

    def test_artifacts_of_the_attempt_become_the_runs(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        manifest = folder(world, people, b"weights")
        world.report(attempt, {"type": "artifacts", "manifest": manifest})
        assert world.runs.get(people.viewer, job.run).artifacts == manifest

    def test_nobody_gains_a_file_by_knowing_its_digest(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        foreign = str(blake3(b"of another project").hexdigest())
        files = [FileEntry(path="stolen", size=18, digest=foreign)]
        manifest = world.ledger.write_manifest(people.project.id, Manifest(files=files))
        world.report(attempt, {"type": "artifacts", "manifest": manifest})
        assert world.runs.get(people.viewer, job.run).artifacts is None
        world.exit(attempt)
        assert world.jobs.get(people.viewer, job.id).state == "succeeded"

    def test_a_warning_is_shown_with_the_job(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        world.report(attempt, {"type": "state", "state": "running"})
        world.report(attempt, {"type": "warning", "message": "the output stays on the node"})
        assert world.jobs.get(people.viewer, job.id).message == "the output stays on the node"


class TestBlobs:
    def test_a_launcher_reads_its_own_code_and_no_other_blob(
        self, world: JobsWorld, people: People
    ) -> None:
        code, other = folder(world, people, b"print()"), folder(world, people, b"other")
        _, attempt = world.running(people.editor, code=code)
        caller = world.tokens.resolve(world.engine.launched[attempt].spec.token)
        assert caller is not None
        file = world.ledger.read_manifest(code).files[0].digest
        with world.attempts.get_blob(caller, attempt, file) as stream:
            assert stream.read() == b"print()"
        with pytest.raises(PermissionDenied):
            world.attempts.get_blob(caller, attempt, other)

    def test_artifacts_are_asked_for_and_sent(self, world: JobsWorld, people: People) -> None:
        _, attempt = world.running(people.editor)
        caller = world.tokens.resolve(world.engine.launched[attempt].spec.token)
        assert caller is not None
        digest = str(blake3(b"weights").hexdigest())
        assert world.attempts.missing(caller, attempt, [digest]).missing == [digest]
        world.attempts.put_blob(caller, attempt, digest, io.BytesIO(b"weights"))
        assert world.attempts.missing(caller, attempt, [digest]).missing == []


class TestLoop:
    """The control loop compares what is stored with what the engine sees."""

    def test_a_launcher_that_died_is_replaced(self, world: JobsWorld, people: People) -> None:
        _, attempt = world.running(people.editor)
        world.engine.see(attempt, launcher=False)
        world.loop.run_once()
        assert world.engine.launched[attempt].adoptions == 1
        world.loop.run_once()
        assert world.engine.launched[attempt].adoptions == 1

    def test_an_exit_that_nobody_reported_is_adopted(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        world.engine.see(attempt, launcher=False, work=False, exited=True)
        world.loop.run_once()
        assert world.engine.launched[attempt].adoptions == 1
        assert world.jobs.get(people.viewer, job.id).state == "preparing"

    def test_what_is_gone_is_lost_and_tried_again(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor, max_restarts=1)
        token = world.engine.launched[attempt].spec.token
        world.engine.lose(attempt)
        world.loop.run_once()
        found = world.jobs.get(people.viewer, job.id)
        assert (found.state, found.reason) == ("queued", "node_lost")
        world.loop.run_once()
        assert world.tokens.resolve(token) is None
        assert world.queue.advance() == 1
        world.exit(world.attempt(job).id)
        ended = world.jobs.get(people.viewer, job.id)
        assert [a.reason for a in ended.attempts] == ["node_lost", "succeeded"]

    def test_a_lost_attempt_that_comes_back_is_fenced(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        job, attempt = world.running(people.editor, max_restarts=1)
        world.engine.lose(attempt)
        world.loop.run_once()
        world.queue.advance()
        ack = world.attempts.report(attempt, 0, "track", offset=0, body=lines(clock, metric(1.0, 1)))
        assert (ack.desired, ack.offset) == ("fence", 0)
        assert world.runs.get(people.viewer, job.run).metrics == []

    def test_nothing_changes_while_the_engine_cannot_tell(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        world.engine.see(attempt, launcher=False, work=False)
        world.engine.fail("observe", Unavailable("away"))
        world.loop.run_once()
        assert world.engine.launched[attempt].adoptions == 0
        assert world.jobs.get(people.viewer, job.id).state == "preparing"

    def test_launchers_that_keep_dying_are_given_up(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        for _ in range(6):
            world.engine.see(attempt, launcher=False, work=False)
            world.seconds += 1
            world.loop.run_once()
        assert world.jobs.get(people.viewer, job.id).reason == "node_lost"

    def test_what_a_crash_left_of_attempts_that_are_over_goes_at_the_next_start(
        self, world: JobsWorld, people: People
    ) -> None:
        running = world.running(people.editor)[1]
        closed = world.running(people.editor)[1]
        world.exit(closed)
        world.loop.run_once()
        deleted_job, deleted = world.running(people.editor)
        world.exit(deleted)
        kept = world.engine.launched[deleted]
        world.jobs.delete(people.editor, deleted_job.id)
        world.engine.launched[deleted] = kept  # the delete was cut short on the disk
        kept.output_kept = True
        world.engine.launched[closed] = FakeLaunch(kept.spec.model_copy(update={"attempt_id": closed}))
        world.engine.fail("leftovers", Unavailable("away"))
        after = world.restarted()
        after.loop.run_once()
        assert set(world.engine.launched) == {running, closed, deleted}
        after.loop.run_once()
        assert set(world.engine.launched) == {running}

    def test_refused_output_goes_with_its_job(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        world.engine.launched[attempt].output_kept = True
        world.exit(attempt)
        world.loop.run_once()
        assert attempt in world.engine.launched
        world.jobs.delete(people.editor, job.id)
        assert attempt not in world.engine.launched

    def test_warnings_stay_with_the_job(self, world: JobsWorld, people: People) -> None:
        for reason, code, said in (
            ("succeeded", 0, "two names were odd. a file was left out."),
            ("exit_nonzero", 1, "it exit_nonzero two names were odd. a file was left out."),
        ):
            job, attempt = world.running(people.editor)
            world.report(attempt, {"type": "state", "state": "running"})
            for message in ("two names were odd.", "a file was left out."):
                world.report(attempt, {"type": "warning", "message": message})
            world.exit(attempt, reason, code)
            assert world.jobs.get(people.viewer, job.id).message == said

    def test_after_the_end_folder_and_token_go(self, world: JobsWorld, people: People) -> None:
        _, attempt = world.running(people.editor)
        spec = world.engine.launched[attempt].spec
        world.report(attempt, {"type": "exit", "reason": "succeeded", "exit_code": 0})
        world.loop.run_once()  # the launcher still sends its last bytes
        assert world.tokens.resolve(spec.token) is not None
        assert world.attempts.report(attempt, 0, "log", offset=0, body=b"last").offset == 4
        world.engine.see(attempt, launcher=False, work=False, exited=True, done=True)
        world.loop.run_once()
        assert [world.tokens.resolve(token) for token in (spec.token, spec.work_token)] == [None, None]
        assert world.engine.forgotten == [attempt]
        world.loop.run_once()
        assert world.engine.forgotten == [attempt]

    def test_work_that_goes_on_after_its_reported_end_is_stopped(
        self, world: JobsWorld, people: People
    ) -> None:
        _, attempt = world.running(people.editor)
        world.report(attempt, {"type": "exit", "reason": "succeeded", "exit_code": 0})
        world.loop.run_once()
        assert world.engine.launched[attempt].stops == 1

    def test_a_restarted_server_takes_everything_up_again(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        world.engine.see(attempt, launcher=False)
        after = world.restarted()
        after.loop.run_once()
        assert world.engine.launched[attempt].adoptions == 1
        after.exit(attempt)
        assert after.jobs.get(people.viewer, job.id).state == "succeeded"

    def test_one_attempt_that_fails_does_not_hold_up_the_others(
        self, world: JobsWorld, people: People
    ) -> None:
        _, first = world.running(people.editor)
        _, second = world.running(people.editor)
        world.engine.fail("observe", RuntimeError("a defect"))
        world.engine.see(second, launcher=False)
        world.loop.run_once()
        assert world.engine.launched[second].adoptions == 1
        assert first != second


def test_capacity_counts_attempts_until_they_end(world: JobsWorld, people: People) -> None:
    _, attempt = world.running(people.editor, resources={"cpu": 2, "memory": "1GB"})
    with world.db.read() as session:
        (holding,) = world.attempts.holdings(session)
    assert (holding.node, holding.name, holding.cpu) == ("local", "train-1", 2)
    world.exit(attempt)
    with world.db.read() as session:
        assert world.attempts.holdings(session) == []
