"""Jobs that look for what is not theirs: they find nothing, change nothing, reach nobody."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from real_server import Server

from nacre.errors import InvalidSpec, NotFound
from nacre.schema.jobs import Job, JobSpec, JobState
from nacre.sdk.client import Client

pytestmark = [pytest.mark.timeout(120), pytest.mark.sandbox]

MARKER = "the diary of somebody else"


def succeeds(server: Server, text: str, **spec: Any) -> tuple[Job, str]:
    """Run a script to its end; the job and its log."""
    job = server.wait(server.submit({"main.py": text}, **spec))
    log = server.log(job).decode()
    server.assert_gone(job)
    assert job.state is JobState.SUCCEEDED, f"{job.message}\n{log}"
    return job, log


@pytest.fixture(scope="module")
def other(nacre_server: Server) -> Client:
    """Another project, with data of its own."""
    nacre_server.client().projects.create("other")
    client = nacre_server.client(project="other")
    digest = blake3(MARKER.encode()).hexdigest()
    client.blobs.put(digest, MARKER.encode())
    entry = {"digest": digest, "executable": False, "path": "diary.txt", "size": len(MARKER)}
    manifest = json.dumps({"files": [entry]}).encode()
    client.blobs.put(blake3(manifest).hexdigest(), manifest)
    client.data.create("diary", blake3(manifest).hexdigest())
    client.secrets.set("DIARY_KEY", "the key of the diary")
    return client


# Looks for words, which come reversed so that the script itself is no find, in every file, every process's
# variables and command line that it can read, the whole tree of the sandbox included.
SPY = r"""
import os, stat, sys
words = [word[::-1].encode() for word in os.environ.pop("REVERSED").split("|")]
home = os.environ["SERVER_HOME"]
found, read = [], 0
def look(path):
    global read
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe must not keep it waiting
    except OSError:
        return
    try:
        rest = b""
        while piece := os.read(fd, 1 << 20):
            if any(word in rest + piece for word in words):
                found.append(path)
                return
            rest = piece[-100:]
        read += 1
    except OSError:
        pass
    finally:
        os.close(fd)
skipped = ("/proc", "/sys", "/usr", "/lib", "/dev", os.environ["VIRTUAL_ENV"], sys.base_prefix)
for base, folders, names in os.walk("/"):
    if base.startswith(skipped):
        folders[:] = []
        continue
    for name in names:
        path = os.path.join(base, name)
        if os.path.exists(path) and stat.S_ISREG(os.stat(path).st_mode):
            look(path)
numbers = [n for n in os.listdir("/proc") if n.isdigit()]
for number in numbers:
    names = ["environ", "cmdline", "cwd/spec.json"]
    for name in ("owner.json", "secret.key", "nacre.db", "nacre.db-wal"):
        names.append("root" + home + "/" + name)
    for name in names:
        look(f"/proc/{number}/{name}")
    try:
        for fd in os.listdir(f"/proc/{number}/fd"):
            look(f"/proc/{number}/fd/{fd}")
    except OSError:
        pass
print("read", read, "processes", len(numbers), "found", found)
"""


def test_a_job_that_looks_everywhere_finds_no_secret_of_the_server(
    nacre_server: Server, other: Client
) -> None:
    own = "a word of its own"
    words = [
        own,
        nacre_server.token,
        (nacre_server.home / "secret.key").read_text().strip()[:40],
        MARKER,
        "the key of the diary",
        "SQLite format 3",
    ]
    variables = {"REVERSED": "|".join(w[::-1] for w in words), "SERVER_HOME": str(nacre_server.home)}
    files = {"main.py": SPY, "notes/own.txt": own}
    job = nacre_server.wait(nacre_server.submit(files, env=variables))
    log = nacre_server.log(job).decode()
    nacre_server.assert_gone(job)
    seen = re.fullmatch(r"read (\d+) processes (\d+) found \['/work/notes/own\.txt'\]\n", log)
    assert seen, log
    assert int(seen[2]) <= 5


WRITER = r"""
import os
home = os.environ["SERVER_HOME"]
names = ["owner.json", "secret.key", "nacre.db", "nacre.db-wal", "server.json", "prices.toml", "planted",
         "blobs/planted", "logs/planted", "attempts/planted", "trees/planted", "site/planted",
         "run/api/planted", "environments/planted", "server.lock"]
for name in names:
    path = os.path.join(home, name)
    for act in (lambda: open(path, "rb").read(1), lambda: open(path, "r+b"), lambda: open(path, "wb"),
                lambda: os.remove(path), lambda: os.symlink("/etc", path), lambda: os.chmod(path, 0o777)):
        try:
            act()
        except OSError:
            continue
        print("could", name)
