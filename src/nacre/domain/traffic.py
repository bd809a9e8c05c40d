"""Shares of the requests between revisions, and when a new revision answers worse than the others.

Shares are whole percents by revision, without zeros; together they are 100, or there are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import exp, inf, lgamma

from nacre.errors import InvalidSpec
from nacre.schema.endpoints import RollbackRule

Shares = dict[int, int]

WORSE_ERRORS, WORSE_LATENCY = "worse_errors", "worse_latency"
WORSE = (WORSE_ERRORS, WORSE_LATENCY)
"""Reasons of a revision that was taken back. It answers until those before it can."""

_SURE = 1e-4
"""What happens less often than this by chance is none: a revision is judged every few seconds."""
_LEAST = 3
"""Fewer requests than this that failed or were slow are no proof."""
_NOTICED_MS = 2.0
"""A difference of latencies that nobody would roll back for, whatever its factor."""
_NOT_ITS_FAULT = frozenset({"501"})


def scaled(shares: Mapping[int, int], total: int = 100) -> Shares:
    """The same proportions in whole percents that add up to ``total``.

    What is lost by rounding goes to those that lose most, among equals to the older. One may end with
    nothing, and is left out.
    """
    whole = sum(shares.values())
    if whole <= 0 or total <= 0:
        return {}
    found = {number: share * total // whole for number, share in shares.items()}
    lost = sorted(shares, key=lambda number: (-(shares[number] * total % whole), number))
    for number in lost[: total - sum(found.values())]:
        found[number] += 1
    return {number: share for number, share in sorted(found.items()) if share}


def taken(shares: Mapping[int, int], number: int, percent: int) -> Shares:
    """Give a revision its share, and all where there are no others; they keep their proportions."""
    others = {one: share for one, share in shares.items() if one != number and share}
    if not others or percent >= 100:
        return {number: 100}
    return dict(sorted((scaled(others, 100 - percent) | ({number: percent} if percent else {})).items()))


def without(shares: Mapping[int, int], *numbers: int) -> Shares:
    """The others' shares, grown in their proportions; empty when there are no others."""
    return scaled({one: share for one, share in shares.items() if one not in numbers})


def checked(shares: Mapping[int, int]) -> Shares:
    """The shares, when they add up to 100.

    Raises:
        InvalidSpec: they do not.
    """
    if sum(shares.values()) != 100:
        said = " + ".join(str(share) for share in shares.values()) or "nothing"
        raise InvalidSpec(f"the shares of the revisions add up to 100, and {said} does not")
    return {number: share for number, share in sorted(shares.items()) if share}


def stored(shares: Mapping[int, int]) -> dict[str, int] | None:
    """As JSON has it; null when there are none."""
    return {str(number): share for number, share in shares.items()} or None


def read(shares: Mapping[str, int] | None) -> Shares:
    """What :func:`stored` made."""
    return {int(number): share for number, share in (shares or {}).items()}


@dataclass(frozen=True)
class Counts:
    """Totals, or their growth over a time: requests, those that failed by the model's fault, and the
    histogram of latencies of ``nacre.modelserver.stats``."""

    requests: int = 0
    faults: int = 0
    buckets: tuple[int, ...] = ()

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests,
            self.faults + other.faults,
            _each(self.buckets, other.buckets, 1),
        )

    def since(self, before: Counts) -> Counts:
        """What was counted after ``before``."""
        return Counts(
            self.requests - before.requests,
            self.faults - before.faults,
            _each(self.buckets, before.buckets, -1),
        )

    @property
    def rate(self) -> float:
        """The part of the requests that failed."""
        return self.faults / self.requests if self.requests else 0.0

    def percentile_ms(self, share: float) -> float | None:
        """The latency that this share of the requests did not exceed; null without requests."""
        total = sum(self.buckets)
        seen = 0
        for slot, count in enumerate(self.buckets):
            seen += count
            if count and seen >= share * total:
                return upper_ms(slot)
        return None

    def slower(self, than_ms: float) -> int:
        """How many took longer, in slots that lie beyond it as a whole."""
        return sum(count for slot, count in enumerate(self.buckets) if lower_ms(slot) >= than_ms)


def _each(left: tuple[int, ...], right: tuple[int, ...], sign: int) -> tuple[int, ...]:
    size = max(len(left), len(right))
    a, b = (one + (0,) * (size - len(one)) for one in (left, right))
    return tuple(x + sign * y for x, y in zip(a, b, strict=True))


def faults(errors: Mapping[str, int]) -> int:
    """How many of these errors (by HTTP status) are the revision's own: no 4xx, which are the client's."""
    return sum(n for status, n in errors.items() if status >= "500" and status not in _NOT_ITS_FAULT)


def upper_ms(slot: int) -> float:
    """The upper edge of a slot of the histogram: four slots to each power of two microseconds."""
    if slot < 4:
        return (slot + 1) / 1e3
    bits, quarter = slot >> 2, slot & 3
    return float((5 + quarter) << bits >> 3) / 1e3


