"""Answers that wait: for a state that the client does not know yet, and for the rest of a log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Protocol, TypeVar

from fastapi import Query
from starlette.responses import StreamingResponse

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


class _Reasoned(Protocol):
    @property
    def state(self) -> str: ...

    @property
    def reason(self) -> str | None: ...


def state_as(unless: str | None) -> Callable[[_Reasoned], str]:
    """The state of a thing in the form that the client knows it: ``state``, or ``state:reason``."""

    def told(found: _Reasoned) -> str:
        with_reason = unless is not None and ":" in unless
        return f"{found.state}:{found.reason or ''}" if with_reason else str(found.state)

    return told


def log_response(
    signals: Signals,
    topics: tuple[str, ...],
    read: Callable[[int], tuple[bytes, bool]],
    *,
    offset: int,
    follow: bool,
) -> StreamingResponse:
    """A log's bytes from ``offset``, as plain text that no browser takes for a page.

    ``read`` gives the bytes at an offset and whether no more will come; it runs in a thread. With
    ``follow`` the answer goes on until then.
    """

    async def pieces() -> AsyncIterator[bytes]:
        at = offset
        with signals.listen_async(*topics) as flag:
            while True:
                flag.clear()
                data, ended = await asyncio.to_thread(read, at)
                if data:
                    at += len(data)
                    yield data
                    continue
                if ended or not follow:
                    return
                try:
                    await asyncio.wait_for(flag.wait(), _LOOK_AGAIN_S)
                except TimeoutError:
                    continue

    headers = {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store, no-transform"
        if follow
        else "no-store",  # nothing on the way may gather it
        "Nacre-Offset": str(offset),
    }
    return StreamingResponse(pieces(), media_type="text/plain; charset=utf-8", headers=headers)