print(sorted(os.listdir(home)) if os.path.isdir(home) else [])
for path in ("/opt/nacre/nacre/planted", "/usr/planted", "/planted",
             os.environ["VIRTUAL_ENV"] + "/planted", "/run/nacre-api/planted", "/etc/passwd",
             "/proc/sys/kernel/hostname", "/sys/fs/cgroup/planted"):
    try:
        open(path, "a").write("x")
        print("could", path)
    except OSError:
        pass
"""


def test_a_job_that_writes_to_the_servers_folder_changes_nothing(nacre_server: Server) -> None:
    home = nacre_server.home
    kept = {name: (home / name).read_bytes() for name in ("owner.json", "secret.key", "prices.toml")}
    _, log = succeeds(nacre_server, WRITER, env={"SERVER_HOME": str(home)})
    assert re.fullmatch(r"(\[\]|\['environments'\]|\['environments', 'site'\]|\['site'\])\n", log), log
    assert {name: (home / name).read_bytes() for name in kept} == kept
    assert not list(home.rglob("planted"))
    db = sqlite3.connect(home / "nacre.db", timeout=10)
    try:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
    finally:
        db.close()


NETWORK = r"""
import os, socket
ports = [int(p) for p in os.environ["PORTS"].split(",")]
for host in ("127.0.0.1", "localhost", os.environ["HOST_ADDRESS"], "::1"):
    for port in ports:
        try:
            socket.create_connection((host, port), timeout=2).close()
            print("reached", host, port)
        except OSError:
            pass
for family, kind in ((socket.AF_INET, socket.SOCK_RAW), (17, socket.SOCK_RAW), (16, socket.SOCK_RAW)):
    try:
        found = socket.socket(family, kind, 1)
        if family != 16:
            print("made", family)
    except OSError:
        pass
abstract = [line.split()[-1] for line in open("/proc/net/unix") if "@" in line]
print(sorted(os.listdir("/sys/class/net")) if os.path.isdir("/sys/class/net") else ["lo"], abstract)
"""


def test_a_job_without_network_reaches_no_port_of_the_host(nacre_server: Server) -> None:
    """What answers at 7373 in there is the job's own bridge to the API, whatever port that has outside."""
    server = nacre_server
    assert server.port != 7373
    ports = [server.port, server.content_port, server.inference_port, 7373, 22]
    address = Path("/proc/net/fib_trie").read_text()
    own = next(
        (a for a in re.findall(r"\d+\.\d+\.\d+\.\d+", address) if not a.startswith(("127.", "0."))),
        "10.0.0.1",
    )
    variables = {"PORTS": ",".join(map(str, ports)), "HOST_ADDRESS": own}
    _, log = succeeds(server, NETWORK, env=variables)
    bridge = "reached 127.0.0.1 7373\nreached localhost 7373\n"
    assert log == bridge + "['lo'] []\n"


API = r"""
import http.client, json, os, socket

class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["NACRE_URL"].removeprefix("unix:"))

headers = {"Authorization": "Bearer " + os.environ["NACRE_TOKEN"], "Content-Type": "application/json"}
for method, path, body in json.loads(os.environ["CALLS"]):
    connection = Connection("nacre", timeout=20)
    connection.request(method, "/api/v1" + path, None if body is None else json.dumps(body), headers)
    print(connection.getresponse().status, method, path)
    connection.close()
"""


def test_a_jobs_own_token_reaches_neither_other_projects_nor_the_owners_powers(
    nacre_server: Server, other: Client
) -> None:
    digest = blake3(MARKER.encode()).hexdigest()
    victim = nacre_server.wait(nacre_server.submit(commands=["true"]))
    calls: list[tuple[str, str, Any]] = [
        ("GET", "/projects/default/data", None),
        ("GET", "/projects/other/data", None),
        ("GET", "/projects/other/jobs", None),
        ("GET", f"/projects/other/blobs/{digest}", None),
        ("GET", f"/projects/default/blobs/{digest}", None),
        ("GET", "/projects/default/secrets", None),
        ("PUT", "/projects/default/secrets/X", {"value": "x"}),
        ("POST", "/projects/default/jobs", {"commands": ["true"]}),
        ("POST", f"/projects/default/jobs/{victim.id}/stop", {}),
        ("DELETE", f"/projects/default/jobs/{victim.id}", None),
        ("POST", "/tokens", {"name": "mine"}),
        ("GET", "/tokens", None),
        ("GET", "/users", None),
        ("PUT", "/projects/default/members/somebody", {"role": "owner"}),
        ("DELETE", "/projects/other", None),
        ("PUT", f"/attempts/{victim.attempts[0].id}/replicas/0/log?offset=0", None),
        ("GET", f"/attempts/{victim.attempts[0].id}/blobs/{digest}", None),
    ]
    _, log = succeeds(nacre_server, API, env={"CALLS": json.dumps(calls)}, environment="base")
    lines = log.splitlines()
    assert len(lines) == len(calls)
    assert lines[0] == "200 GET /projects/default/data"
    for line in lines[1:]:
        assert line.split()[0] in ("401", "403", "404", "405"), line
    assert nacre_server.client().jobs.get(victim.id).state is JobState.SUCCEEDED
    assert other.projects.get().name == "other"


