"""Time, passed in, so that tests own it. Every instant is aware and in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What tells the time."""

    def now(self) -> datetime:
        """The present instant, in UTC, to the millisecond (what the database keeps)."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return to_ms(datetime.now(UTC))


class FixedClock:
    """A clock that a test moves by hand."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move forward by so many seconds."""
        self._now += timedelta(seconds=seconds)


def to_ms(instant: datetime) -> datetime:
    """The instant, cut to whole milliseconds."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def epoch_ms(instant: datetime) -> int:
    """Milliseconds since 1970."""
    return round(instant.timestamp() * 1000)


def from_epoch_ms(ms: int) -> datetime:
    """The instant so many milliseconds after 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)
