"""The server's home folder: made, checked, locked, and described to clients on this machine."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from pathlib import Path
from typing import IO, Any

from nacre.errors import Conflict, Unavailable
from nacre.server.settings import Settings

_FOLDERS = {
    "attempts": 0o711,
    "blobs": 0o700,
    "checkpoints": 0o711,
    "environments": 0o755,
    "instances": 0o711,
    "logs": 0o700,
    "run": 0o711,
    "run/api": 0o755,
    "run/packages": 0o755,
    "serving": 0o700,
    "site": 0o755,
    "trees": 0o700,
}
"""What work of other users must pass through may be entered by them, never listed; the rest is private."""

_LOW_DISK_BYTES = 64 * 2**20


def prepare(settings: Settings) -> None:
    """Make the folders, private to this user, but for what root's work passes through as another user.

    Raises:
        Unavailable: the disk is full, read-only, or not ours to write; the sentence says which.
    """
    home = settings.home
    try:
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for name, mode in _FOLDERS.items():
            (home / name).mkdir(exist_ok=True)
            (home / name).chmod(mode)
        for name in ("nacre.db", "server.log"):  # SQLite's side files take the mode of the database
            (home / name).touch(mode=0o600)
            (home / name).chmod(0o600)
        probe = home / ".probe"
        probe.write_bytes(b"\0" * 65_536)
        probe.unlink()
    except OSError as error:
        raise Unavailable(_sentence(home, error)) from error
    facts = os.statvfs(home)
    free = facts.f_bavail * facts.f_frsize
    if free < _LOW_DISK_BYTES:
        raise Unavailable(
            f"the disk of {home} has only {free // 2**20} MiB left: free some space, "
            "or set NACRE_HOME to another folder"
        )


def _sentence(home: Path, error: OSError) -> str:
    elsewhere = "or set NACRE_HOME to another folder"
    if error.errno == errno.ENOSPC:
        return f"the disk of {home} is full: free some space, {elsewhere}"
    if error.errno == errno.EROFS:
        return f"{home} is on a read-only file system: make it writable, {elsewhere}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{home} cannot be written by this user: mend its owner or mode, {elsewhere}"
    return f"{home} cannot be used ({error.strerror}): mend it, {elsewhere}"


def reachable(*paths: Path | str) -> bool:
    """Whether every user of this machine can get to all of these."""
    steps = {step for path in paths for step in (Path(path).resolve(), *Path(path).resolve().parents)}
    return all(step.stat().st_mode & 0o001 for step in steps)


def lock(settings: Settings) -> IO[str]:
    """Hold the home for this process; keep the answer open for as long as the server lives.

    Raises:
        Conflict: another server has it; the sentence names its process and address.
    """
    stream = (settings.home / "server.lock").open("a+")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        stream.close()
        other = read_description(settings.home)
        where = f" (process {other['pid']}, {other['url']})" if other else ""
        raise Conflict(
            f"nacre is already running on {settings.home}{where}: "
            "see 'nacre status', stop it with 'nacre down'"
        ) from error
    return stream


def bind(settings: Settings, port: int, what: str) -> socket.socket:
    """A listening TCP socket.

    Raises:
        Conflict: the port is taken.
        Unavailable: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} ({what}) is taken on {settings.host}: stop what uses it, or choose other "
                f"ports with 'nacre up --port {settings.port + 100}'"
            ) from error
        raise Unavailable(f"cannot listen on {settings.host}:{port} ({what}): {error.strerror}") from error
    return listener


def probe_inference(settings: Settings) -> None:
    """See that endpoints can be served on their port; the model server takes it when there is one.

    Raises:
        Conflict: somebody else has it.
        Unavailable: the address cannot be listened on.
    """
    try:
        theirs = json.loads((settings.serving / "modelserver.json").read_text())
        ours = process_start(int(theirs["pid"])) == theirs["start"]
        if ours and theirs["port"] == settings.inference_port:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    bind(settings, settings.inference_port, "endpoints").close()


def bind_unix(path: Path) -> socket.socket:
    """A listening unix socket that every local process may connect to: tokens guard what it serves."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    listener.bind(f"/proc/self/fd/{folder}/{path.name}")  # a socket's path must be short; a home's need not
    os.close(folder)
    path.chmod(0o666)
    path.parent.chmod(0o755)
    listener.listen(512)
    return listener


def describe(settings: Settings, version: str) -> None:
    """Write ``server.json``, by which ``nacre status`` and ``nacre down`` find this server."""
    content = {
        "pid": os.getpid(),
        "start": process_start(os.getpid()),
        "url": settings.url,
        "content_url": settings.content_url,
        "inference_url": settings.inference_url,
        "version": version,
    }
    write_private(settings.home / "server.json", json.dumps(content))


def undescribe(settings: Settings) -> None:
    """Remove ``server.json`` on an orderly end."""
    (settings.home / "server.json").unlink(missing_ok=True)


def read_description(home: Path) -> dict[str, Any] | None:
    """What a living server wrote; null when there is none."""
    try:
        found: dict[str, Any] = json.loads((home / "server.json").read_text())
        return found if process_start(int(found["pid"])) == found["start"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def process_start(pid: int) -> int | None:
    """Start time of a living process in clock ticks since boot: with the pid it names one for ever."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] not in "ZX" else None


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, readable by this user only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(path)
