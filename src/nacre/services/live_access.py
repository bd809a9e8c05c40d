"""Whether who watches still may: one look for all connections, when rights change and every few seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nacre.domain.identity import Caller
from nacre.errors import InternalError, NacreError, Unavailable
from nacre.schema.live import LiveSubscribe
from nacre.services.signals import Signals

log = logging.getLogger("nacre.live")

RECHECK_S = 3.0


@dataclass(frozen=True)
class Verdict:
    """What was found about a connection with this secret: who it is, or why it must end; and which of its
    subscriptions have to."""

    secret: str
    caller: Caller | NacreError
    refused: list[tuple[LiveSubscribe, NacreError]] = field(default_factory=list)


class Watching(Protocol):
    """A connection that is looked after. Called on the event loop."""

    @property
    def secret(self) -> str:
        """With which it is signed in."""
        ...

    def wanted(self) -> Sequence[LiveSubscribe]:
        """What it watches."""
        ...

    def judge(self, verdict: Verdict) -> None:
        """Told after each look."""
        ...


class Access:
    """Looks after connections. Lives on the event loop; the looks are in a thread."""

    def __init__(
        self,
        signals: Signals,
        run: Callable[..., Awaitable[Any]],
        caller: Callable[[str], Caller],
        enter: Callable[[Caller, LiveSubscribe], Any],
    ) -> None:
        """``run`` calls something in a thread; ``caller`` and ``enter`` raise for who may not."""
        self._signals = signals
        self._run = run
        self._caller = caller
        self._enter = enter
        self._watching: set[Watching] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self, one: Watching) -> None:
        """Look after a connection."""
        self._watching.add(one)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())

    def leave(self, one: Watching) -> None:
        """No more."""
        self._watching.discard(one)
        if not self._watching and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        with self._signals.listen_async("access") as changed:
            while True:
                await set_within(changed, RECHECK_S)
                changed.clear()
                asked = {one: (one.secret, [*one.wanted()]) for one in self._watching}
                verdicts: Mapping[Watching, Verdict] = await self._run(self._look, asked)
                for one, verdict in verdicts.items():
                    if one in self._watching:
                        one.judge(verdict)

    def _look(self, asked: Mapping[Watching, tuple[str, list[LiveSubscribe]]]) -> dict[Watching, Verdict]:
        """None of who cannot be looked at now, because the database rests: what was allowed stays so."""
        callers: dict[str, Caller | NacreError] = {}
        entered: dict[tuple[str, str, str], NacreError | None] = {}
        verdicts: dict[Watching, Verdict] = {}
        for one, (secret, subscriptions) in asked.items():
            if secret not in callers:
                callers[secret] = _found(self._caller, secret)
            caller = callers[secret]
            if isinstance(caller, Unavailable):
                continue
            verdict = verdicts[one] = Verdict(secret, caller)
            if isinstance(caller, NacreError):
                continue
            for wanted in subscriptions:
                key = (secret, wanted.project, wanted.topic)
                if key not in entered:
                    found = _found(self._enter, caller, wanted)
                    entered[key] = found if isinstance(found, NacreError) else None
                error = entered[key]
                if error is not None and not isinstance(error, Unavailable):
                    verdict.refused.append((wanted, error))
        return verdicts


def _found(look: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return look(*arguments)
    except Exception as error:
        return as_problem(error)


def as_problem(error: BaseException) -> NacreError:
    """The error for the client; what is no error of ours is logged and not told."""
    if isinstance(error, NacreError):
        return error
    log.error("a live topic failed", exc_info=error)
    return InternalError("the server failed to read this: see its log")


async def set_within(flag: asyncio.Event, seconds: float) -> None:
    """Wait until the flag is set, so long at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await flag.wait()
