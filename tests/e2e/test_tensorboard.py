"""TensorBoard on demand: what it shows of tracked runs and of event files, behind the sign-in."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import CHROMIUM, Browser
from real_server import Server, wait_until

from nacre.schema.instances import InstanceState
from nacre.schema.runs import RunState, TrackRecord

pytestmark = pytest.mark.slow


class Board:
    """A TensorBoard as a browser that was signed in by its link."""

    def __init__(self, server: Server, url: str) -> None:
        self.base = re.sub(r"_nacre/.*", "", url)
        self._browser = httpx.Client(follow_redirects=True, timeout=60)
        self.page = self._browser.get(url)
        assert self.page.status_code == 200, self.page.text

    def get(self, path: str, **query: str) -> Any:
        answer = self._browser.get(self.base + path, params=query)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)

    def tags(self) -> dict[str, set[str]]:
        """Names of scalars by run, without what the machine did."""
        found = self.get("data/plugin/scalars/tags")
        own = {run: {tag for tag in tags if not tag.startswith("system/")} for run, tags in found.items()}
        return {run: tags for run, tags in own.items() if tags}

    def points(self, run: str, tag: str) -> list[tuple[int, float]]:
        found = self.get("data/plugin/scalars/scalars", run=run, tag=tag)
        return [(step, float(value)) for _, step, value in found]

    def close(self) -> None:
        self._browser.close()


def log_run(
    server: Server, name: str, curves: dict[str, list[float]], params: dict[str, str], *, ended: bool = True
) -> str:
    """A run as a laptop logs it; its id."""
    client = server.client()
    run = client.runs.create(name)
    records = [
        TrackRecord(type="m", key=key, value=value, step=step, time_ms=1_700_000_000_000 + 1000 * step)
        for key, values in curves.items()
        for step, value in enumerate(values)
    ]
    records += [TrackRecord(type="p", key=key, text=text, time_ms=0) for key, text in params.items()]
    client.runs.log(run.id, records)
    if ended:
        client.runs.update(run.id, state=RunState.FINISHED)
    return run.id


@contextmanager
def board(server: Server, *runs: str, **options: Any) -> Iterator[Board]:
    """A TensorBoard of these runs, gone at the end."""
    client = server.client()
    made = client.instances.tensorboard(runs, **options)
    try:
        found = client.instances.wait(made.id, timeout_s=280)
        assert found.state is InstanceState.RUNNING, f"{found.reason}: {found.message}"
        opened = Board(server, client.instances.open(made.id).url)
        try:
            yield opened
        finally:
            opened.close()
    finally:
        server.run("tensorboard", "--stop")
        wait_until("the instance is gone", lambda: made.id not in {i.id for i in client.instances.list()})


def curve(start: float) -> list[float]:
    return [start / (1 + step) for step in range(30)]


def test_curves_of_two_tracked_runs_are_shown_as_they_were_logged(nacre_server: Server) -> None:
    slow, fast = curve(1.1), curve(0.3)
    odd = [0.1, math.nan, math.inf]
    log_run(nacre_server, "slow", {"loss": slow, "val/acc @1": odd}, {"lr": "0.1", "optimizer": "sgd"})
    log_run(nacre_server, "fast", {"loss": fast}, {"lr": "0.01", "optimizer": "adam"})
    with board(nacre_server, "slow", "fast") as shown:
        assert "<title>TensorBoard</title>" in shown.page.text
        fonts = set(re.findall(r"url\(([^)]*woff2)\)", shown.page.text))
        assert fonts
        assert all(font.startswith("font-roboto/") for font in fonts), "below the instance's own path"
        assert str(shown.page.url) == shown.base
        assert shown.tags() == {"slow": {"loss", "val/acc @1"}, "fast": {"loss"}}
        assert shown.points("slow", "loss") == list(enumerate(slow)), "every bit of a double"
        assert shown.points("fast", "loss") == list(enumerate(fast))
        assert str(shown.points("slow", "val/acc @1")) == str(list(enumerate(odd)))
        hparams = shown.get("data/plugins_listing")["hparams"]
        assert hparams["enabled"], "parameters are shown beside the results"


def test_a_run_that_goes_on_is_followed(nacre_server: Server) -> None:
    run = log_run(nacre_server, "going", {"loss": [1.0]}, {}, ended=False)
    client = nacre_server.client()
    with board(nacre_server, run) as shown:
        assert shown.points("going", "loss") == [(0, 1.0)]
        record = TrackRecord(type="m", key="loss", value=0.5, step=1, time_ms=1_700_000_009_000)
        client.runs.log(run, [record, record.model_copy(update={"key": "late"})])
        wait_until("both points are there", lambda: shown.tags()["going"] == {"loss", "late"}, 30, 0.5)
        wait_until("no point twice", lambda: shown.points("going", "loss") == [(0, 1.0), (1, 0.5)], 30, 0.5)


WRITER = """
import os, time
import nacre
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
for part, start in (("train", 1.0), ("validation", 2.0)):
    writer = EventFileWriter(os.path.join(os.environ["TENSORBOARD_LOG_DIR"], part))
    for step in range(5):
        value = summary_pb2.Summary.Value(tag="loss", simple_value=start / (step + 1))
        summary = summary_pb2.Summary(value=[value])
        writer.add_event(event_pb2.Event(step=step, wall_time=time.time(), summary=summary))
    writer.close()