def lower_ms(slot: int) -> float:
    """Its lower edge."""
    if slot < 4:
        return slot / 1e3
    bits, quarter = slot >> 2, slot & 3
    return float((4 + quarter) << bits >> 3) / 1e3


@dataclass
class _Sample:
    """Totals, and from when to when they were seen."""

    first: float
    last: float
    counts: Counts


@dataclass
class Window:
    """The latest totals of one revision, to tell what was counted within a time. Times are in seconds.

    ``last``: when it last grew; null when it never did.
    """

    length_s: float
    last: float | None = None
    _samples: list[_Sample] = field(default_factory=list)

    def add(self, now: float, counts: Counts) -> None:
        """Take over totals. Totals that shrank are those of a new process: what was known is forgotten."""
        samples = self._samples
        if samples and counts.requests < samples[-1].counts.requests:
            samples.clear()
        if samples and counts.requests == samples[-1].counts.requests:
            samples[-1].last = now
            return
        if samples:
            self.last = now
        if len(samples) > 1 and samples[-1].last - samples[-2].last < self.length_s / 8:
            samples.pop()
        samples.append(_Sample(now, now, counts))
        while len(samples) > 2 and samples[1].first <= now - self.length_s:
            samples.pop(0)

    @property
    def start(self) -> float:
        """When it began to count what :meth:`counts` tells."""
        return self._samples[0].last if self._samples else 0.0

    def counts(self, after: float = 0.0) -> Counts:
        """What was counted in about ``length_s`` up to :attr:`last`, or only after a time."""
        if len(self._samples) < 2:
            return Counts()
        base = self._samples[0]
        for one in self._samples:
            base = one if one.first <= after else base
        return self._samples[-1].counts.since(base.counts)


@dataclass(frozen=True)
class Verdict:
    """Why a revision is taken back: reason, and a sentence with the numbers."""

    reason: str
    message: str


def judge(rule: RollbackRule, new: Counts, others: Counts) -> Verdict | None:
    """Whether a new revision did worse than the others, beyond the rule and beyond chance.

    Others of whom nothing is known count as without errors, and cannot be compared in latency.
    """
    if not rule.enabled or new.requests < rule.min_requests:
        return None
    return _worse_errors(rule, new, others) or _worse_latency(rule, new, others)


def _worse_errors(rule: RollbackRule, new: Counts, others: Counts) -> Verdict | None:
    more = new.rate - others.rate
    if new.faults < _LEAST or more <= rule.error_rate:
        return None
    if others.requests and chance(new.faults, new.requests, others.faults, others.requests) > _SURE:
        return None
    said = f"{new.rate:.1%} of its {new.requests} requests failed"
    if others.requests:
        said += f", of the others' {others.requests} only {others.rate:.1%}"
    return Verdict(WORSE_ERRORS, f"{said}, within {rule.window_s:g} s")


def _worse_latency(rule: RollbackRule, new: Counts, others: Counts) -> Verdict | None:
    mine, theirs = new.percentile_ms(0.99), others.percentile_ms(0.99)
    if mine is None or theirs is None or others.requests < rule.min_requests:
        return None
    limit = max(theirs * rule.latency_factor, theirs + _NOTICED_MS)
    slow = new.slower(limit)
    if slow < max(_LEAST, new.requests / 100):
        return None
    if chance(slow, new.requests, others.slower(limit), others.requests) > _SURE:
        return None
    said = f"the 99th percentile of its {new.requests} requests was {mine:.1f} ms"
    return Verdict(WORSE_LATENCY, f"{said}, of the others' {theirs:.1f} ms, within {rule.window_s:g} s")


def chance(some: int, of: int, others: int, of_others: int) -> float:
    """How likely at least ``some`` of the ``some + others`` that were hit are among the ``of``, were it all
    the same which are hit: Fisher's exact test, one-sided."""
    hit, all_of_them = some + others, of + of_others
    least = _ways(all_of_them, hit)
    total = 0.0
    for count in range(some, min(of, hit) + 1):
        part = exp(_ways(of, count) + _ways(of_others, hit - count) - least)
        total += part
        if part < total * 1e-9:
            break
    return min(total, 1.0)


def _ways(of: int, some: int) -> float:
    """The logarithm of how many choices there are."""
    if not 0 <= some <= of:
        return -inf
    return lgamma(of + 1) - lgamma(some + 1) - lgamma(of - some + 1)


def going_back(
    answering: Mapping[int, int], before: Mapping[int, int], number: int, usable: Iterable[int]
) -> Shares:
    """Who answers in place of a revision that is taken back: the others that answer beside it, else those
    that answered before it and are ``usable``. Empty: nobody."""
    can = set(usable)
    return without(answering, number) or without({n: s for n, s in before.items() if n in can}, number)
