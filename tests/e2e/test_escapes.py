"""A job tries every way out of its sandbox: it is stopped, or its record says that nothing stops it.

Servers started by root and by an ordinary user, each with and without bubblewrap; and by root without it
where others get to its home and to its Python, so that work has a user of its project.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest
from blake3 import blake3
from real_server import Server, wait_until

import nacre
from nacre.schema.jobs import Job, JobState
from nacre.sdk.client import Client

pytestmark = [pytest.mark.timeout(240), pytest.mark.slow]

NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"
DIARY = "the diary of the project"
MIB = 2**20
ATTEMPTS = (Path(__file__).parent / "escape_attempts.py").read_text()
# In mount namespaces of their own: the machine's bubblewrap stays where it is.
WITHOUT_BUBBLEWRAP = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    'mount --bind /dev/null /usr/bin/bwrap; exec "$@"',
    "sh",
]


def as_nobody(program: list[str]) -> list[str]:
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", *program]


def others_can_run() -> bool:
    """Whether another user gets to Nacre's packages with the Python of the system."""
    done = subprocess.run(
        as_nobody([SYSTEM_PYTHON, "-c", "import nacre.server.wiring"]),
        env={"PYTHONPATH": packages(), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def packages() -> str:
    """Where this Python has Nacre and what it needs."""
    return f"{Path(nacre.__file__).parents[1]}:{Path(pydantic.__file__).parents[1]}"


KINDS = [
    "root",
    "user",
    "root without bubblewrap",
    "root with users of projects, without bubblewrap",
    "user without bubblewrap",
]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, e2e_folder: Path, built_environments: Path) -> Iterator[Server]:
    """A server of that kind."""
    kind: str = request.param
    if os.geteuid() != 0 or shutil.which("bwrap") is None:
        pytest.skip("needs root, to be others too, and bubblewrap")
    home = Path(tempfile.mkdtemp(prefix="home-", dir=e2e_folder))
    variables = {}
    environments = built_environments
    program = [sys.executable]
    if kind.startswith("user") or "users" in kind:
        if not others_can_run():
            pytest.skip("an ordinary user cannot get to Nacre here")
        environments = Path(f"{built_environments}-user")  # with a Python that everybody gets to
        environments.mkdir(exist_ok=True)
        variables = {"PYTHONPATH": packages(), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(home / "user")}
        (home / "user").mkdir()
        program = [SYSTEM_PYTHON]
    if kind.startswith("user"):
        for path in (home, home / "user", environments):
            os.chown(path, NOBODY, NOBODY)
        program = as_nobody(program)
    if kind.endswith("without bubblewrap"):
        program = [*WITHOUT_BUBBLEWRAP, *program]
    (home / "environments").symlink_to(environments)
    made = Server(home, variables)
    made.program = program
    try:
        made.start()
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def victim(server: Server) -> tuple[Job, int]:
    """Work of another project, while it runs, and the number of its process."""
    server.client().projects.create("other")
    client = server.client(project="other")
    job = server.submit({"main.py": VICTIM, "diary.txt": "somebody else's"}, client=client)
    found = wait_until("the other project's work runs", lambda: _process(job.id), 120)
    return client.jobs.get(job.id), found


VICTIM = "import sys, time\nprint('up', flush=True)\ntime.sleep(600)\n"


def _process(job: str) -> int | None:
    mark = f"NACRE_JOB_ID={job}".encode()
    for folder in Path("/proc").iterdir():
        try:
            mine = folder.name.isdigit() and mark in (folder / "environ").read_bytes()
            if mine and b"main.py" in (folder / "cmdline").read_bytes().split(b"\0"):
                return int(folder.name)
        except OSError:
            continue
    return None


def address() -> str:
    """Of this machine, on its network."""
    found = re.findall(r"\d+\.\d+\.\d+\.\d+", Path("/proc/net/fib_trie").read_text())
    return next((one for one in found if not one.startswith(("127.", "0."))), "127.0.0.1")


def boxed(server: Server) -> bool:
    return "unshare" not in server.program


def isolation_of(client: Client, job: Job) -> dict[str, Any]:
    found = client.jobs.get(job.id).attempts[0].isolation
    assert found is not None
    return found


# What is possible without a sandbox, and the words of the record that say so.
SAID = {
    r"read|become root|write /|open /|mknod|mount|setns|pivot|chroot": r"as root|own user",
    r"see processes|signal|another|process_vm|kcmp": r"sees every process",
    r"fill": r"shares /tmp and /dev/shm",
    r"connect|route": r"machine's network",
    r"namespace|ptrace|AF_|key|bpf|io_uring|perf|userfaultfd|personality|handle|fsopen|open_tree|reboot|"
    r"settimeofday|init_module|TIOCSTI": r"every system call",
    r"more processes": r"number of processes is",
}


# What the filter of system calls refuses before the kernel looks at it.
FILTERED = (
    *("ptrace another", "ptrace: be traced", "process_vm_readv", "kcmp", "mount", "fsopen", "open_tree"),
    *("setns", "pivot_root", "chroot", "keyctl", "add_key", "bpf", "io_uring_setup", "perf_event_open"),
    *(
        "userfaultfd",
        "personality",
        "open_by_handle_at",
        "reboot",
        "settimeofday",
        "init_module",
        "TIOCSTI",
    ),
    *("socket AF_PACKET", "socket AF_ALG", "socket AF_VSOCK", "mount namespace by unshare"),
    *(f"user namespace by {call}" for call in ("unshare", "clone", "clone3")),
)


def test_every_attempt_is_stopped_or_told(server: Server, victim: tuple[Job, int]) -> None:
    other, process = victim
    home = server.home
    nacre = server.client()
    digest = blake3(DIARY.encode()).hexdigest()
    nacre.blobs.put(digest, DIARY.encode())
    entry = {"digest": digest, "executable": False, "path": "diary.txt", "size": len(DIARY)}
    manifest = json.dumps({"files": [entry]}).encode()
    nacre.blobs.put(blake3(manifest).hexdigest(), manifest)
    nacre.data.create("diary", blake3(manifest).hexdigest())
    files = [home / name for name in ("secret.key", "owner.json", "nacre.db", "blobs", "server.log")]
    files += [
        home / "attempts" / other.attempts[0].id / "0" / name for name in ("work/diary.txt", "spec.json")
    ]
    targets = {
        "files": list(map(str, files)),
        "victim": process,
        "address": address(),
        "port": server.port,
    }
    job = server.submit(
        {"main.py": ATTEMPTS},
        env={"TARGETS": json.dumps(targets)},
        inputs={"diary": "diary"},
        resources={"cpu": 1, "memory": "1GB", "disk": "1GB", "shm_size": "16MB"},
    )
    job = server.wait(job, timeout_s=150)
    log = server.log(job).decode()
    assert job.state is JobState.SUCCEEDED, f"{job.message}\n{log}"
    found: dict[str, str] = json.loads(log.splitlines()[-1])
    possible = sorted(name for name, how in found.items() if how.startswith("possible"))
    stopped = [name for name, how in found.items() if how.startswith("stopped")]
    record = isolation_of(nacre, job)
    assert len(possible) + len(stopped) > 50

    if boxed(server):
        assert possible == [], {name: found[name] for name in possible}
        for name in FILTERED:
            assert found[name] == f"stopped: {'ENOSYS' if name.endswith('clone3') else 'EPERM'}", name
        assert record["level"] == ("full" if "setpriv" not in server.program else "partial")
        assert found["status"] == f"{'0' * 16} {'0' * 16} 1 2"
        assert found["gpus"] == "''"
        assert not re.search("kvm|vda|nvidia|kmsg|loop", found["devices"])
        assert int(found["bytes in /tmp"]) <= 512 * MIB
        assert int(found["bytes in /dev/shm"]) <= 16 * MIB
        assert 3900 < int(found["threads"]) <= 4096
    else:
        assert record["level"] == "reduced"
        said = " ".join(record["missing"])
        for name in possible:
            if name == "write data set":
                continue  # a copy of its own
            words = [words for pattern, words in SAID.items() if re.search(pattern, name)]
            assert words, f"{name} was possible, and nobody thought of it"
            assert re.search("|".join(words), said), f"{name} was possible, and the record does not say so"
        assert "see processes" in possible
        if record["uid"] is not None:
            assert not [name for name in possible if name.startswith("read ")], possible
            assert not [name for name in possible if name.endswith("another")], possible
    assert Path(f"/proc/{process}").exists()
    assert nacre.blobs.get(digest) == DIARY.encode()
    server.assert_gone(job)


def test_the_level_is_known_while_the_work_runs(server: Server, victim: tuple[Job, int]) -> None:
    other = server.client(project="other")
    record = isolation_of(other, victim[0])
    assert other.jobs.get(victim[0].id).state is JobState.RUNNING
    node = server.client().nodes.list()[0]
    assert record["level"] == node.isolation
    assert record["sandbox"] == (
        "none" if not boxed(server) else "bwrap-user" if "setpriv" in server.program else "bwrap-root"
    )
    shown = server.run("--project", "other", "show", victim[0].id).stdout.decode()
    [line] = [line for line in shown.splitlines() if line.strip().startswith("isolation")]
    assert record["level"] in line
