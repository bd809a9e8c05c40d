"""A storm of crashes during a mix of jobs, gangs and an instance; then the books are checked.

``NACRE_CHAOS_SECONDS`` (240) says how long it lasts, ``NACRE_CHAOS_SEED`` (printed) what happens:
``make chaos SECONDS=1800 SEED=7``.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import books
import pytest
from mishaps import Mishaps
from real_server import MakeServer, Server, wait_until
from workloads import Work, draw

from nacre.errors import Conflict, NacreError
from nacre.schema.instances import InstanceState
from nacre.schema.jobs import FINAL_STATES, Job

SECONDS = float(os.environ.get("NACRE_CHAOS_SECONDS", "240"))
SEED = int(os.environ.get("NACRE_CHAOS_SEED") or random.SystemRandom().randrange(10**6))
_AT_ONCE = 6
_DISK = "size=1g,mode=0755"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 600)]


@pytest.fixture
def server(make_server: MakeServer, built_environments: Path) -> Iterator[Server]:
    """Its home is a disk of its own, which can be filled."""
    made = make_server(start=False)
    command = ["mount", "-t", "tmpfs", "-o", _DISK, "nacre-chaos", str(made.home)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    if mounted:
        (made.home / "environments").symlink_to(built_environments)
    made.start()
    yield made
    made.end()
    if mounted:
        subprocess.run(["umount", "--lazy", made.home], check=True)


class Crowd:
    """Keeps some work running, whatever happens to the server."""

    def __init__(self, server: Server, rng: random.Random) -> None:
        self._server = server
        self._rng = rng
        self._over = threading.Event()
        self._full = False
        self.all: dict[str, Work] = {}
        self.live: dict[str, Work] = {}
        self.accepted: set[str] = set()
        self._client = server.client()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def disk_full(self, full: bool) -> None:
        """Whoever is there meanwhile is excused."""
        self._full = full
        for work in list(self.live.values()):
            work.excused = True

    def _run(self) -> None:
        while not self._over.wait(0.3):
            try:
                self._step()
            except (NacreError, OSError, ValueError, AssertionError):
                continue  # the server is away, or its disk is full

    def _step(self) -> None:
        client = self._client
        for name in list(self.live):
            if name in self.accepted and client.jobs.get(name).state in FINAL_STATES:
                del self.live[name]
        work = next((one for one in self.all.values() if one.name not in self.accepted), None)
        if work is None and len(self.live) < _AT_ONCE:
            work = draw(self._rng, len(self.all))
            self.all[work.name] = work
        if work is None:
            return
        self.live[work.name] = work  # it may be there although the answer got lost
        work.excused = work.excused or self._full
        with contextlib.suppress(Conflict):  # the one before
            self._server.submit(work.code_files, client=client, **work.spec)
        self.accepted.add(work.name)


def test_nothing_is_lost_doubled_or_left_behind(server: Server) -> None:
    print(f"NACRE_CHAOS_SEED={SEED} NACRE_CHAOS_SECONDS={SECONDS:g}")
    rng = random.Random(SEED)
    server.client().instances.create("lab", environment="base")
    wait_until("the instance runs", lambda: _instance(server) is InstanceState.RUNNING, 240)
    crowd = Crowd(server, random.Random(SEED + 1))
    mishaps = Mishaps(server, rng, crowd.disk_full)
    crowd.start()
    try:
        end = time.monotonic() + SECONDS
        long_lock = time.monotonic() + SECONDS / 2
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.5, 4))
            if long_lock and time.monotonic() > long_lock:
                long_lock = 0.0
                mishaps.lock_database(30.0)
            mishaps.next()
    finally:
        crowd.stop()
        print("\n".join(mishaps.happened))
    jobs = _ended(server)
    assert crowd.accepted <= set(jobs), "what was accepted is there"
    print(
        f"{len(jobs)} jobs, {sum(w.replicas > 1 for w in crowd.all.values())} of them gangs, "
        f"{sum(w.excused for w in crowd.all.values())} with a full disk; {len(mishaps.happened)} mishaps"
    )
    client = server.client()
    usage = client.usage.list(limit=None)
    wrong = []
    for name, job in jobs.items():
        mine = [record for record in usage if record.subject == job.id]
        try:
            books.check_job(client, crowd.all[name], job, mine)
        except AssertionError as error:
            wrong.append(f"{str(error).partition(chr(10))[0]}: {books.told(crowd.all[name], job)}")
    print("\n".join(wrong))
    assert not wrong, f"{len(wrong)} jobs: {wrong[0]}"
    assert len(jobs) >= SECONDS / 20, "there was something to lose"
    assert _instance(server) is InstanceState.RUNNING, "it has gone through all of this"
    server.client().instances.stop("lab")
    wait_until("the instance has stopped", lambda: _instance(server) is InstanceState.STOPPED, 60)
    lab = [one for one in server.client().usage.list(limit=None) if one.subject_name == "lab"]
    assert len(lab) == 1
    assert lab[0].ended_at is not None
    books.check_nothing_left(server)


def _instance(server: Server) -> InstanceState:
    return server.client().instances.get("lab").state


def _ended(server: Server) -> dict[str, Job]:
    """Every job that there is, by name, once it has ended."""
    return {job.name: server.wait(job.id, timeout_s=120) for job in server.client().jobs.list()}
