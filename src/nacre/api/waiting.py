"""Reads that can wait: answered when the state is no longer the one that the client knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Query

from nacre.services.signals import Signals

T = TypeVar("T")

WaitSeconds = Annotated[float, Query(ge=0, le=60, description="wait so long for a change")]
Unless = Annotated[str | None, Query(description="the state that the client knows already")]

_LOOK_AGAIN_S = 2.0


async def changed(
    signals: Signals,
    topics: tuple[str, ...],
    read: Callable[[], T],
    state: Callable[[T], str],
    unless: str | None,
    wait_s: float,
) -> T:
    """What ``read`` gives, as soon as its state is not ``unless``, or when the time is up.

    ``read`` runs in a thread. Signals make it quick; a look every two seconds makes it certain.
    """
    deadline = asyncio.get_running_loop().time() + wait_s
    with signals.listen_async(*topics) as flag:
        while True:
            flag.clear()
            found = await asyncio.to_thread(read)
            left = deadline - asyncio.get_running_loop().time()
            if unless is None or state(found) != unless or left <= 0:
                return found
            try:
                await asyncio.wait_for(flag.wait(), min(left, _LOOK_AGAIN_S))
            except TimeoutError:
                continue
