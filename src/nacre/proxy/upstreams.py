"""Connections to the work's unix sockets, kept between requests."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import httpx

from nacre.services.upstreams import SocketFile, Upstream

_KEPT = 256


@dataclass
class Link:
    """An open socket file and the HTTP connections through it."""

    file: SocketFile
    transport: httpx.AsyncHTTPTransport
    users: int = 0
    retired: bool = False


class Links:
    """One link per socket file, replaced when the file is another one (the instance was restarted).

    Used by one event loop only.
    """

    def __init__(self) -> None:
        self._links: OrderedDict[str, Link] = OrderedDict()

    async def take(self, upstream: Upstream) -> Link:
        """The link to the upstream; give it back with :meth:`release`.

        Raises:
            Unavailable: there is no socket.
        """
        file = SocketFile(upstream.socket)
        known = self._links.get(upstream.socket)
        if known is not None and known.file.identity == file.identity:
            file.close()
            self._links.move_to_end(upstream.socket)
        else:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=30)
            transport = httpx.AsyncHTTPTransport(uds=file.path, limits=limits, verify=False)
            if known is not None:
                await self._retire(self._links.pop(upstream.socket))
            known = self._links[upstream.socket] = Link(file, transport)
            while len(self._links) > _KEPT:
                await self._retire(self._links.popitem(last=False)[1])
        known.users += 1
        return known

    async def release(self, link: Link) -> None:
        """End of one use."""
        link.users -= 1
        if link.retired and link.users == 0:
            await _close(link)

    async def _retire(self, link: Link) -> None:
        link.retired = True
        if link.users == 0:
            await _close(link)

    async def close(self) -> None:
        """Close everything that is not in use; the rest closes when it is released."""
        while self._links:
            await self._retire(self._links.popitem()[1])


async def _close(link: Link) -> None:
    await link.transport.aclose()
    link.file.close()
