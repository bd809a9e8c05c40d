"""``python -m nacre.server.doctor``: what this machine gives, as JSON, found by trying it.

A running server finds the same out of its own process, and adds what only it knows:
:mod:`nacre.services.doctor`.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pynvml

from nacre.clock import SystemClock
from nacre.errors import NacreError
from nacre.schema.server import Check, CheckState, Diagnosis, worst
from nacre.server import home
from nacre.server.settings import Settings, read_settings
from nacre.services.prices import Prices

GIB = 2**30
WANTED_DISK = 10 * GIB
LEAST_DISK = GIB
_OK, _WARNING, _PROBLEM = CheckState.OK, CheckState.WARNING, CheckState.PROBLEM
_PROBE = "import json; from nacre.launcher.isolation import detect; print(json.dumps(detect().to_json()))"


def machine_checks(settings: Settings) -> list[Check]:
    """Every check of the machine that needs no server. Takes a good part of a second."""
    checks = [check_python(), check_machine(), check_gpus(), *check_home(settings), check_uv()]
    return checks + check_isolation(settings) + check_ports(settings)


def check_python() -> Check:
    return Check(name="python", state=_OK, message=f"{platform.python_version()} at {sys.executable}")


def check_machine() -> Check:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cpus = len(os.sched_getaffinity(0))
    return Check(name="machine", state=_OK, message=f"{cpus} CPUs, {memory / GIB:.1f} GiB memory")


def check_gpus(devices: Path = Path("/dev")) -> Check:
    """What NVML lists. Devices that it cannot reach are worth a warning; no devices are not."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        if any(devices.glob("nvidia[0-9]*")):
            return Check(
                name="gpus",
                state=_WARNING,
                message=f"there are NVIDIA devices, but their driver does not answer ({error})",
                remedy="see what 'nvidia-smi' says; after an update of the driver the machine has to be "
                "restarted",
            )
        return Check(name="gpus", state=_OK, message="none")
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        names = ", ".join(str(pynvml.nvmlDeviceGetName(handle)) for handle in handles)
    finally:
        pynvml.nvmlShutdown()
    return Check(name="gpus", state=_OK, message=names or "none")


def check_home(settings: Settings) -> list[Check]:
    """The home can be written and is large enough, and its secrets are the owner's only."""
    try:
        home.prepare(settings)
    except NacreError as error:
        said, _, remedy = error.detail.partition(": ")
        return [Check(name="disk", state=_PROBLEM, message=said, remedy=remedy or None)]
    checks = [disk_check(settings.home, shutil.disk_usage(settings.home).free, _free_files(settings.home))]
    for name in ("secret.key", "owner.json"):
        path = settings.home / name
        if path.exists() and path.stat().st_mode & 0o077:
            checks.append(
                Check(
                    name="secrets",
                    state=_PROBLEM,
                    message=f"others on this machine can read {path}",
                    remedy=f"chmod 600 {path}",
                )
            )
    return checks


def _free_files(path: Path) -> float | None:
    facts = os.statvfs(path)
    return facts.f_favail / facts.f_files if facts.f_files else None


def disk_check(path: Path, free: int, free_files: float | None) -> Check:
    """``free`` bytes; ``free_files``: the share of files that may still be made, null where none is set."""
    text = f"{path} has {free / GIB:.1f} GiB free"
    remedy = "remove old environments and data versions, or move NACRE_HOME to a larger disk"
    if free < LEAST_DISK:
        return Check(name="disk", state=_PROBLEM, message=f"{text}: work will fail soon", remedy=remedy)
    if free < WANTED_DISK:
        text = f"{text}: environments and data want {WANTED_DISK // GIB} GiB or more"
        return Check(name="disk", state=_WARNING, message=text, remedy=remedy)
    if free_files is not None and free_files < 0.05:
        text = f"{path} may hold only {free_files:.0%} more files, although there is space"
        return Check(name="disk", state=_WARNING, message=text, remedy=remedy)
    return Check(name="disk", state=_OK, message=text)


def check_uv() -> Check:
    done = subprocess.run([sys.executable, "-m", "uv", "--version"], capture_output=True, check=False)
    if done.returncode != 0:
        return Check(
            name="uv",
            state=_PROBLEM,
            message="uv does not run, so that no environment can be built",
            remedy="install nacre again: pip install --force-reinstall nacre",
        )
    return Check(name="uv", state=_OK, message=done.stdout.decode().strip())


def check_isolation(settings: Settings) -> list[Check]:
    """What the launcher finds when it tries its sandbox."""
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-400:]
        return [Check(name="sandbox", state=_PROBLEM, message=f"it could not be tried: {said}")]
    attempts = settings.home / "attempts"
    own_users = attempts.exists() and home.reachable(attempts, sys.base_prefix)
    return isolation_checks(json.loads(done.stdout), own_users=own_users)


def isolation_checks(found: dict[str, Any], *, own_users: bool = False) -> list[Check]:
    """The launcher's finding (:class:`nacre.launcher.isolation.Isolation`) as three checks.

    ``own_users``: whether others could run work here, so that root gives it a user without a sandbox too.
    """
    return [_sandbox(found, own_users=own_users), _limits(found), _filter(found)]


