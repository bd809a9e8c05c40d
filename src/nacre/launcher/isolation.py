"""What this host really gives to keep work apart, found by trying each thing once.

For the engine and ``nacre doctor``; a launch does not import this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from nacre.launcher import cgroups
from nacre.launcher.enforced import LACKS, Level, exposed, level
from nacre.launcher.folder import Failure, Folder
from nacre.launcher.prepare import FOLDERS
from nacre.launcher.sandbox import command_line, find
from nacre.launcher.spec import Spec
from nacre.launcher.start import ensure_filter
from nacre.launcher.variables import Places

_TRY_UID = 65534
_TIMEOUT_S = 20


@dataclass(frozen=True)
class Isolation:
    """What was found. ``mode`` is the best ``SandboxMode`` that works; ``level`` sums it up."""

    is_root: bool
    bubblewrap: str | None
    bubblewrap_version: str | None
    bubblewrap_works: bool
    bubblewrap_reason: str | None
    modes: list[str]
    mode: str
    userns: bool
    cgroup_version: int
    memory: bool
    processes: bool
    cpu: bool
    seccomp: bool
    level: Level
    sentences: list[str]

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)


def detect() -> Isolation:
    """Try everything once. Takes about a quarter of a second; leaves nothing behind."""
    is_root = os.geteuid() == 0
    bwrap = find("bwrap")
    groups = _try_groups()
    with tempfile.TemporaryDirectory(prefix="nacre-isolation-") as scratch:
        trees = os.path.join(scratch, "trees")
        seccomp = bool(ensure_filter(trees))
        tries = {mode: _try_sandbox(mode, scratch, trees) for mode in _candidates(is_root, bwrap)}
    works = [mode for mode, reason in tries.items() if reason is None]
    reasons = [reason for reason in tries.values() if reason is not None]
    return Isolation(
        is_root=is_root,
        bubblewrap=bwrap,
        bubblewrap_version=_version(bwrap),
        bubblewrap_works=bool(works),
        bubblewrap_reason=reasons[0] if reasons and not works else None,
        modes=[*works, "none"],
        mode=works[0] if works else "none",
        userns=_try_userns(),
        cgroup_version=groups.version,
        memory="memory" in groups.held,
        processes="processes" in groups.held,
        cpu="cpu" in groups.held,
        seccomp=seccomp and bool(works),
        level=level(boxed=bool(works), held=groups.held, seccomp=seccomp),
        sentences=_sentences(bwrap, works, reasons, groups, seccomp=seccomp),
    )


def _candidates(is_root: bool, bwrap: str | None) -> list[str]:
    if bwrap is None:
        return []
    return ["bwrap-root", "bwrap-user"] if is_root else ["bwrap-user"]


def _version(bwrap: str | None) -> str | None:
    if bwrap is None:
        return None
    done = subprocess.run(
        [bwrap, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    return done.stdout.split()[-1] if done.stdout.split() else None


def _try_sandbox(mode: str, scratch: str, trees: str) -> str | None:
    """Run the whole recipe around a program that does nothing; None, or why it did not work."""
    root = os.path.join(scratch, mode)
    folder = Folder(root)
    os.mkdir(root)
    uid = _TRY_UID if mode == "bwrap-root" else None
    for name in FOLDERS:
        os.mkdir(folder.path(name), 0o755)
    with open(folder.path("env.sh"), "wb"):
        pass
    spec = Spec(
        {
            "project": "doctor",
            "subject_id": "doctor",
            "subject_name": "doctor",
            "attempt_id": "doctor",
            "folder": root,
            "server": "unix:/nowhere",
            "token": "",
            "trees_root": trees,
            "command": ["true"],
            "sandbox": mode,
            "uid": uid,
        }
    )
    try:
        argv = [*command_line(spec, folder, Places(spec, folder, {}), {}), "/usr/bin/true"]
    except Failure as failure:
        return failure.message
    if "--seccomp" in argv:
        argv[argv.index("--seccomp") + 1] = "0"  # the filter comes as standard input here
    filter_file = ensure_filter(trees) or os.devnull
    with open(filter_file, "rb") as file:
        try:
            done = subprocess.run(argv, stdin=file, capture_output=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    if done.returncode == 0:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1] if said else f"bubblewrap ended with exit code {done.returncode}"


def _try_userns() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    argv = [unshare, "--user", "--map-root-user", "true"]
    return subprocess.run(argv, capture_output=True, timeout=_TIMEOUT_S, check=False).returncode == 0


def _try_groups() -> cgroups.Groups:
    """Make control groups with every limit, look whether a process may enter, and take them away."""
    groups = cgroups.create(f"try-{uuid.uuid4().hex}", 2**26, 16, 0.5)
    try:
        if not all(cgroups.may_join(path) for path in groups.joined):
            return cgroups.Groups(0, {}, [])
    finally:
        groups.remove()
    return groups


def _sentences(
    bwrap: str | None, works: list[str], reasons: list[str], groups: cgroups.Groups, *, seccomp: bool
) -> list[str]:
    found = []
    if "bwrap-root" in works:
        found.append("Work runs in bubblewrap under a user number of its project.")
    elif works:
        found.append("Work runs in bubblewrap; every project shares this server's user number.")
    elif bwrap is None:
        found.append(
            "bubblewrap is not installed: work runs as a plain process. Install bubblewrap (bwrap)."
        )
    else:
        found.append(f"bubblewrap does not work here ({reasons[0]}): work runs as a plain process.")
    for limit, instead in (("memory", "rlimit"), ("processes", "rlimit"), ("cpu", "not enforced")):
        if limit not in groups.held:
            lack = LACKS[limit, instead]
            if limit == "processes" and not works and os.geteuid() == 0:
                lack += " For root it is not limited at all."
            found.append(f"Control groups for {limit} cannot be set here. {lack}")
    if works and not seccomp:
        found.append("System calls are not filtered: pyseccomp or libseccomp is missing.")
    if not works:
        # Root's work has a user of its project where that could get to the files that it needs.
        found += [sentence.replace("It ", "Work ", 1) for sentence in exposed(None, root=os.geteuid() == 0)]
    return found
