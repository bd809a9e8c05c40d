"""Which hosts the package proxy leads to, and which of their addresses."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

DEFAULT_PACKAGE_HOSTS = (
    "pypi.org",
    "files.pythonhosted.org",
    "download.pytorch.org",
    "download-r2.pytorch.org",
    "pypi.nvidia.com",
    "conda.anaconda.org",
    "repo.anaconda.com",
    "repo.prefix.dev",
)
HTTP, HTTPS = 80, 443

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")
_PLACE = re.compile(r"(?:\[([0-9a-f:.]{2,45})\]|([^\[\]:/@?#\s]+))(?::(\d{1,5}))?\Z")
_NAT64 = IPv6Network("64:ff9b::/96")


class Place(NamedTuple):
    """A host, in lower case, without a dot at its end; ``port`` is null where none was said."""

    host: str
    port: int | None


def parse_place(text: str) -> Place | None:
    """``host``, ``host:port`` or ``[address]:port``; null when it is none of these."""
    match = _PLACE.match(text.lower())
    if match is None:
        return None
    host = (match[1] or match[2]).removesuffix(".")
    port = int(match[3]) if match[3] else None
    if match[1] and not _is_address(host):
        return None
    if not match[1] and not _is_address(host) and _NAME.match(host) is None:
        return None
    return None if port is not None and not 0 < port < 65_536 else Place(host, port)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class PackageHosts:
    """The hosts that work may reach for packages.

    One with a port is allowed on that port, another on 443 for TLS and on 80 for plain HTTP. Hosts that
    somebody named for this server (``named``) may have any address: an index on the same machine, or in the
    same building. The default ones may not stand for this machine or its link, whatever the name service
    says.
    """

    def __init__(self, named: Iterable[str], default: Iterable[str] = DEFAULT_PACKAGE_HOSTS) -> None:
        """Raises ValueError for what is no ``host`` or ``host:port``."""
        self._named = {_must_parse(text) for text in named}
        self._default = {_must_parse(text) for text in default}

    def allows(self, host: str, port: int, usual: int) -> bool:
        """Whether it may be asked for; ``usual`` is the port of that kind of request."""
        places = {Place(host, port)} | ({Place(host, None)} if port == usual else set())
        return bool(places & (self._named | self._default))

    def allows_address(self, host: str, port: int, address: str) -> bool:
        """Whether the host may have this address."""
        if self.trusts(host, port):
            return True
        found = _plain(ip_address(address.partition("%")[0]))
        return not (found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast)

    def trusts(self, host: str, port: int) -> bool:
        """Whether it may even be this machine."""
        return Place(host, port) in self._named or Place(host, None) in self._named


def _must_parse(text: str) -> Place:
    place = parse_place(text)
    if place is None:
        raise ValueError(f"{text!r} is no host")
    return place


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address in an IPv6 one that only wraps it."""
    if isinstance(address, IPv6Address):
        wrapped = address.ipv4_mapped or address.sixtofour
        if wrapped is not None:
            return wrapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
