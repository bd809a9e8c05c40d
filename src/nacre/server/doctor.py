"""``python -m nacre.server.doctor``: what this machine gives, as JSON, found by trying it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from typing import Any

import pynvml

from nacre.errors import NacreError
from nacre.server import home
from nacre.server.settings import Settings, read_settings

Check = dict[str, Any]
GIB = 2**30
_PROBE = "import json; from nacre.launcher.isolation import detect; print(json.dumps(detect().to_json()))"


def _check(name: str, level: str, message: str) -> Check:
    return {"name": name, "level": level, "message": message}


def check_python() -> Check:
    return _check("python", "ok", f"{platform.python_version()} at {sys.executable}")


def check_home(settings: Settings) -> Check:
    try:
        home.prepare(settings)
    except NacreError as error:
        return _check("home", "error", error.detail)
    usage = shutil.disk_usage(settings.home)
    text = f"{settings.home}, {usage.free / GIB:.1f} GiB free of {usage.total / GIB:.0f}"
    if usage.free < 10 * GIB:
        return _check("home", "warning", f"{text}: environments and data want 10 GiB or more")
    return _check("home", "ok", text)


def check_machine() -> Check:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _check("machine", "ok", f"{os.cpu_count()} CPUs, {memory / GIB:.1f} GiB memory")


def check_gpus() -> Check:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return _check("gpus", "ok", f"none ({error})")
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return _check("gpus", "ok", ", ".join(str(pynvml.nvmlDeviceGetName(h)) for h in handles) or "none")
    finally:
        pynvml.nvmlShutdown()


def check_isolation() -> list[Check]:
    """The launcher's own finding, one line per sentence."""
    done = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=False, timeout=60)
    if done.returncode != 0:
        return [_check("isolation", "error", done.stderr.decode(errors="replace").strip()[-400:])]
    found = json.loads(done.stdout)
    level = "ok" if found["level"] == "full" else "warning"
    groups = [name for name in ("memory", "processes", "cpu") if found[name]]
    held = f"cgroup v{found['cgroup_version']} holds {', '.join(groups)}" if groups else "no cgroup limits"
    filtered = "system calls are filtered" if found["seccomp"] else "system calls are not filtered"
    program = f"bubblewrap {found['bubblewrap_version']}" if found["bubblewrap_works"] else "no bubblewrap"
    checks = [_check("isolation", level, f"{found['level']}: {program}, {held}, {filtered}")]
    return checks + [_check("isolation", level, sentence) for sentence in found["sentences"]]


def check_ports(settings: Settings) -> list[Check]:
    there = home.read_description(settings.home)
    if there is not None:
        return [_check("ports", "ok", f"nacre is running at {there['url']}")]
    checks = []
    wanted = {
        "console and API": settings.port,
        "instances": settings.content_port,
        "endpoints": settings.inference_port,
    }
    for what, port in wanted.items():
        try:
            listener: socket.socket = home.bind(settings, port, what)
        except NacreError as error:
            checks.append(_check("ports", "warning", error.detail))
        else:
            listener.close()
    return checks or [_check("ports", "ok", ", ".join(f"{port} ({what})" for what, port in wanted.items()))]


def check_programs() -> Check:
    uv = shutil.which("uv") or f"{sys.executable} -m uv"
    done = subprocess.run([sys.executable, "-m", "uv", "--version"], capture_output=True, check=False)
    if done.returncode != 0:
        return _check("uv", "error", "uv does not run: install nacre again ('pip install nacre')")
    return _check("uv", "ok", f"{done.stdout.decode().strip()} at {uv}")


def main() -> None:
    """Print every check as JSON; exit 1 when one is an error."""
    settings = read_settings()
    checks = [check_python(), check_machine(), check_gpus(), check_home(settings), check_programs()]
    checks += check_isolation() + check_ports(settings)
    json.dump(checks, sys.stdout)
    sys.exit(1 if any(check["level"] == "error" for check in checks) else 0)


if __name__ == "__main__":
    main()