def _sandbox(found: dict[str, Any], *, own_users: bool) -> Check:
    if found["bubblewrap_works"]:
        own = " under a user number of its project" if found["mode"] == "bwrap-root" else ""
        text = f"isolation is {found['level']}: work runs in bubblewrap {found['bubblewrap_version']}{own}"
        return Check(name="sandbox", state=_OK, message=text)
    exposed = "work runs as a plain process, "
    if not found["is_root"]:
        exposed += "as the server's own user: it gets to the server's keys and to every project's files"
    elif own_users:
        exposed += (
            "as a user of its project: it sees other processes, and has the machine's network and /tmp"
        )
    else:
        exposed += "as root: nothing on this machine is closed to it"
    if found["bubblewrap"] is None:
        return Check(
            name="sandbox",
            state=_WARNING,
            message=f"isolation is reduced: bubblewrap is not installed, so {exposed}",
            remedy="install bubblewrap (Debian, Ubuntu: apt install bubblewrap), then restart the server",
        )
    return Check(
        name="sandbox",
        state=_WARNING,
        message=f"isolation is reduced: bubblewrap does not work ({found['bubblewrap_reason']}), "
        f"so {exposed}",
        remedy="allow user namespaces (sysctl kernel.unprivileged_userns_clone=1; on Ubuntu also "
        "kernel.apparmor_restrict_unprivileged_userns=0), then restart the server",
    )


def _limits(found: dict[str, Any]) -> Check:
    names = {"memory": "memory", "processes": "number of processes", "cpu": "CPU time"}
    held = [word for name, word in names.items() if found[name]]
    missing = [word for name, word in names.items() if not found[name]]
    if not missing:
        text = f"control groups (version {found['cgroup_version']}) hold {', '.join(held)}; "
        text += "disk quotas are watched"
        return Check(name="limits", state=_OK, message=text)
    return Check(
        name="limits",
        state=_WARNING,
        message=f"control groups cannot limit {', '.join(missing)} here: work that takes too much is "
        "noticed later, or not at all",
        remedy="start the server as root, or where control groups are delegated to it: systemd-run --user "
        "--scope -p Delegate=yes nacre up (a service: Delegate=yes in its unit)",
    )


def _filter(found: dict[str, Any]) -> Check:
    if found["seccomp"]:
        return Check(name="syscalls", state=_OK, message="system calls of work are filtered")
    return Check(
        name="syscalls",
        state=_WARNING,
        message="system calls of work are not filtered",
        remedy="install libseccomp (Debian, Ubuntu: apt install libseccomp2), then restart the server"
        if found["bubblewrap_works"]
        else "the filter needs bubblewrap: mend the sandbox first",
    )


def check_ports(settings: Settings) -> list[Check]:
    """The three ports are free, or this home's server has them; and who can reach it."""
    there = home.read_description(settings.home)
    if there is not None:
        where = f"console and API {there['url']}, instances {there['content_url']}, "
        checks = [Check(name="ports", state=_OK, message=where + f"endpoints {there['inference_url']}")]
    else:
        checks = _free_ports(settings)
    if not settings.loopback:
        checks.append(
            Check(
                name="network",
                state=_WARNING,
                message=f"the server listens on {settings.host} and speaks plain HTTP: on the way, "
                "passwords and data can be read",
                remedy="listen on loopback (NACRE_HOST=127.0.0.1) behind a proxy with TLS",
            )
        )
    return checks


def _free_ports(settings: Settings) -> list[Check]:
    wanted = {
        "console and API": settings.port,
        "instances": settings.content_port,
        "endpoints": settings.inference_port,
    }
    checks = []
    for what, port in wanted.items():
        try:
            listener: socket.socket = home.bind(settings, port, what)
        except NacreError as error:
            said, _, remedy = error.detail.partition(": ")
            checks.append(Check(name="ports", state=_WARNING, message=said, remedy=remedy or None))
        else:
            listener.close()
    free = ", ".join(f"{port} ({what})" for what, port in wanted.items())
    return checks or [Check(name="ports", state=_OK, message=f"{free} are free")]


def check_prices(file: Path) -> list[Check]:
    """For where no server runs: with a mistake in its prices none would start."""
    if not file.exists():
        return []
    try:
        return [Check(name="prices", state=_OK, message=f"{file}, in {Prices(file).currency}")]
    except NacreError as error:
        return [
            Check(
                name="prices", state=_PROBLEM, message=error.detail, remedy=f"mend {file}, or move it aside"
            )
        ]


def main() -> None:
    """Print the diagnosis as JSON; exit 1 when there is a problem."""
    settings = read_settings()
    checks = machine_checks(settings) + check_prices(settings.home / "prices.toml")
    found = Diagnosis(checked_at=SystemClock().now(), state=worst(checks), checks=checks)
    sys.stdout.write(found.model_dump_json())
    sys.exit(1 if found.state is _PROBLEM else 0)


if __name__ == "__main__":
    main()
