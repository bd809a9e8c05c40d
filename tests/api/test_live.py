"""The live connection over a real socket: cursors, cut connections, slow and many clients, rights."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import People
from tests.tracking_kit import Table, Tracking, serving, wire
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from nacre.api.live import _frames
from nacre.db.connect import Database
from nacre.errors import NotFound, PermissionDenied, Unauthenticated
from nacre.schema.live import MAX_SUBSCRIPTIONS
from nacre.schema.runs import RunCreate, RunLog, RunUpdate, TrackRecord
from nacre.sdk.client import Client
from nacre.services.live_topics import Position, Reading, RunTopic

DEADLINE_S = 30.0


@pytest.fixture
def tracking(database: Database, people: People, tmp_path: Path) -> Tracking:
    return wire(database, people, tmp_path)


@pytest.fixture
def url(tracking: Tracking) -> Iterator[str]:
    with serving(tracking.app) as found:
        yield found


class Wire:
    """A plain WebSocket client that speaks the protocol by hand."""

    def __init__(self, url: str, token: str | None = "editor", query: str = "", **options: Any) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        opening = connect(
            "ws" + url.removeprefix("http") + "/api/v1/live" + query,
            additional_headers=headers,
            compression=None,
            close_timeout=1,
            proxy=None,
            **options,
        )
        self.held = ExitStack()
        self.socket: ClientConnection = self.held.enter_context(opening)

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def subscribe(self, name: str = "a", topic: str = "run", **more: Any) -> None:
        self.say(op="subscribe", id=name, topic=topic, **({"project": "vision", "name": "r"} | more))

    def hear(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.socket.recv(timeout=DEADLINE_S))
        return found

    def until(self, true: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if true(found := self.hear()):
                return found
        raise AssertionError("that message did not come")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_error: object) -> None:
        self.held.close()


def make(tracking: Tracking, name: str = "r") -> str:
    return tracking.runs.create(tracking.people.editor, RunCreate(name=name)).id


def log(tracking: Tracking, run: str, steps: range, key: str = "loss") -> None:
    records = [TrackRecord(type="m", key=key, value=s / 2, step=s, time_ms=1000 + s) for s in steps]
    tracking.runs.log(tracking.people.editor, run, RunLog(records=records))


def points_of(message: dict[str, Any], key: str = "loss") -> list[tuple[int, float]]:
    news = message.get("data", {}).get("metrics", {}).get(key, {})
    return list(zip(news.get("step", []), news.get("value", []), strict=True))


class TestRun:
    def test_a_subscription_starts_now_and_tells_what_is_appended(
        self, tracking: Tracking, url: str
    ) -> None:
        run = make(tracking)
        log(tracking, run, range(3))
        with Wire(url) as wire:
            assert wire.hear() == {"op": "ready", "user": "editor", "heartbeat_s": 15.0}
            wire.subscribe()
            first = wire.hear()
            assert first["data"]["run"]["state"] == "running"
            assert "metrics" not in first["data"]
            assert first["cursor"]["m:loss"] == "3:2:1002"
            log(tracking, run, range(3, 5))
            second = wire.until(points_of)
            assert points_of(second) == [(3, 1.5), (4, 2.0)]
            assert second["data"]["metrics"]["loss"]["count"] == 5

    def test_an_empty_cursor_starts_at_the_beginning(self, tracking: Tracking, url: str) -> None:
        run = make(tracking)
        log(tracking, run, range(3))
        with Wire(url) as wire:
            wire.subscribe(cursor={})
            assert points_of(wire.until(points_of)) == [(0, 0.0), (1, 0.5), (2, 1.0)]

    def test_points_out_of_order_are_told_as_refetch(self, tracking: Tracking, url: str) -> None:
        run = make(tracking)
        log(tracking, run, range(5, 8))
        with Wire(url) as wire:
            wire.subscribe()
            wire.until(lambda m: m["op"] == "update")
            log(tracking, run, range(2))
            found = wire.until(lambda m: m["op"] == "update")
            assert found["data"]["metrics"]["loss"]["refetch"] is True
            assert found["data"]["metrics"]["loss"]["count"] == 5
            log(tracking, run, range(8, 9))
            assert points_of(wire.until(points_of)) == [(8, 4.0)]

    def test_who_is_too_far_behind_is_told_to_refetch(self, tracking: Tracking, url: str) -> None:
        run = make(tracking)
        for start in range(0, 25_000, 5000):
            log(tracking, run, range(start, start + 5000))
        with Wire(url, max_size=2**22) as wire:
            wire.subscribe(cursor={})
            found = wire.until(lambda m: m["op"] == "update")
            assert found["data"]["metrics"]["loss"]["refetch"] is True

    def test_state_params_and_tags_are_told_when_they_change(self, tracking: Tracking, url: str) -> None:
        run = make(tracking)
        with Wire(url) as wire:
            wire.subscribe()
            held = wire.until(lambda m: m["op"] == "update")["cursor"]
            sent = RunLog(records=[TrackRecord(type="p", key="lr", text="1", time_ms=1)])
            tracking.runs.log(tracking.people.editor, run, sent)
            assert wire.until(lambda m: m["op"] == "update")["data"]["run"]["params"] == {"lr": "1"}
            tracking.runs.update(tracking.people.editor, run, RunUpdate(state="finished"))
            last = wire.until(lambda m: m["op"] == "update")
            assert last["data"]["run"]["state"] == "finished"
        with Wire(url) as wire:
            wire.subscribe(cursor=held | last["cursor"])
            assert wire.until(lambda m: m["op"] == "update")["data"] == {}, "it is known already"

    def test_points_come_once_a_second_and_a_state_does_not_wait_for_them(
        self, tracking: Tracking, url: str
    ) -> None:
        run = make(tracking)
        done = threading.Event()

        def write() -> None:
            step = 0
            while not done.wait(0.02):
                log(tracking, run, range(step, step := step + 1))

        writer = threading.Thread(target=write)
        with Wire(url) as wire:
            wire.subscribe()
            writer.start()
            try:
                times = []
                for _ in range(4):
                    wire.until(points_of)
                    times.append(time.monotonic())
                assert times[-1] - times[1] > 1.5, "not every point by itself"
                took = []
                for name in ("urgent", "now", "at once"):
                    time.sleep(0.15)
                    before = time.monotonic()
                    tracking.runs.update(tracking.people.editor, run, RunUpdate(name=name))
                    wire.until(lambda m, n=name: m.get("data", {}).get("run", {}).get("name") == n)
                    took.append(time.monotonic() - before)
                assert min(took) < 0.6, "it waits for no point"
            finally:
                done.set()
                writer.join()

    def test_odd_values_are_null_and_keys_are_chosen_by_pattern(self, tracking: Tracking, url: str) -> None:
        run = make(tracking)
        with Wire(url) as wire:
            wire.subscribe(keys=["val/*"], cursor={})
            for key, value in (("loss", 1.0), ("val/x", math.nan)):
                sent = RunLog(records=[TrackRecord(type="m", key=key, value=value, time_ms=1)])
                tracking.runs.log(tracking.people.editor, run, sent)
            found = wire.until(lambda m: "metrics" in m.get("data", {}))
            assert set(found["data"]["metrics"]) == {"val/x"}
            assert points_of(found, "val/x") == [(0, None)]

    def test_a_chart_s_cursor_is_where_a_subscription_goes_on(self, tracking: Tracking, url: str) -> None:
        run = make(tracking)
        log(tracking, run, range(10))
        with Client(url, "editor", project="vision") as client:
            [series] = client.runs.chart([run], ["loss"]).series
            log(tracking, run, range(10, 12))
            with client.live() as live:
                live.run(run, cursor={"m:loss": series.cursor})
                update = live.next(DEADLINE_S)
                assert update is not None
                assert update.data["metrics"]["loss"]["step"] == [10, 11]


def test_cut_connections_lose_and_double_nothing_while_points_are_logged(
    tracking: Tracking, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunTopic, "every_s", 0.2)
    run = make(tracking)
    total, cuts = 600, 5
    ahead = threading.Semaphore(10)  # so that the writer is not done before the last cut

    def write() -> None:
        for start in range(0, total, 4):
            ahead.acquire(timeout=DEADLINE_S)
            log(tracking, run, range(start, start + 4))

    writer = threading.Thread(target=write, daemon=True)
    with Client(url, "editor", project="vision") as client, client.live() as live:
        live.run(run, cursor={})
        writer.start()
        seen: list[int] = []
        cut = 0
        deadline = time.monotonic() + 2 * DEADLINE_S
        while len(seen) < total and time.monotonic() < deadline:
            update = live.next(5)
            if update is None:
                continue
            news = update.data.get("metrics", {}).get("loss", {})
            assert "refetch" not in news
            seen += news.get("step", [])
            ahead.release(max(1, len(news.get("step", [])) // 4))
            if cut < live.connects <= cuts and news and live._socket is not None:
                cut = live.connects
                live._socket.socket.shutdown(2)  # the network is gone, without a goodbye
        assert seen == list(range(total))
        assert live.connects > cuts
    writer.join(10)


def test_a_slow_client_gets_fewer_and_larger_updates_and_misses_nothing(
    tracking: Tracking, url: str
) -> None:
    run = make(tracking)
    with Wire(url, max_queue=1) as slow, Wire(url) as quick:
        for wire_ in (slow, quick):
            wire_.subscribe(cursor={})
        for start in range(0, 15_000, 500):
            log(tracking, run, range(start, start + 500))
        quick_points: list[int] = []
        while len(quick_points) < 15_000:
            quick_points += [step for step, _ in points_of(quick.until(points_of))]
        slow_points: list[int] = []
        while len(slow_points) < 15_000:
            slow_points += [step for step, _ in points_of(slow.until(points_of))]
    assert quick_points == slow_points == list(range(15_000))


def test_fifty_clients_share_one_look_and_all_see_everything(tracking: Tracking, url: str) -> None:
    run = make(tracking)
    looks: list[int] = []
    wires = [Wire(url) for _ in range(50)]
    try:
        for wire_ in wires:
            wire_.subscribe(cursor={})
        for wire_ in wires:
            wire_.until(lambda m: m["op"] == "update")
        assert tracking.live.feeds == 1
        [feed] = tracking.live._feeds.values()
        real = feed.topic.read
        feed.topic.read = lambda position: looks.append(1) or real(position)  # type: ignore[method-assign,func-returns-value]
        for start in range(0, 40, 4):
            log(tracking, run, range(start, start + 4))
        for wire_ in wires:
            seen: list[int] = []
            while len(seen) < 40:
                seen += [step for step, _ in points_of(wire_.until(points_of))]
            assert seen == list(range(40))
        assert len(looks) < 50, "fifty clients cost as many looks as one, not fifty times as many"
    finally:
        for wire_ in wires:
            wire_.held.close()
    deadline = time.monotonic() + DEADLINE_S
    while tracking.live.feeds and time.monotonic() < deadline:
        time.sleep(0.01)
    assert tracking.live.feeds == 0, "nobody watches, so nothing is read"


class TestFrames:
    """Several messages in one frame, for who asks for it."""

    def test_what_several_subscriptions_tell_at_one_time_comes_in_one_frame(
        self, tracking: Tracking, url: str
    ) -> None:
        names = [f"r{number}" for number in range(5)]
        for name in names:
            make(tracking, name)
        with Wire(url, query="?bundle=true") as bundles, Wire(url) as plain:
            for wire_ in (bundles, plain):
                for name in names:
                    _watch(wire_, name)
            frames: list[list[dict[str, Any]]] = []
            step = 0
            deadline = time.monotonic() + DEADLINE_S
            while not any(len(frame) == len(names) and all(map(points_of, frame)) for frame in frames):
                assert time.monotonic() < deadline
                for name in names:
                    log(tracking, name, range(step, step + 1))
                step += 1
                found = json.loads(bundles.socket.recv(timeout=DEADLINE_S))
                assert not isinstance(found, list) or len(found) > 1, "one message is no array"
                frames.append(found if isinstance(found, list) else [found])
            end = set(names)
            told: dict[str, list[int]] = {name: [] for name in names}
            while end:
                for message in frames.pop(0) if frames else _messages(bundles):
                    if message["op"] == "update":
                        told[message["id"]] += [at for at, _ in points_of(message)]
                        end -= {message["id"]} if len(told[message["id"]]) == step else set()
            assert all(steps == list(range(step)) for steps in told.values())
            for _ in range(len(names) + 1):
                assert isinstance(plain.hear(), dict), "who did not ask gets every message by itself"

    def test_a_frame_that_was_read_in_part_is_told_on_from_there_after_a_cut(
        self, tracking: Tracking, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(RunTopic, "every_s", 0.1)
        names = [f"r{number}" for number in range(4)]
        runs = [make(tracking, name) for name in names]
        told: dict[str, list[int]] = {name: [] for name in names}
        with Client(url, "editor", project="vision") as client, client.live() as live:
            for name, run in zip(names, runs, strict=True):
                live.run(run, cursor={}, id=name)
            step = in_part = 0
            deadline = time.monotonic() + 2 * DEADLINE_S
            while in_part < 4 or any(len(steps) < step for steps in told.values()):
                assert time.monotonic() < deadline, (in_part, told)
                if in_part < 4:
                    for run in runs:
                        log(tracking, run, range(step, step + 1))
                    step += 1
                update = live.next(1)
                if update is not None:
                    told[update.id] += update.data.get("metrics", {}).get("loss", {}).get("step", [])
                if in_part < 4 and live._came and live._socket is not None:
                    in_part += 1
                    live._socket.socket.shutdown(2)
                    live._drop()
        assert live.connects == 5
        assert all(steps == list(range(step)) for steps in told.values())

    def test_a_slow_look_holds_back_no_other_subscription(self, tracking: Tracking, url: str) -> None:
        slow = make(tracking, "slow")
        make(tracking, "quick")
        free = threading.Event()
        with Wire(url, query="?bundle=true") as wire_:
            for name in ("slow", "quick"):
                _watch(wire_, name)
            seen: set[str] = set()
            while seen != {"slow", "quick"}:
                seen |= {m["id"] for m in _messages(wire_) if m["op"] == "update"}
            feed = next(f for key, f in tracking.live._feeds.items() if key.startswith(f"run:{slow}:"))
            real = feed.topic.read

            def read(position: Position) -> Reading:
                free.wait(DEADLINE_S)
                return real(position)

            feed.topic.read = read  # type: ignore[method-assign]
            try:
                for step in range(3):
                    for name in ("slow", "quick"):
                        log(tracking, name, range(step, step + 1))
                    found = _messages(wire_)
                    assert [m["id"] for m in found] == ["quick"]
                    assert [at for at, _ in points_of(found[0])] == [step]
            finally:
                free.set()
            steps: list[int] = []
            while len(steps) < 3:
                steps += [at for m in _messages(wire_) for at, _ in points_of(m)]
            assert steps == [0, 1, 2]

    def test_a_frame_has_a_quarter_of_a_megabyte_at_most_unless_a_message_is_larger(self) -> None:
        small, large = "x" * 100_000, "y" * 300_000
        found = [*_frames([small, small, small, large, "1", "2"])]
        assert found == [f"[{small},{small}]", small, large, "[1,2]"]
        assert [*_frames([])] == []


def _watch(wire_: Wire, run: str) -> None:
    wire_.say(op="subscribe", id=run, topic="run", project="vision", name=run, cursor={})


def _messages(wire_: Wire) -> list[dict[str, Any]]:
    found = json.loads(wire_.socket.recv(timeout=DEADLINE_S))
    return found if isinstance(found, list) else [found]


class TestRuns:
    def test_rows_come_change_and_leave(self, tracking: Tracking, url: str) -> None:
        first = make(tracking, "first")
        with Wire(url) as wire:
            wire.subscribe(topic="runs", name="t", filter="status = 'RUNNING'")
            start = wire.until(lambda m: m["op"] == "update")
            assert [row["name"] for row in start["data"]["rows"]] == ["first"]
            assert start["data"]["order"] == [first]
            second = make(tracking, "second")
            log(tracking, second, range(1))
            found = wire.until(lambda m: m["op"] == "update")
            assert found["data"]["rows"][0]["name"] == "second"
            assert set(found["data"]["order"]) == {first, second}
            tracking.runs.update(tracking.people.editor, first, RunUpdate(state="finished"))
            gone = wire.until(lambda m: m.get("data", {}).get("removed"))
            assert gone["data"]["removed"] == [first]
            assert gone["cursor"][f"r:{first}"] is None
            assert gone["data"]["order"] == [second]

    def test_a_filter_that_does_not_parse_is_a_problem_with_the_subscription_s_id(
        self, tracking: Tracking, url: str
    ) -> None:
        with Wire(url) as wire:
            wire.subscribe("x", topic="runs", filter="metrics.loss <")
            error = wire.until(lambda m: m["op"] == "error")
            assert (error["id"], error["error"]["code"]) == ("x", "invalid_spec")
            wire.say(op="ping")
            assert wire.hear() == {"op": "pong"}


def test_events_come_in_order_each_once(tracking: Tracking, url: str) -> None:
    with Wire(url) as wire:
        wire.subscribe(topic="events", cursor={})
        wire.until(lambda m: m["op"] == "update")
        made = [make(tracking, f"r{n}") for n in range(3)]
        seen: list[str] = []
        while len(seen) < 3:
            seen += [
                event["subject"]
                for event in wire.until(lambda m: m.get("data", {}).get("events"))["data"]["events"]
            ]
        assert seen == made


class TestRights:
    def test_plain_http_is_told_to_upgrade(self, url: str) -> None:
        answer = httpx.get(f"{url}/api/v1/live", headers={"Authorization": "Bearer editor"})
        assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
        assert httpx.get(f"{url}/api/v1/live").status_code == 401

    def test_the_first_message_may_carry_the_token(self, tracking: Tracking, url: str) -> None:
        make(tracking)
        with Wire(url, token=None) as wire:
            wire.say(op="auth", token="viewer")
            assert wire.hear()["user"] == "viewer"
            wire.subscribe()
            assert wire.hear()["op"] == "update"

    @pytest.mark.parametrize("message", [{"op": "auth", "token": "forged"}, {"op": "ping"}])
    def test_without_a_token_the_connection_is_closed(self, url: str, message: dict[str, str]) -> None:
        with Wire(url, token=None) as wire:
            wire.say(**message)
            assert wire.hear()["error"]["code"] == "unauthenticated"
            with pytest.raises(ConnectionClosed) as closed:
                wire.hear()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008

    def test_a_foreign_project_looks_as_if_it_did_not_exist(self, tracking: Tracking, url: str) -> None:
        make(tracking)
        for topic in ("run", "runs", "events"):
            with Wire(url, "stranger") as wire:
                wire.subscribe(topic=topic)
                error = wire.until(lambda m: m["op"] == "error")
                assert (error["id"], error["error"]["status"]) == ("a", 404)
        with Client(url, "stranger", project="vision") as client, client.live() as live:
            live.run("r")
            with pytest.raises(NotFound) as raised:
                live.next(DEADLINE_S)
        assert raised.value.extra["subscription"] == "s1"

    def test_a_topic_needs_the_scope_of_the_operation_that_it_stands_for(
        self, tracking: Tracking, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(tracking)
        narrow = replace(tracking.people.editor, scopes=frozenset({"live:read", "runs:read"}))
        monkeypatch.setattr(Table, "resolve", lambda self, secret: narrow)
        with Wire(url) as wire:
            wire.subscribe("yes")
            assert wire.until(lambda m: m.get("id"))["op"] == "update"
            wire.subscribe("no", topic="jobs")
            error = wire.until(lambda m: m.get("id") == "no")
            assert error["error"]["code"] == "permission_denied"

    def test_who_loses_a_project_loses_its_topics_at_once(
        self, tracking: Tracking, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(tracking)
        with Wire(url) as wire:
            wire.subscribe()
            wire.until(lambda m: m["op"] == "update")
            out = replace(
                tracking.people.editor, project=replace(tracking.people.project, id="", role=None)
            )
            monkeypatch.setattr(Table, "enter", lambda self, caller, name: out)
            tracking.signals.notify("access")
            error = wire.until(lambda m: m["op"] == "error")
            assert (error["id"], error["error"]["code"]) == ("a", "not_found")

    def test_a_revoked_token_is_cut_off(
        self, tracking: Tracking, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(tracking)
        with Client(url, "editor", project="vision") as client, client.live() as live:
            live.run("r")
            assert live.next(DEADLINE_S) is not None
            monkeypatch.setattr(Table, "resolve", lambda self, secret: None)
            with pytest.raises(Unauthenticated):
                live.next(DEADLINE_S)  # without a signal: it looks by itself every few seconds

    def test_one_look_at_rights_serves_all_who_watch_with_a_token(
        self, tracking: Tracking, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make(tracking)
        wires = [Wire(url, token) for token in ["editor"] * 20 + ["viewer"] * 20]
        try:
            for wire_ in wires:
                for name in "ab":
                    wire_.subscribe(name)
                wire_.until(lambda m: m.get("id") == "b")
            looks: list[str | None] = []
            real = Table.resolve
            gone: set[str] = set()

            def resolve(self: Table, secret: str) -> Any:
                looks.append(secret)
                return None if secret in gone else real(self, secret)

            monkeypatch.setattr(Table, "resolve", resolve)
            time.sleep(3.5)
            assert set(looks) == {"editor", "viewer"}
            assert len(looks) <= 4, "forty connections cost two looks each time, not forty"
            gone.add("viewer")
            began = time.monotonic()
            for wire_ in wires[20:]:
                assert wire_.until(lambda m: m["op"] == "error")["error"]["code"] == "unauthenticated"
            assert time.monotonic() - began < 15
            for wire_ in wires[:20]:
                wire_.say(op="ping")
                wire_.until(lambda m: m["op"] == "pong")
        finally:
            for wire_ in wires:
                wire_.held.close()


class TestLimits:
    def test_what_is_not_understood_is_answered_and_changes_nothing(self, url: str) -> None:
        with Wire(url) as wire:
            wire.hear()
            for bad in ("{", '"x"', '{"op":"fly"}', '{"op":"subscribe","id":"a"}', '{"op":"ping","x":1}'):
                wire.socket.send(bad)
                assert wire.hear()["error"]["code"] == "invalid_spec", bad
            wire.say(op="ping")
            assert wire.hear() == {"op": "pong"}

    def test_a_connection_has_so_many_subscriptions(self, tracking: Tracking, url: str) -> None:
        make(tracking)
        with Wire(url) as wire:
            for number in range(MAX_SUBSCRIPTIONS + 1):
                wire.subscribe(f"s{number}")
            error = wire.until(lambda m: m["op"] == "error")
            assert (error["id"], error["error"]["code"]) == (f"s{MAX_SUBSCRIPTIONS}", "rate_limited")

    def test_the_same_id_replaces_and_unsubscribe_ends(self, tracking: Tracking, url: str) -> None:
        make(tracking, "r")
        make(tracking, "q")
        with Wire(url) as wire:
            wire.subscribe("a")
            assert wire.until(lambda m: m["op"] == "update")["data"]["run"]["name"] == "r"
            wire.say(op="subscribe", id="a", topic="run", project="vision", name="q")
            wire.until(
                lambda m: m["op"] == "update" and m.get("data", {}).get("run", {}).get("name") == "q"
            )
            wire.say(op="unsubscribe", id="a")
            wire.say(op="ping")
            assert wire.hear() == {"op": "pong"}
            log(tracking, "q", range(1))
            wire.say(op="ping")
            assert wire.hear() == {"op": "pong"}

    def test_a_deleted_run_ends_its_subscription(
        self, tracking: Tracking, url: str, database: Database
    ) -> None:
        run = make(tracking)
        with Wire(url) as wire:
            wire.subscribe()
            wire.until(lambda m: m["op"] == "update")
            with database.write() as session:
                tracking.runs.remove(session, run)
            assert wire.until(lambda m: m["op"] == "error")["error"]["code"] == "not_found"


def test_the_sdk_raises_what_a_subscription_lacks_and_goes_on_with_the_others(
    tracking: Tracking, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(tracking)
    narrow = replace(tracking.people.editor, scopes=frozenset({"live:read", "runs:read"}))
    monkeypatch.setattr(Table, "resolve", lambda self, secret: narrow)
    with Client(url, "editor", project="vision") as client, client.live() as live:
        refused = live.events()
        with pytest.raises(PermissionDenied) as raised:
            live.next(DEADLINE_S)
        assert raised.value.extra["subscription"] == refused
        live.run("r", cursor={})
        log(tracking, run, range(1))
        seen: list[int] = []
        while not seen:
            update = live.next(DEADLINE_S)
            assert update is not None
            seen = update.data.get("metrics", {}).get("loss", {}).get("step", [])
        assert seen == [0]
    assert list(live) == []
