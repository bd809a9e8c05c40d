"""Money: integer millionths of the currency unit (micros), never a float.

The cost of an allocation at any moment is ``price per hour × milliseconds / 3,600,000``, rounded half up to
a micro. The cost of a part of it is the difference of that at the part's two ends, so that however an
allocation is cut into parts, the parts add up to the whole, to the micro.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from nacre.clock import epoch_ms

_HOUR_MS = 3_600_000
_GIB = 2**30
MICROS = 1_000_000


def micros(amount: Decimal | int) -> int:
    """So many currency units, as micros, rounded half up."""
    return int((Decimal(amount) * MICROS).quantize(Decimal(1), ROUND_HALF_UP))


def cost_micros(price_per_hour: int, milliseconds: int) -> int:
    """What so long costs, in micros, rounded half up."""
    return (2 * price_per_hour * milliseconds + _HOUR_MS) // (2 * _HOUR_MS)


@dataclass(frozen=True)
class Rates:
    """Prices per hour of one CPU, one GiB of memory, one GPU, in currency units.

    ``gpus`` has the rates of kinds of GPU that cost other than ``gpu``; ``H200`` finds ``NVIDIA H200``, and
    the dearest where several kinds fit.
    """

    cpu: Decimal
    gib: Decimal
    gpu: Decimal
    gpus: dict[str, Decimal] = field(default_factory=dict)

    def per_hour(self, cpu: float, memory: int, gpu: float, gpu_name: str | None = None) -> int:
        """Micros per hour of these resources together (``memory`` in bytes); rounded once, half up."""
        each = self.gpu
        if gpu_name:
            named = [rate for name, rate in self.gpus.items() if gpu_name.lower() in name.lower()]
            each = self.gpus.get(gpu_name, max(named, default=self.gpu))
        gpus = each * Decimal(str(gpu))
        return micros(self.cpu * Decimal(str(cpu)) + self.gib * Decimal(memory) / Decimal(_GIB) + gpus)


@dataclass(frozen=True)
class Part:
    """What fell into one day (UTC), or into the period that was asked for."""

    day: str
    milliseconds: int
    cost: int


def cost_between(
    price_per_hour: int, start: datetime, end: datetime, since: datetime, until: datetime
) -> tuple[int, int]:
    """(milliseconds, micros) of the part of start…end that lies in since…until."""
    first, last = max(start, since), min(end, until)
    if last <= first:
        return 0, 0
    origin = epoch_ms(start)
    a, b = epoch_ms(first) - origin, epoch_ms(last) - origin
    return b - a, cost_micros(price_per_hour, b) - cost_micros(price_per_hour, a)


def split_by_day(
    price_per_hour: int, start: datetime, end: datetime, since: datetime, until: datetime
) -> Iterator[Part]:
    """The part of start…end that lies in since…until, cut at midnights (UTC)."""
    at, last = max(start, since).astimezone(UTC), min(end, until)
    while at < last:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        length, cost = cost_between(price_per_hour, start, end, at, min(midnight, last))
        yield Part(at.date().isoformat(), length, cost)
        at = midnight


def month_of(at: datetime) -> tuple[datetime, datetime]:
    """The month (UTC) of an instant: its first one, and that of the next month."""
    first = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return first, (first + timedelta(days=31)).replace(day=1)


def at_the_pace(cost: int, taken: timedelta, more: timedelta) -> int:
    """Micros that ``more`` time costs when ``taken`` cost so much; rounded half up.

    ``taken`` is longer than nothing.
    """
    unit = timedelta(milliseconds=1)
    whole, ahead = taken // unit, more // unit
    return (2 * cost * ahead + whole) // (2 * whole)
