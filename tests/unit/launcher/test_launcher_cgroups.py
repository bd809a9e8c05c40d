"""Control groups: version 2 on a tree that looks like the kernel's, what this host has as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from launcher_host import NOBODY, SITE, SRC, SYSTEM_PYTHON, wait_for

from nacre.launcher import cgroups
from nacre.launcher.cgroups import Groups, create, find

MIB = 2**20
ROOT = Path(cgroups.ROOT)
V1 = (ROOT / "memory" / "cgroup.procs").exists()
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes groups here")


# Version 2: files that the kernel would make are there already, as far as a folder can play a kernel


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A unified tree; we are in the group of a user's service, which systemd has delegated."""
    own = tmp_path / "user.slice" / "nacre.service"
    for folder in (tmp_path, own, own / "nacre", tmp_path / "user.slice" / "nacre", tmp_path / "nacre"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.controllers").write_text("cpu memory pids\n")
        (folder / "cgroup.subtree_control").write_text("")
    monkeypatch.setattr(cgroups, "_own", lambda: {"": "/user.slice/nacre.service"})
    monkeypatch.setattr(cgroups, "may_join", lambda path: True)
    return tmp_path


def group(tree: Path, parent: str = "user.slice/nacre.service/nacre") -> Path:
    """The folder of the launch ``a-0`` with the files that the kernel makes in it."""
    path = tree / parent / "a-0"
    path.mkdir()
    for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max", "cgroup.procs", "cgroup.kill"):
        (path / name).write_text("")
    (path / "memory.current").write_text(f"{3 * MIB}\n")
    (path / "memory.events").write_text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n")
    return path


def delegates(tree: Path, parent: str) -> None:
    """What is written to the real file turns up in it as the list of controllers that are on."""
    (tree / parent / "cgroup.subtree_control").write_text("cpu memory pids")


def test_version_2_sets_every_limit_where_it_was_delegated(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delegates(tree, "user.slice/nacre.service/nacre")
    monkeypatch.setattr(cgroups, "_write", _keep_lists)
    path = group(tree)
    made = create("a-0", 64 * MIB, 40, 1.5, str(tree))
    assert (made.version, made.held) == (2, ["memory", "processes", "cpu"])
    assert made.joined == [str(path)]
    assert (path / "memory.max").read_text() == str(64 * MIB)
    assert (path / "memory.swap.max").read_text() == "0"
    assert (path / "pids.max").read_text() == "40"
    assert (path / "cpu.max").read_text() == "150000 100000"


def _keep_lists(path: str, text: str) -> bool:
    """The kernel adds ``+memory`` to the list of what is on; it is on already."""
    if not os.path.exists(path):
        return False
    if not path.endswith("cgroup.subtree_control"):
        Path(path).write_text(text)
    return True


def test_version_2_goes_beside_its_own_group_when_that_hands_nothing_down(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group with processes of its own can have no controllers below it: EBUSY."""
    delegates(tree, "user.slice/nacre")
    monkeypatch.setattr(cgroups, "_write", _keep_lists)
    group(tree, "user.slice/nacre")
    made = create("a-0", MIB, None, None, str(tree))
    assert made.paths["memory"] == str(tree / "user.slice" / "nacre" / "a-0")
    assert made.held == ["memory"]
    assert find("a-0", str(tree)).joined == made.joined


def test_version_2_without_controllers_still_ends_everything(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "_write", _keep_lists)
    path = tree / "user.slice" / "nacre.service" / "nacre" / "a-0"
    path.mkdir()
    (path / "cgroup.procs").write_text("")
    (path / "cgroup.kill").write_text("")
    made = create("a-0", MIB, 5, 1.0, str(tree))
    assert (made.held, made.paths) == ([], {"kill": str(path)})
    assert made.kill()
    assert (path / "cgroup.kill").read_text() == "1"
    assert (made.peak_bytes(), made.used_bytes(), made.oom_kills()) == (None, None, 0)


def test_version_2_that_may_not_be_joined_is_not_used(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may enter only when the common ancestor is writable too: another slice's is not."""
    monkeypatch.setattr(cgroups, "_write", _keep_lists)
    monkeypatch.setattr(cgroups, "may_join", lambda path: False)
    assert create("a-0", MIB, 5, 1.0, str(tree)).paths == {}
    assert not list(tree.rglob("a-0"))


def test_version_2_counts_and_tells_whose_limit_it_was(tree: Path) -> None:
    path = group(tree)
    made = Groups(2, {"kill": str(path), "memory": str(path)}, ["memory"])
    assert made.used_bytes() == 3 * MIB
    assert made.peak_bytes() is None  # before Linux 5.19: what is in use at the end is no peak
    (path / "memory.peak").write_text(f"{9 * MIB}\n")
    assert made.peak_bytes() == 9 * MIB
    (path / "memory.events").write_text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 2\n")
    assert made.oom_kills() == 2
    assert not made.reached_memory_limit()
    (path / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n")
    assert made.reached_memory_limit()


# What this host has


@pytest.fixture
def name() -> Iterator[str]:
    found = f"test-{uuid.uuid4().hex}"
    yield found
    left = find(found)
    left.kill()
    left.remove()
    assert not find(found).paths


def _sleepers(groups: Groups) -> subprocess.Popen[bytes]:
    """A shell in the groups with a child of its own session, which ignores what can be ignored."""
    script = 'for g in "$@"; do echo 0 > "$g/cgroup.procs" || exit 9; done; trap "" TERM HUP INT\n'
    script += "setsid sleep 300 & wait"
    return subprocess.Popen(["sh", "-c", script, "sh", *groups.joined])


@needs_root
def test_everything_in_the_groups_is_killed(name: str) -> None:
    groups = create(name, 64 * MIB, 20, 0.5)
    if not groups.paths:
        pytest.skip("no control groups can be made here")
    with _sleepers(groups) as shell:
        wait_for(lambda: len(groups.pids()) == 2)
        assert groups.kill()
        assert shell.wait(5) == -signal.SIGKILL
    assert groups.pids() == []
    groups.remove()
    assert not any(map(os.path.exists, groups.joined))


@needs_root
def test_the_kill_file_of_version_2_alone_ends_everything(name: str) -> None:
    """Also in a unified tree without controllers, beside those of version 1."""
    path = create(name, None, None, None).paths.get("kill")
    if path is None:
        pytest.skip("no group of version 2 can be made here")
    only = Groups(0, {"kill": path}, [])
    with _sleepers(only) as shell:
        wait_for(lambda: len(only.pids()) == 2)
        Path(path, "cgroup.kill").write_text("1")
        assert shell.wait(5) == -signal.SIGKILL
        wait_for(lambda: not only.pids())


@needs_root
@pytest.mark.skipif(not V1, reason="no version 1 here")
def test_an_ordinary_user_has_real_limits_where_groups_were_delegated(name: str) -> None:
    """What ``systemd-run --user -p Delegate=yes`` does for version 2: the user's own group, owned by it."""
    own = [ROOT / controller / name for controller in ("memory", "pids", "cpu")]
    try:
        for folder in own:
            folder.mkdir()
            for path in (folder, folder / "cgroup.procs"):
                os.chown(path, NOBODY, NOBODY)
        program = "import json; from nacre.launcher.isolation import detect\n"
        program += "print(json.dumps(detect().to_json()))"
        enter = 'for g in $1; do echo 0 > "$g/cgroup.procs"; done; shift; exec "$@"'
        user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
        done = subprocess.run(
            ["sh", "-c", enter, "sh", " ".join(map(str, own)), *user, SYSTEM_PYTHON, "-c", program],
            env={"PYTHONPATH": f"{SRC}:{SITE}", "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath},
            capture_output=True,
            check=False,
        )
        if b"Permission denied" in done.stderr:
            pytest.skip("another user cannot get to Nacre here")
        found = json.loads(done.stdout)
        assert (found["is_root"], found["cgroup_version"]) == (False, 1)
        assert (found["memory"], found["processes"], found["cpu"]) == (True, True, True)
        assert not any("Control groups" in sentence for sentence in found["sentences"])
    finally:
        for folder in own:
            for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
                path.rmdir()
            deadline = time.monotonic() + 5
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
