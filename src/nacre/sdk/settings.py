"""Which server, which token, which project: arguments, then variables, then what ``nacre login`` kept."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from nacre.errors import Unauthenticated

DEFAULT_PORT = 7373


def nacre_home() -> Path:
    """``$NACRE_HOME``, or ``~/.nacre``."""
    return Path(os.environ.get("NACRE_HOME") or "~/.nacre").expanduser()


@dataclass(frozen=True)
class Connection:
    """Where to connect, as whom, and the project that is meant when none is named."""

    url: str
    token: str | None
    project: str


def _kept(home: Path) -> dict[str, str]:
    """What ``nacre login`` wrote (``client.json``), or else what ``nacre up`` left for the owner."""
    for name in ("client.json", "owner.json"):
        path = home / name
        if path.is_file():
            kept: dict[str, str] = json.loads(path.read_text())
            return kept
    return {}


def find_connection(
    url: str | None = None, token: str | None = None, project: str | None = None
) -> Connection:
    """The connection to use. ``NACRE_URL``, ``NACRE_TOKEN``, ``NACRE_PROJECT`` override what was kept.

    Raises:
        Unauthenticated: nothing tells which server or token to use.
    """
    kept = _kept(nacre_home())
    url = url or os.environ.get("NACRE_URL") or kept.get("url")
    if url is None:
        raise Unauthenticated(
            "not signed in to a server: start one with 'nacre up', or sign in with 'nacre login URL'"
        )
    if token is None:
        token = os.environ.get("NACRE_TOKEN")
    if token is None and kept.get("url") == url:
        token = kept.get("token")
    return Connection(
        url, token, project or os.environ.get("NACRE_PROJECT") or kept.get("project") or "default"
    )


def kept_connection() -> Connection | None:
    """What ``nacre login`` or ``nacre up`` left on this machine; null when neither did."""
    kept = _kept(nacre_home())
    if "url" not in kept:
        return None
    return Connection(kept["url"], kept.get("token"), kept.get("project") or "default")


def keep_connection(url: str, token: str, project: str, *, file: str = "client.json") -> Path:
    """Write ``client.json`` with mode 0600 and return its path."""
    home = nacre_home()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = home / file
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump({"url": url, "token": token, "project": project}, stream)
    temporary.rename(path)
    return path


def forget_connection() -> None:
    """Remove what ``nacre login`` kept."""
    (nacre_home() / "client.json").unlink(missing_ok=True)
