"""Live updates of a real server: it dies and comes back, a token is revoked, a job runs, people watch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from real_server import MakeServer, Server, wait_until

from nacre.errors import NacreError, Unauthenticated
from nacre.schema.runs import TrackRecord
from nacre.sdk.client import Client
from nacre.sdk.live import LiveConnection

pytestmark = pytest.mark.slow
_WAIT_S = 60.0


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Server:
    return make_module_server()


def log(client: Client, run: str, steps: range, batch: str | None = None) -> None:
    records = [TrackRecord(type="m", key="loss", value=s / 2, step=s, time_ms=1000 + s) for s in steps]
    client.runs.log(run, records, batch=batch)


def steps_of(live: LiveConnection, count: int) -> Iterator[int]:
    """The steps that come, until so many have."""
    seen = 0
    deadline = time.monotonic() + _WAIT_S
    while seen < count:
        assert time.monotonic() < deadline, f"only {seen} of {count} points came"
        update = live.next(5)
        if update is None:
            continue
        news = update.data.get("metrics", {}).get("loss", {})
        assert "refetch" not in news
        steps = news.get("step", [])
        seen += len(steps)
        yield from steps


def test_kill_9_of_the_server_loses_and_doubles_nothing(make_server: MakeServer) -> None:
    server = make_server()
    client = server.client()
    run = client.runs.create("watched").id
    total = 400

    def write() -> None:
        writer = server.client()
        for start in range(0, total, 4):
            time.sleep(0.05)  # updates come about once a second: there must be some after each kill
            deadline = time.monotonic() + _WAIT_S
            while True:
                try:
                    log(writer, run, range(start, start + 4), batch=f"b{start}")
                    break
                except NacreError:
                    assert time.monotonic() < deadline

    thread = threading.Thread(target=write, daemon=True)
    with client.live() as live:
        live.run(run, cursor={})
        thread.start()
        seen: list[int] = []
        killed = 0
        for step in steps_of(live, total):
            seen.append(step)
            if killed < 2 and len(seen) > (killed + 1) * total // 4:
                killed += 1
                server.kill9()
                server.start()
        assert seen == list(range(total))
        assert live.connects >= 3
    thread.join(_WAIT_S)
    assert not thread.is_alive()


def test_a_revoked_token_is_cut_off_within_seconds(server: Server) -> None:
    owner = server.client()
    run = owner.runs.create("seen").id
    made = owner.tokens.create("viewer")
    with server.client(made.secret).live() as live:
        live.run(run)
        assert live.next(_WAIT_S) is not None
        owner.tokens.delete(made.token.id)
        began = time.monotonic()
        with pytest.raises(Unauthenticated):
            list(live)
        assert time.monotonic() - began < 10


def test_a_job_its_log_and_the_list_of_jobs_are_told_as_it_goes(server: Server) -> None:
    client = server.client()
    with client.live() as live:
        everything = live.jobs(limit=5)
        events = live.events()
        assert live.next(_WAIT_S) is not None
        job = server.submit({"main.py": "for i in range(200): print('zeile', i, 'ü')"}, client=client)
        one, text = live.job(job.id), live.log(job.id)
        states: list[str] = []
        listed: list[str] = []
        verbs: list[str] = []
        shown, ended = "", False
        deadline = time.monotonic() + 2 * _WAIT_S
        while not (ended and states[-1:] == listed[-1:] == ["succeeded"] and verbs):
            assert time.monotonic() < deadline, (states, listed, verbs, ended)
            update = live.next(5)
            if update is None:
                continue
            if update.id == one:
                states.append(update.data["job"]["state"])
            elif update.id == everything:
                listed += [row["state"] for row in update.data.get("rows", []) if row["id"] == job.id]
            elif update.id == events:
                verbs += [event["verb"] for event in update.data.get("events", [])]
            elif update.id == text:
                assert update.data.get("offset", len(shown.encode())) == len(shown.encode())
                shown += update.data.get("text", "")
                ended = ended or update.data.get("ended", False)
    assert shown.encode() == server.log(job)
    assert "zeile 199 ü" in shown
    assert "jobs.submit" in verbs


def test_fifty_viewers_of_a_run_take_little_memory(server: Server) -> None:
    client = server.client()
    run = client.runs.create("popular").id
    log(client, run, range(10))
    before = server.rss()
    watching = [server.client().live() for _ in range(50)]
    try:
        for live in watching:
            live.run(run)
            assert live.next(_WAIT_S) is not None
        for start in range(10, 510, 10):
            log(client, run, range(start, start + 10))
        for live in watching:
            assert list(steps_of(live, 500)) == list(range(10, 510))
        assert (server.rss() - before) / 50 < 2**20
    finally:
        for live in watching:
            live.close()


def test_the_server_has_not_imported_pyarrow(server: Server) -> None:
    def loaded() -> bool:
        with open(f"/proc/{server.pid}/maps") as maps:
            return "libarrow" in maps.read()

    assert not loaded(), "it takes half a second and tens of megabytes"
    wait_until("the server answers", lambda: server.client().runs.search(limit=1) is not None)
    assert not loaded()
