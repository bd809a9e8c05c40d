"""Jobs of several replicas and processes over a real server; stopping with time to save, and going on."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_server import Server, wait_until

from nacre.schema.jobs import JobState

pytestmark = pytest.mark.slow

SMALL = ["--cpu", "0.2", "--memory", "256MB"]

MEET = """
import os, socket, sys
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
where = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
local, node = os.environ["LOCAL_RANK"], os.environ["GROUP_RANK"]
sys.stdout.write(f"rank {rank} of {size}, local {local} on node {node}\\n")  # in one piece, unlike print
if rank == 0:
    server = socket.create_server(where)
    peers = [server.accept()[0] for _ in range(size - 1)]
    came = sorted(int(peer.makefile().readline()) for peer in peers)
    print("met", came, flush=True)
    for peer in peers:
        peer.sendall(b"go\\n")
else:
    while True:
        try:
            peer = socket.create_connection(where)
            break
        except ConnectionRefusedError:
            pass
    peer.sendall(b"%d\\n" % rank)
    assert peer.makefile().readline() == "go\\n"
open(os.environ["NACRE_OUTPUT_DIR"] + f"/rank-{rank}", "w").close()
"""


def test_replicas_and_processes_meet(nacre_server: Server, tmp_path: Path) -> None:
    (tmp_path / "meet.py").write_text(MEET)
    words = ["--name", "meet", "--replicas", "2", "--processes", "2", *SMALL]
    done = nacre_server.run("run", *words, "meet.py", cwd=tmp_path)
    assert b"met [1, 2, 3]" in done.stdout
    job = nacre_server.client().jobs.get("meet")
    assert [one.state for one in job.attempts[0].replicas] == ["ended", "ended"]
    other = nacre_server.run("logs", "meet", "--replica", "1").stdout.decode().splitlines()
    assert sorted(other) == ["rank 2 of 4, local 0 on node 1", "rank 3 of 4, local 1 on node 1"]
    files = nacre_server.client().runs.artifacts(job.run).files
    assert [one.path for one in files] == ["rank-0", "rank-1", "replicas/1/rank-2", "replicas/1/rank-3"]


FAIL = """
import os, sys, time
if os.environ["RANK"] == "1":
    time.sleep(1)
    print("the data of rank 1 is broken", flush=True)
    sys.exit(5)
time.sleep(600)
"""


def test_the_first_that_fails_stops_the_rest_and_says_why(nacre_server: Server) -> None:
    job = nacre_server.wait(nacre_server.submit({"main.py": FAIL}, replicas=3))
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "exit_nonzero", 5)
    assert (job.message or "").startswith("replica 1 of 3: The command ended with exit code 5")
    assert "the data of rank 1 is broken" in (job.message or "")
    reasons = [one.reason for one in job.attempts[0].replicas]
    assert reasons == ["gang_stopped", "exit_nonzero", "gang_stopped"]
    nacre_server.assert_gone(job)


def test_a_gang_that_is_too_large_is_refused_saying_what_there_is(
    nacre_server: Server, tmp_path: Path
) -> None:
    [node] = nacre_server.client().nodes.list()
    count = int(node.cpu) + 1
    command = ["run", "--replicas", str(count), "--cpu", "1", "python", "--", "-V"]
    done = nacre_server.run(*command, cwd=tmp_path, check=False)
    assert done.returncode == 1
    said = " ".join(done.stderr.decode().split())
    assert f"{count} replicas" in said
    assert f"{node.cpu:g} cpu" in said


COUNTER = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["NACRE_CHECKPOINT_DIR"])
latest = os.environ.get("NACRE_LATEST_CHECKPOINT")
count = int(pathlib.Path(latest).read_text()) if latest else 0
print(f"begins at {count}", flush=True)
def save(*_):
    time.sleep(3)  # longer than the job's own time of grace
    (folder / "state").write_text(str(count))
    print(f"saved {count}", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
while count < int(os.environ["UNTIL"]):
    count += 1
    time.sleep(0.05)
print(f"reached {count}", flush=True)
"""


def test_stopping_with_time_to_save_and_going_on_from_there(nacre_server: Server, tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text(COUNTER)
    (tmp_path / "job.yaml").write_text(
        "name: counter\ncommands: [python -u counter.py]\nstop_duration: 1\nenv: {UNTIL: '100000'}\n"
        "resources: {cpu: 0.2, memory: 256MB}\n"
    )
    nacre_server.run("run", "--detach", "-f", "job.yaml", cwd=tmp_path)
    wait_until("it counts", lambda: b"begins at 0" in nacre_server.run("logs", "counter").stdout)
    nacre_server.run("stop", "--checkpoint", "counter")
    log = nacre_server.run("logs", "counter").stdout.decode()
    saved = int(log.split("saved ")[1].split()[0])
    assert saved > 0
    words = ["--resume", "counter", "--name", "more", "--env", f"UNTIL={saved + 3}"]
    more = nacre_server.run("run", *words, cwd=tmp_path).stdout.decode()
    assert f"begins at {saved}" in more
    assert f"reached {saved + 3}" in more
    first = nacre_server.client().jobs.get("counter")
    assert (first.state, first.reason) == (JobState.CANCELLED, "cancelled_by_user")
