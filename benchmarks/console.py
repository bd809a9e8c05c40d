"""The console in Chromium: first load, work while things are live, viewers, scrolling, sizes of chunks.

    python benchmarks/console.py [--seconds 15] [--viewers 50]

A server of its own, signed in by cookie, nothing cached. Loads: a running job's log of 5,000 lines, and the
table of 2,000 runs beside the curves of 5 runs × 10,000 points that grow. Aims: interactive (drawn, and the
main thread free) under 2.5 s, under 450 KiB over the wire, under 5 % of the main thread in long tasks while
live; a viewer under 1 MB of the server's memory and all of them under 3 % of a core while streaming; 10,000
rows and 200 charts scroll without a dropped second; a chunk under 150 KiB.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from console_data import Made, finish, grow, make
from playwright.sync_api import Browser, Page, sync_playwright
from ports import free_ports
from websockets.asyncio.client import connect

import nacre
from nacre.schema.jobs import JobSpec
from nacre.sdk.snapshot import push_snapshot

NACRE = str(Path(sys.executable).with_name("nacre"))
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"]
TALK = """
import time
for number in range(5000):
    print(f"\\033[36m{number:05d}\\033[0m loss {1 / (number + 1):.5f} as a training says", flush=True)
while True:
    time.sleep(0.2)
    print("step", time.time(), flush=True)
"""
WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.longTasks.push([entry.startTime, entry.duration]);
}).observe({type: "longtask", buffered: true});
"""
SCROLL = """
async ([selector, seconds]) => {
  const box = selector ? document.querySelector(selector) : document.scrollingElement;
  const gaps = [];
  let last = performance.now();
  const end = last + seconds * 1000;
  const full = box.scrollHeight - box.clientHeight;
  while (last < end) {
    box.scrollTop = full * (1 - Math.abs(1 - 2 * ((end - last) / (seconds * 1000))));
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    gaps.push(now - last);
    last = now;
  }
  gaps.sort((a, b) => a - b);
  return {longest: gaps.at(-1), p95: gaps[Math.floor(gaps.length * 0.95)]};
}
"""


