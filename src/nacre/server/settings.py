"""The server's settings: read once, passed in, never looked up again."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from nacre.errors import InvalidSpec
from nacre.proxy.package_hosts import parse_place

DEFAULT = "default"
_MOST_WORKERS = 256
_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Settings:
    """Where the server keeps things and where it listens.

    ``content_port`` and ``inference_port`` follow ``port`` (7374, 7375) unless they are given.
    ``public_host`` is the name that clients use in URLs: the listening host, unless that is a wildcard.
    ``package_hosts``: ``host`` or ``host:port`` that work may fetch packages from in projects whose network
    is ``packages``; ``default`` stands for the well-known ones. ``inference_workers``: processes on
    the inference listener.
    """

    home: Path
    host: str = "127.0.0.1"
    port: int = 7373
    content_port: int = 7374
    inference_port: int = 7375
    database_url: str | None = None
    log_level: str = "info"
    package_hosts: tuple[str, ...] = (DEFAULT,)
    inference_workers: int = 1

    @property
    def public_host(self) -> str:
        return "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect: a name is asked what it stands for."""
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
        except OSError:
            return False
        return all(ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found)

    @property
    def url(self) -> str:
        return f"http://{self.public_host}:{self.port}"

    @property
    def content_url(self) -> str:
        return f"http://{self.public_host}:{self.content_port}"

    @property
    def inference_url(self) -> str:
        return f"http://{self.public_host}:{self.inference_port}"

    @property
    def api_socket(self) -> Path:
        """The API's unix socket, alone in its folder so that the folder can be bound into sandboxes."""
        return self.home / "run" / "api" / "nacre.sock"

    @property
    def package_socket(self) -> Path:
        """The package proxy's unix socket: not in the API's folder, which every sandbox shows."""
        return self.home / "run" / "packages" / "proxy.sock"

    @property
    def serving(self) -> Path:
        return self.home / "serving"

    @property
    def logs(self) -> Path:
        return self.home / "logs"


def read_settings(
    host: str | None = None,
    port: int | None = None,
    content_port: int | None = None,
    inference_port: int | None = None,
) -> Settings:
    """Arguments first, then ``NACRE_HOST``, ``NACRE_PORT``, ``NACRE_HOME``, ``NACRE_DATABASE_URL``,
    ``NACRE_LOG_LEVEL``, ``NACRE_PACKAGE_HOSTS``, ``NACRE_INFERENCE_WORKERS`` (two, where there are two
    cores: one goes on while another one is started again).

    Raises:
        InvalidSpec: one of them makes no sense.
    """
    home = Path(os.environ.get("NACRE_HOME") or "~/.nacre").expanduser().resolve()
    level = os.environ.get("NACRE_LOG_LEVEL", "info")
    if level not in _LEVELS:
        raise InvalidSpec(f"NACRE_LOG_LEVEL is {level!r}: use one of {', '.join(_LEVELS)}")
    first = port if port is not None else _number("NACRE_PORT", "7373")
    found = Settings(
        home=home,
        host=host or os.environ.get("NACRE_HOST", "127.0.0.1"),
        port=first,
        content_port=content_port if content_port is not None else first + 1,
        inference_port=inference_port if inference_port is not None else first + 2,
        database_url=os.environ.get("NACRE_DATABASE_URL") or None,
        log_level=level,
        package_hosts=_package_hosts(os.environ.get("NACRE_PACKAGE_HOSTS", "")),
        inference_workers=_number("NACRE_INFERENCE_WORKERS", str(min(2, os.cpu_count() or 1))),
    )
    if not 0 < found.inference_workers <= _MOST_WORKERS:
        raise InvalidSpec(f"NACRE_INFERENCE_WORKERS has to be between 1 and {_MOST_WORKERS}")
    for taken in (found.port, found.content_port, found.inference_port):
        if not 0 < taken < 65_536:
            raise InvalidSpec(f"{taken} is no port: choose --port between 1 and 65533")
    if len({found.port, found.content_port, found.inference_port}) < 3:
        raise InvalidSpec("the API, instances and endpoints need three different ports")
    return found


def _package_hosts(text: str) -> tuple[str, ...]:
    """Words between spaces or commas; the default when there are none."""
    found = tuple(text.replace(",", " ").split()) or (DEFAULT,)
    for word in found:
        if word != DEFAULT and parse_place(word) is None:
            raise InvalidSpec(
                f"NACRE_PACKAGE_HOSTS has {word!r}: give HOST or HOST:PORT, without a scheme or path"
            )
    return found


def _number(name: str, otherwise: str) -> int:
    text = os.environ.get(name) or otherwise
    if not text.isdecimal():
        raise InvalidSpec(f"{name} is {text!r}: give a number")
    return int(text)