def test_another_projects_data_is_not_had_by_its_name_nor_by_its_digest(
    nacre_server: Server, other: Client
) -> None:
    with pytest.raises(NotFound, match="there is no dataset 'diary' in this project"):
        nacre_server.submit(commands=["true"], inputs={"x": "diary"})
    digest = blake3(MARKER.encode()).hexdigest()
    mine = nacre_server.client()
    assert mine.blobs.missing([digest]) == [digest]
    with pytest.raises(NotFound, match=f"has no blob {digest}"):
        mine.blobs.get(digest)
    entry = {"digest": digest, "executable": False, "path": "diary.txt", "size": len(MARKER)}
    manifest = json.dumps({"files": [entry | {"path": "copy.txt"}]}).encode()
    mine.blobs.put(blake3(manifest).hexdigest(), manifest)
    with pytest.raises(InvalidSpec, match=r"the bytes of 'copy\.txt' have not been sent"):
        mine.data.create("stolen", blake3(manifest).hexdigest())
    spec = JobSpec(commands=["cat copy.txt"], code=blake3(manifest).hexdigest())
    with pytest.raises(InvalidSpec, match="have not been sent"):
        mine.jobs.submit(spec)


LINKS = r"""
import os
home, output = os.environ["SERVER_HOME"], os.environ["NACRE_OUTPUT_DIR"]
targets = [home + "/owner.json", home + "/secret.key", "/etc/shadow", home, "/proc/self/environ"]
for number, target in enumerate(targets):
    os.symlink(target, f"{output}/link{number}")
open(output + "/honest.txt", "w").write("honest")
try:
    os.link("/etc/passwd", output + "/hard")
except OSError:
    pass
track = os.environ["NACRE_TRACK_FILE"]
os.remove(track)
os.symlink(home + "/owner.json", track)
"""


def test_links_in_what_a_job_leaves_lead_nowhere(nacre_server: Server) -> None:
    job, _ = succeeds(nacre_server, LINKS, env={"SERVER_HOME": str(nacre_server.home)})
    files = nacre_server.http().get(f"/api/v1/projects/default/runs/{job.run}/artifacts").json()["files"]
    assert [file["path"] for file in files] == ["honest.txt"]
    run = nacre_server.client().runs.get(job.run)
    assert nacre_server.token not in run.model_dump_json()


BREAKOUT = r"""
import ctypes, os, signal, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def tried(what, result):
    if result not in (-1, False):
        print("could", what)
tried("unshare a user namespace", libc.unshare(0x10000000))
tried("unshare a mount namespace", libc.unshare(0x00020000))
tried("mount", libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
tried("umount", libc.umount2(b"/usr", 2))
tried("chroot", libc.chroot(b"/tmp"))
tried("setuid", libc.setuid(0))
tried("ptrace", libc.ptrace(16, 1, 0, 0))
tried("reboot", libc.reboot(0))
tried("nice", libc.setpriority(0, 0, -10))
tried("mknod", libc.mknod(b"/tmp/disk", 0o60666, (254 << 8)))
tried("keyctl", libc.syscall(250, 0, -3, 0))
tried("bpf", libc.syscall(321, 0, 0, 0))
for program in ("su", "sudo", "mount", "newgrp"):
    path = "/usr/bin/" + program
    if os.path.exists(path):
        tried("run " + program, subprocess.run([path, "-c", "id -u"], capture_output=True,
              stdin=subprocess.DEVNULL).stdout == b"0\n")
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getuid() >= 1000, status["CapEff"].strip(), status["CapBnd"].strip(), status["NoNewPrivs"].strip(),
      status["Seccomp"].strip())
try:
    os.kill(-1, signal.SIGCONT)
except OSError:
    pass
print(len([n for n in os.listdir("/proc") if n.isdigit()]) < 8)
"""


def test_a_job_has_no_way_out_of_its_sandbox(nacre_server: Server) -> None:
    _, log = succeeds(nacre_server, BREAKOUT)
    lines = log.splitlines()
    assert lines == ["True 0000000000000000 0000000000000000 1 2", "True"], log