for step in range(5):
    nacre.log_metric("train/loss", 1.0 / (step + 1), step=step)
    nacre.log_metric("tb/validation/loss", 2.0 / (step + 1), step=step)
    nacre.log_metric("speed", 100.0 + step, step=step)
"""


def test_event_files_of_a_job_are_shown_and_no_curve_twice(nacre_server: Server) -> None:
    job = nacre_server.submit({"main.py": WRITER}, environment="tensorboard")
    done = nacre_server.wait(job, timeout_s=280)
    assert done.state == "succeeded", nacre_server.log(job)
    with board(nacre_server, done.name) as shown:
        assert shown.tags() == {
            done.name: {"speed"},
            f"{done.name}/train": {"loss"},
            f"{done.name}/validation": {"loss"},
        }
        assert [step for step, _ in shown.points(done.name, "speed")] == list(range(5))
        assert shown.points(f"{done.name}/validation", "loss")[1] == (1, 1.0)


WAITS = """
import os, time
from nacre.sdk.tracking.wire import Wire
project, run = os.environ["NACRE_PROJECT"], os.environ["NACRE_RUN_ID"]
wire = Wire(os.environ["NACRE_URL"], os.environ["NACRE_TOKEN"])
while "go" not in wire.call("GET", f"/api/v1/projects/{project}/runs/{run}")["tags"]:
    time.sleep(0.2)