class Server:
    """``nacre up`` on an empty home."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="nacre-console-"))
        port = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        self.variables = os.environ | {"NACRE_HOME": str(self.home)}
        ports = ["--port", str(port), "--content-port", str(port + 1), "--inference-port", str(port + 2)]
        self.run("up", "--detach", *ports)
        described = json.loads((self.home / "server.json").read_text())
        self.process = psutil.Process(described["pid"])
        self.token = json.loads((self.home / "owner.json").read_text())["token"]

    def run(self, *words: str) -> None:
        subprocess.run([NACRE, *words], check=True, env=self.variables, stdout=subprocess.DEVNULL)

    def client(self) -> nacre.Client:
        return nacre.Client(self.url, self.token, project="default")

    def close(self) -> None:
        subprocess.run([NACRE, "down", "--all"], check=False, env=self.variables, capture_output=True)
        shutil.rmtree(self.home, ignore_errors=True)


class Table:
    """What was measured beside its aim."""

    def __init__(self) -> None:
        self.missed = 0

    def row(self, what: str, value: float, unit: str, most: float) -> None:
        good = value <= most
        self.missed += not good
        print(
            f"{what:<58}{value:>10.1f} {unit:<5} aim {most:>7.1f}  {'ok' if good else 'MISSED'}", flush=True
        )


def talking_job(client: nacre.Client) -> str:
    with tempfile.TemporaryDirectory() as name:
        Path(name, "main.py").write_text(TALK)
        code = push_snapshot(client.transport, client.project, Path(name)).manifest
    spec = {"name": "talk", "code": code, "commands": ["python -u main.py"], "resources": {"cpu": 0.25}}
    job = client.jobs.submit(JobSpec.model_validate(spec))
    while len(b"".join(client.jobs.logs(job.id, follow=False)).splitlines()) < 5000:
        time.sleep(0.3)
        assert client.jobs.get(job.id).state not in ("failed", "cancelled")
    return job.name


@contextmanager
def growing(server: Server, runs: list[Made]) -> Iterator[None]:
    """Five steps a second are logged to each run meanwhile; nothing is, any more, afterwards."""
    stop = threading.Event()

    def work() -> None:
        with server.client() as client:
            grow(client, runs, seconds=float("inf"), rate=5, keys=4, stop=stop)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def visit(
    browser: Browser, server: Server, path: str, drawn: Callable[[Page], None]
) -> tuple[Page, float, float]:
    """A page in a new profile; milliseconds until it was drawn and the main thread was free, KiB sent."""
    context = browser.new_context(base_url=server.url, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    with server.client() as client:
        page.goto(client.sessions.link().path)
    page.wait_for_url(lambda url: "sign-in" not in url)
    page.wait_for_load_state("networkidle")
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.clearBrowserCache")
    got = [0.0]
    session.on(
        "Network.loadingFinished", lambda event: got.__setitem__(0, got[0] + event["encodedDataLength"])
    )
    page.add_init_script(WATCH)
    began = time.perf_counter()
    page.goto(path, wait_until="commit")
    drawn(page)
    page.evaluate("() => new Promise((done) => requestIdleCallback(done))")
    return page, (time.perf_counter() - began) * 1000, got[0] / 1024


def long_share(page: Page, seconds: float) -> float:
    """Percent of the next seconds that the main thread spends in tasks of over 50 ms."""
    page.evaluate("window.longTasks.length = 0")
    page.wait_for_timeout(seconds * 1000)
    tasks = page.evaluate("window.longTasks")
    return 100 * sum(duration for _, duration in tasks) / (seconds * 1000)


def charts_drawn(page: Page) -> None:
    page.locator("canvas").nth(3).wait_for()
    page.locator("[role=row]").nth(10).wait_for()


def loads(
    browser: Browser, server: Server, live: list[Made], job: str, seconds: float, table: Table
) -> None:
    chosen = "&".join(f"run={one.id}" for one in live)
    views: list[tuple[str, str, Callable[[Page], None]]] = [
        (
            "log of 5,000 lines",
            f"/p/default/jobs/{job}?tab=log",
            lambda p: p.locator("[data-line]").nth(10).wait_for(),
        ),
        ("2,000 runs, curves of 5 × 10,000 points", f"/p/default/runs?{chosen}", charts_drawn),
    ]
    for name, path, drawn in views:
        page, ms, kib = visit(browser, server, path, drawn)
        table.row(f"{name}: interactive", ms, "ms", 2500)
        table.row(f"{name}: over the wire", kib, "KiB", 450)
        table.row(f"{name}: long tasks while live", long_share(page, seconds), "%", 5)
        page.context.close()


async def view(server: Server, runs: list[Made], stop: asyncio.Event) -> int:
    """What one tab with these runs watches; how many updates it got."""
    headers = {"Authorization": f"Bearer {server.token}"}
    address = server.url.replace("http", "ws") + "/api/v1/live?bundle=true"
    count = 0
    async with connect(address, additional_headers=headers, max_size=None) as socket:
        for number, one in enumerate(runs):
            wanted = {
                "op": "subscribe",
                "id": str(number),
                "topic": "run",
                "project": "default",
                "name": one.id,
            }
            await socket.send(json.dumps(wanted))
        while not stop.is_set():
            try:
                async with asyncio.timeout(0.5):
                    came = json.loads(await socket.recv())
                    count += len(came) if isinstance(came, list) else 1
            except TimeoutError:
                continue
    return count


async def viewers(server: Server, runs: list[Made], count: int, seconds: float, table: Table) -> None:
    """Memory and CPU of the server with this many tabs, less that of the same without."""

    async def cpu(length: float) -> float:
        before = sum(server.process.cpu_times()[:2])
        await asyncio.sleep(length)
        return 100 * (sum(server.process.cpu_times()[:2]) - before) / length

    await asyncio.sleep(2)
    alone, held = await cpu(seconds), server.process.memory_info().rss
    stop = asyncio.Event()
    tabs = [asyncio.create_task(view(server, runs, stop)) for _ in range(count)]
    await asyncio.sleep(5)
    together, now = await cpu(seconds), server.process.memory_info().rss
    stop.set()
    updates = sum(await asyncio.gather(*tabs))
    assert updates > count, "the viewers heard nothing"
    print(f"   logging alone {alone:.1f} % of a core, with viewers {together:.1f} %, {updates} updates")
    table.row(f"{count} viewers: memory of each", (now - held) / count / 2**20, "MB", 1)
    table.row(f"{count} viewers: CPU of all, beyond logging", together - alone, "%", 3)


def scrolling(browser: Browser, server: Server, seconds: float, table: Table) -> None:
    page, _, _ = visit(
        browser, server, "/p/default/runs", lambda p: p.locator("[role=row]").nth(10).wait_for()
    )
    box = page.evaluate(
        """() => { const row = document.querySelector("[role=cell]"); let box = row;
                   while (box && box.scrollHeight <= box.clientHeight + 4) box = box.parentElement;
                   if (box) box.dataset.bench = "table"; return box !== null; }"""
    )
    assert box, "the table does not scroll"
    found = page.evaluate(SCROLL, ["[data-bench=table]", seconds])
    table.row("10,000 rows: longest gap between frames", found["longest"], "ms", 1000)
    table.row("10,000 rows: gap, 95th percentile", found["p95"], "ms", 200)
    page.context.close()
    page, _, _ = visit(
        browser,
        server,
        "/p/default/runs?experiment=many&view=charts",
        lambda p: p.locator("canvas").first.wait_for(),
    )
    box = page.evaluate(
        """() => { let box = document.querySelector("canvas");
                   while (box && box.scrollHeight <= box.clientHeight + 200) box = box.parentElement;
                   if (box) box.dataset.bench = "grid"; return box !== null; }"""
    )
    assert box, "the grid does not scroll"
    found = page.evaluate(SCROLL, ["[data-bench=grid]", seconds])
    table.row("grid of 200 charts: longest gap between frames", found["longest"], "ms", 1000)
    table.row("grid of 200 charts: gap, 95th percentile", found["p95"], "ms", 200)
    page.context.close()


def chunks(table: Table) -> None:
    folder = Path(nacre.__file__).parent / "console" / "assets"
    sizes = {path.name[:-3]: path.stat().st_size / 1024 for path in folder.glob("*.js.gz")}
    html = (folder.parent / "index.html").read_text()
    routes = {name: size for name, size in sizes.items() if name not in html}
    first = sum(size for name, size in sizes.items() if name in html)
    biggest = max(routes, key=lambda name: routes[name])
    print(f"   first script {first:.0f} KiB; the largest other chunk is {biggest}")
    table.row("largest chunk of a route, gzip", routes[biggest], "KiB", 150)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--viewers", type=int, default=50)
    args = parser.parse_args()
    table = Table()
    chunks(table)
    server = Server()
    try:
        with server.client() as client, sync_playwright() as playwright:
            job = talking_job(client)
            make(client, runs=1995, points=20, keys=4, name="old")
            live = make(client, runs=5, points=10_000, keys=4, name="live", end=False)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            with growing(server, live):
                loads(browser, server, live, job, args.seconds, table)
                asyncio_in_thread(viewers(server, live, args.viewers, args.seconds, table))
                client.jobs.stop(job)
                make(client, runs=1, points=500, keys=200, experiment="many", name="many")
                make(client, runs=8000, points=2, keys=2, name="more")
                finish(client, live)
                scrolling(browser, server, args.seconds, table)
            browser.close()
    finally:
        server.close()
    print(f"{table.missed} aims missed" if table.missed else "every aim reached")


def asyncio_in_thread(work: Any) -> None:
    """Playwright's own loop runs in this thread."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


if __name__ == "__main__":
    main()
