"""Several workers on one port: started, told together, and started again when one dies."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from pathlib import Path
from typing import Any

from nacre.errors import Unavailable
from nacre.modelserver.channel import Remote, open_channel
from nacre.modelserver.history import HistoryReport, merge_histories
from nacre.modelserver.limits import Limits
from nacre.modelserver.rates import shared
from nacre.modelserver.stats import Report, add_counts, merge

log = logging.getLogger(__name__)

_BACKOFF_LEAST, _BACKOFF_MOST = 0.1, 5.0
_STEADY = 30.0


class Supervisor:
    """The ``Fleet`` of N equal processes that share the port by ``SO_REUSEPORT``.

    The kernel spreads connections over them. One that dies is started again, after a pause that
    grows while it keeps dying; the others go on meanwhile.
    """

    def __init__(self, folder: Path, host: str, port: int, limits: Limits, workers: int) -> None:
        self._arguments = [
            *("--folder", str(folder), "--host", host, "--port", str(port)),
            *("--max-body", str(limits.max_body), "--workers", str(workers)),
        ]
        self._rates = shared()
        self._grace = limits.drain_time + 2.0
        self._remotes: dict[int, Remote] = {}
        self._ready = [asyncio.Event() for _ in range(workers)]
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        self._keepers = [asyncio.create_task(self._keep(index)) for index in range(len(self._ready))]
        await asyncio.gather(*(event.wait() for event in self._ready))

    async def _keep(self, index: int) -> None:
        pause = _BACKOFF_LEAST
        loop = asyncio.get_running_loop()
        while not self._stopping:
            begin = loop.time()
            await self._live(index)
            if self._stopping:
                return
            pause = _BACKOFF_LEAST if loop.time() - begin > _STEADY else pause
            log.error("worker %d ended; it starts again in %.1f s", index, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _BACKOFF_MOST)

    async def _live(self, index: int) -> None:
        """One life of one worker, from its start to its end."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "nacre.modelserver.channel"),
                *("--channel", str(theirs.fileno()), "--rates", str(self._rates), *self._arguments),
                pass_fds=[theirs.fileno(), self._rates],
                stdin=asyncio.subprocess.DEVNULL,
            )
        remote = Remote(*await open_channel(ours))
        log.info("worker %d is process %d", index, process.pid)
        self._remotes[index] = remote
        try:
            await remote.ready()
            self._ready[index].set()
        except Unavailable:
            log.error("worker %d ended before it listened", index)
        try:
            await process.wait()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        finally:
            del self._remotes[index]
            remote.close()

    async def reload(self) -> Report:
        return merge(await self._all("reload"))

    async def report(self) -> Report:
        return merge(await self._all("report"))

    async def history(self, key: str, revision: int | None) -> HistoryReport | None:
        return merge_histories(
            [one for one in await self._all("history", key, revision) if one is not None]
        )

    async def demand(self) -> dict[str, int]:
        merged: dict[str, int] = {}
        for one in await self._all("demand"):
            add_counts(merged, one)
        return merged

    async def _all(self, do: str, endpoint: str = "", revision: int | None = None) -> list[Any]:
        """Ask every worker. One that dies meanwhile reads ``routes.json`` when it starts again."""
        answers = await asyncio.gather(
            *(remote.call(do, endpoint, revision) for remote in list(self._remotes.values())),
            return_exceptions=True,
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, Unavailable):
                raise answer
        return [answer for answer in answers if not isinstance(answer, BaseException)]

    async def stop(self) -> None:
        self._stopping = True
        for remote in list(self._remotes.values()):
            remote.close()
        _, late = await asyncio.wait(self._keepers, timeout=self._grace)
        for keeper in late:
            keeper.cancel()
        await asyncio.gather(*late, return_exceptions=True)