"""


def test_when_a_job_ends_its_event_files_take_the_place_of_its_tracked_curves(nacre_server: Server) -> None:
    job = nacre_server.submit({"main.py": WRITER + WAITS}, environment="tensorboard")
    client = nacre_server.client()

    def tracked() -> set[str]:
        return {metric.key for metric in client.runs.get(job.name).metrics}

    wait_until("the job has logged", lambda: tracked() >= {"train/loss", "speed"}, 280, 0.5)
    with board(nacre_server, job.name) as shown:
        before = shown.tags()
        assert set(before) == {job.name}
        assert before[job.name] >= {"train/loss", "tb/validation/loss", "speed"}
        client.runs.log(job.name, [TrackRecord(type="t", key="go", text="yes", time_ms=0)])
        assert nacre_server.wait(job).state == "succeeded"
        after = {job.name: {"speed"}, f"{job.name}/train": {"loss"}, f"{job.name}/validation": {"loss"}}
        wait_until("the files are shown instead", lambda: shown.tags() == after, 60, 0.5)


def test_only_who_is_signed_in_gets_in(nacre_server: Server) -> None:
    log_run(nacre_server, "private", {"loss": [1.0]}, {})
    with board(nacre_server, "private") as shown:
        tags = shown.base + "data/plugin/scalars/tags"
        assert httpx.get(tags).status_code == 401
        assert httpx.get(tags, headers={"Authorization": "token wrong"}).status_code == 401
        assert httpx.get(shown.base + "_nacre/status").status_code == 404
        token = {"Authorization": f"Bearer {nacre_server.token}"}
        assert httpx.get(tags, headers=token).status_code == 200


def test_one_that_nobody_looks_at_stops_and_leaves_nothing(nacre_server: Server) -> None:
    log_run(nacre_server, "left", {"loss": [1.0]}, {})
    client = nacre_server.client()
    made = client.instances.tensorboard(["left"], idle_timeout=3)
    assert made.temporary
    assert client.instances.wait(made.id, timeout_s=280).state is InstanceState.RUNNING
    home = nacre_server.home / "instances" / made.id
    assert home.exists()
    wait_until("it is deleted", lambda: made.id not in {i.id for i in client.instances.list()}, 60, 0.5)
    wait_until("its home too", lambda: not list(home.parent.glob(f"{made.id}*")), 30)


def test_the_command_says_where_and_takes_what_is_there(nacre_server: Server) -> None:
    log_run(nacre_server, "one", {"loss": [1.0]}, {})
    log_run(nacre_server, "two", {"loss": [2.0]}, {})
    first = json.loads(nacre_server.run("-o", "json", "tensorboard", "one", "two", timeout_s=290).stdout)
    second = nacre_server.run("tensorboard", "two", "one", "--no-browser", timeout_s=60)
    assert first["instance"]["id"] in first["url"]
    assert first["url"].partition("?")[0] in second.stdout.decode()
    assert "'nacre tensorboard --stop'" in second.stderr.decode()
    assert "is stopping" in nacre_server.run("tensorboard", "--stop").stdout.decode()
    client = nacre_server.client()
    wait_until("it is gone", lambda: first["instance"]["id"] not in {i.id for i in client.instances.list()})
    missing = nacre_server.run("tensorboard", "nobody", check=False)
    assert missing.returncode == 1
    assert "there is no run nobody" in missing.stderr.decode()


DRAWN = """(() => {
  const copy = document.createElement('canvas');
  const chart = document.querySelector('line-chart canvas');
  copy.width = chart.width; copy.height = chart.height;
  const context = copy.getContext('2d');
  context.drawImage(chart, 0, 0);
  const bytes = context.getImageData(0, 0, copy.width, copy.height).data;
  let drawn = 0;
  for (let at = 3; at < bytes.length; at += 4) drawn += bytes[at] > 0;
  return drawn > 200;
})()"""
"""Whether the first chart's canvas has lines on it; a worker draws them."""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)")
def test_the_page_draws_the_curves(nacre_server: Server, tmp_path: Path) -> None:
    log_run(nacre_server, "drawn-a", {"loss": curve(1.0), "accuracy": curve(-1.0)}, {"lr": "0.1"})
    log_run(nacre_server, "drawn-b", {"loss": curve(0.2), "accuracy": curve(-0.2)}, {"lr": "0.2"})
    client = nacre_server.client()
    with board(nacre_server, "drawn-a", "drawn-b") as shown:
        name = re.findall(r"/instances/([^/]+)/", shown.base)[0]
        browser = Browser(client.instances.open(name).url)
        try:
            browser.wait("document.querySelectorAll('scalar-card line-chart').length >= 2")
            browser.wait(DRAWN)
            assert browser.evaluate("document.body.innerText").count("drawn-a") >= 1
            picture = base64.b64decode(browser.call("Page.captureScreenshot")["data"])
            folder = Path(os.environ.get("NACRE_TEST_PICTURES") or tmp_path)
            (folder / "tensorboard.png").write_bytes(picture)
            assert browser.console == []
        finally:
            browser.close()
