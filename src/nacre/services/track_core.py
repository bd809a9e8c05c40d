"""What it means to log: batches of records brought into runs, once, in few statements.

Shared by the writer of the hot path (its own connection, a group of batches a transaction) and by services
that log inside a transaction of theirs. Everything that can be refused is refused before the first write,
so that one bad batch leaves the others of its group alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isnan
from operator import lt

from nacre.db.queries.series import Series
from nacre.db.raw import Raw, gather
from nacre.domain.blocks import make_points
from nacre.errors import Conflict, InvalidSpec, NacreError, NotFound
from nacre.services.packing import (
    PIECE_AT,
    SEAL_AT,
    BlockRow,
    block_rows,
    pack,
    packed_values,
    piece_row,
    put_blocks,
)

MAX_KEY = 250
_LEAST, _MOST = -(2**63), 2**63 - 1

Point = tuple[int, int, float | None]
"""(step, milliseconds since 1970, value); the value is null for NaN."""


@dataclass(slots=True)
class TrackBatch:
    """Records of one run that are applied together or not at all.

    ``metrics``: (key, step, ts in milliseconds, value). ``project_id`` is checked against the run's, unless
    null. A ``batch`` id that was applied before changes nothing. ``strict_params``: another value for a
    param that is there already is a Conflict (``extra``: key, old, new); else the later value stays.
    """

    run: str
    project_id: str | None
    metrics: Sequence[tuple[str, int, int, float]] = ()
    params: Sequence[tuple[str, str]] = ()
    tags: Sequence[tuple[str, str]] = ()
    batch: str | None = None
    strict_params: bool = False


@dataclass(slots=True)
class Outcome:
    """``errors``: what each batch was refused with, in their order; null where it was applied.

    ``runs``: uuids that changed. ``due``: ids of series whose tail is long enough to be sealed.
    """

    errors: list[NacreError | None]
    runs: set[str] = field(default_factory=set)
    due: list[int] = field(default_factory=list)


def storable(words: str) -> str:
    """The text as every database can keep it: NUL and lone surrogates become U+FFFD."""
    if words.isascii():
        return words.replace("\0", "\ufffd")
    try:
        words.encode()
    except UnicodeEncodeError:
        words = words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return words.replace("\0", "\ufffd")


_RUNS = (
    "SELECT r.id, r.uuid, r.project_id, r.deleted_at FROM {rows} CROSS JOIN runs r WHERE r.uuid = v.column1"
)
_LOCKED = " ORDER BY r.id FOR NO KEY UPDATE OF r"
_SERIES = (
    "SELECT r.uuid, s.id, s.run_id, s.key, s.last_step, s.last_ts, s.last_value, s.n, s.min, s.max, "
    "s.tail, s.blocks FROM {rows} CROSS JOIN runs r CROSS JOIN metric_series s "
    "WHERE r.uuid = v.column1 AND s.run_id = r.id AND s.key = v.column2"
)
_BATCHES = (
    "SELECT r.uuid, b.batch FROM {rows} CROSS JOIN runs r CROSS JOIN run_batches b "
    "WHERE r.uuid = v.column1 AND b.run_id = r.id AND b.batch = v.column2"
)
_PARAMS = (
    "SELECT r.uuid, p.key, p.value FROM {rows} CROSS JOIN runs r CROSS JOIN run_params p "
    "WHERE r.uuid = v.column1 AND p.run_id = r.id AND p.key = v.column2"
)
_NEW_SERIES = (
    "INSERT INTO metric_series (run_id, key, last_step, last_ts, last_value, n, min, max, tail, blocks) "
    "SELECT column1, column2, 0, 0, NULL, 0, NULL, NULL, 0, 0 FROM {rows} WHERE true "
    "RETURNING id, run_id, key"
)
_UPDATE_SERIES = (
    "UPDATE metric_series SET last_step = v.column2, last_ts = v.column3, last_value = v.column4, "
    "n = v.column5, min = v.column6, max = v.column7, tail = v.column8, blocks = v.column9 "
    "FROM {rows} WHERE id = v.column1"
)
_POINTS = "INSERT INTO metric_points (series_id, step, ts, seq, value) SELECT * FROM {rows} WHERE true"
_TEXTS = (
    "INSERT INTO {table} (run_id, key, value) SELECT * FROM {{rows}} WHERE true "
    "ON CONFLICT (run_id, key) DO UPDATE SET value = excluded.value"
)
_SET_PARAMS, _SET_TAGS = _TEXTS.format(table="run_params"), _TEXTS.format(table="run_tags")
_NEW_BATCHES = "INSERT INTO run_batches (run_id, batch) SELECT * FROM {rows} WHERE true"
_TAIL = (
    "SELECT step, ts, seq, value FROM metric_points "
    "WHERE series_id = ? AND (step, ts) >= (?, ?) AND (step, ts) <= (?, ?)"
)


@dataclass(slots=True)
class _Prepared:
    """A batch with its texts made storable and its points by key."""

    batch: TrackBatch
    points: dict[str, list[Point]]
    params: list[tuple[str, str]]
    tags: list[tuple[str, str]]


def _prepared(batch: TrackBatch) -> _Prepared:
    points: dict[str, list[Point]] = {}
    for key, step, ts, value in batch.metrics:
        point = (step, ts, None if isnan(value) else value)
        if key in points:
            points[key].append(point)
        else:
            points[key] = [point]
    odd = [key for key in points if not key.isascii() or "\0" in key]
    for key in odd:
        if (clean := storable(key)) != key:
            points[clean] = points.get(clean, []) + points.pop(key)
    return _Prepared(
        batch,
        points,
        [(storable(key), storable(value)) for key, value in batch.params],
        [(storable(key), storable(value)) for key, value in batch.tags],
    )


class Group:
    """Batches that are brought in together, in the caller's transaction. Use it once.

    ``runs``: by uuid, number, project and whether it lies in the trash. ``series``: by run and key; after
    :meth:`write` as they are then.
    """

    def __init__(self, raw: Raw, batches: Sequence[TrackBatch]) -> None:
        self._raw = raw
        self._batches = [_prepared(batch) for batch in batches]
        self.runs: dict[str, tuple[int, str, bool]] = {}
        self.series: dict[tuple[str, str], Series] = {}
        self._incoming: dict[tuple[str, str], list[Point]] = {}
        self._seen: set[tuple[str, str]] = set()
        self._applied: dict[tuple[int, str], None] = {}
        self._kept: dict[tuple[str, str], str] = {}
        self._params: dict[tuple[int, str], str] = {}
        self._tags: dict[tuple[int, str], str] = {}

    def read(self, begin: str | None = None) -> None:
        """Lock the runs and look up what decides; on PostgreSQL this is one round trip, with ``begin``."""
        raw, batches = self._raw, self._batches
        runs = dict.fromkeys(entry.batch.run for entry in batches)
        series = dict.fromkeys((entry.batch.run, key) for entry in batches for key in entry.points)
        ids = [(entry.batch.run, entry.batch.batch) for entry in batches if entry.batch.batch is not None]
        params = dict.fromkeys(
            (entry.batch.run, key)
            for entry in batches
            if entry.batch.strict_params
            for key, _ in entry.params
        )
        with raw.together():
            if begin is not None:
                raw.ask(begin)
            found_runs = raw.each(_RUNS, "t", [(run,) for run in runs], ordered=_LOCKED)
            found_series = raw.each(_SERIES, "tt", list(series))
            found_batches = raw.each(_BATCHES, "tt", ids)
            found_params = raw.each(_PARAMS, "tt", list(params))
        for number, uuid, project_id, deleted in gather(found_runs):
            self.runs[uuid] = (number, project_id, deleted is not None)
        for uuid, *row in gather(found_series):
            one = Series(*row)
            self.series[uuid, one.key] = one
        self._seen.update((run, batch) for run, batch in gather(found_batches))
        self._kept = {(run, key): value for run, key, value in gather(found_params)}

    def decide(self) -> Outcome:
        """Accept or refuse each batch, in their order. Writes nothing."""
        outcome = Outcome([])
        for entry in self._batches:
            try:
                if self._accept(entry):
                    outcome.runs.add(entry.batch.run)
            except NacreError as error:
                outcome.errors.append(error)
            else:
                outcome.errors.append(None)
        return outcome

    def _accept(self, entry: _Prepared) -> bool:
        batch = entry.batch
        number, project_id, deleted = self.runs.get(batch.run, (0, "", True))
        if deleted or batch.project_id not in (None, project_id):
            raise NotFound(f"there is no run {batch.run!r} in this project, or it is in the trash")
        if batch.batch is not None and (batch.run, batch.batch) in self._seen:
            return False
        _check(entry)
        if batch.strict_params:
            self._check_params(entry)
        if batch.batch is not None:
            self._seen.add((batch.run, batch.batch))
            self._applied[number, batch.batch] = None
        for key, value in entry.params:
            self._params[number, key] = value
            self._kept[batch.run, key] = value
        for key, value in entry.tags:
            self._tags[number, key] = value
        for key, points in entry.points.items():
            at = (batch.run, key)
            if at in self._incoming:
                self._incoming[at] += points
            else:
                self._incoming[at] = points
        return True

    def _check_params(self, entry: _Prepared) -> None:
        """Raises Conflict when one of the params has another value already, here or in the batch."""
        mine: dict[str, str] = {}
        for key, value in entry.params:
            old = mine.get(key, self._kept.get((entry.batch.run, key)))
            if old is not None and old != value:
                raise Conflict(
                    f"param {key!r} is {old!r} already and cannot become {value!r}: "
                    "params of a run keep their first value; use another name, a tag, or a new run",
                    key=key,
                    old=old,
                    new=value,
                )
            mine[key] = value

    def write(self, outcome: Outcome, commit: str | None = None) -> None:
        """Write what was accepted; on PostgreSQL this is one round trip too, with ``commit``."""
        self._add_series()
        rows: list[tuple[int, int, int, int, float | None]] = []
        changed: list[tuple[object, ...]] = []
        packed: list[BlockRow] = []
        for at, points in self._incoming.items():
            series = self.series[at]
            fresh = self._fresh(series, points)
            if not fresh:
                continue
            before = series.n
            count(series, fresh)
            if len(fresh) < PIECE_AT:
                rows += [(series.id, *point) for point in fresh]
                series.tail += len(fresh)
            else:
                columns = make_points([(step, ts, value) for step, ts, _, value in fresh])
                if len(fresh) >= SEAL_AT:  # packed at once: no need to lie in the tail first
                    blocks = pack(columns)
                    packed += block_rows(self._raw, series.id, series.blocks, blocks)
                    series.blocks += len(blocks)
                else:
                    packed.append(piece_row(series.id, before, columns))
                    series.tail += len(fresh)
            if series.tail >= SEAL_AT:
                outcome.due.append(series.id)
            changed.append(_row(series))
        raw = self._raw
        with raw.together():
            put_blocks(raw, packed)
            raw.each(_UPDATE_SERIES, "iiififfii", changed)
            raw.each(_POINTS, "iiiif", rows)
            raw.each(_SET_PARAMS, "itt", [(*at, value) for at, value in self._params.items()])
            raw.each(_SET_TAGS, "itt", [(*at, value) for at, value in self._tags.items()])
            raw.each(_NEW_BATCHES, "it", list(self._applied))
            if commit is not None:
                raw.ask(commit)

    def _add_series(self) -> None:
        missing = {
            (self.runs[run][0], key): (run, key) for run, key in self._incoming.keys() - self.series.keys()
        }
        for number, run_id, key in gather(self._raw.each(_NEW_SERIES, "it", sorted(missing))):
            self.series[missing[run_id, key]] = Series(number, run_id, key, 0, 0, None, 0, None, None, 0, 0)

    def _fresh(self, series: Series, points: list[Point]) -> list[tuple[int, int, int, float | None]]:
        """Those points that are not there yet, with their ``seq``, in order of (step, time, arrival)."""
        places = [(step, ts) for step, ts, _ in points]
        ahead = not series.n or places[0] > (series.last_step, series.last_ts)
        if ahead and (len(points) == 1 or all(map(lt, places, places[1:]))):
            return [(step, ts, 0, value) for step, ts, value in points]
        return self._distinct(series, points)

    def _distinct(self, series: Series, points: list[Point]) -> list[tuple[int, int, int, float | None]]:
        last = (series.last_step, series.last_ts)
        behind = {place for step, ts, _ in points if series.n and (place := (step, ts)) <= last}
        known: dict[tuple[int, int], set[float | None]] = {}
        following: dict[tuple[int, int], int] = {}
        if behind:
            known = packed_values(self._raw, series.id, behind) if series.blocks or series.tail else {}
            if series.tail:
                for step, ts, seq, value in self._raw.rows(_TAIL, (series.id, *min(behind), *max(behind))):
                    known.setdefault((step, ts), set()).add(value)
                    following[step, ts] = max(following.get((step, ts), 0), seq + 1)
        fresh = []
        for step, ts, value in points:
            there = known.setdefault((step, ts), set())
            if value in there:
                continue
            seq = max(len(there), following.get((step, ts), 0))
            following[step, ts] = seq + 1
            there.add(value)
            fresh.append((step, ts, seq, value))
        fresh.sort(key=lambda point: point[:3])
        return fresh


def _check(entry: _Prepared) -> None:
    """Raises InvalidSpec for what the databases cannot hold."""
    if any(len(key) > MAX_KEY for key in _keys(entry)):
        raise InvalidSpec(f"a key has at most {MAX_KEY} characters", limit=MAX_KEY)
    for points in entry.points.values():
        for step, ts, _ in points:
            if not fits(step, ts):
                raise InvalidSpec("steps and times are integers of 64 bits")


def fits(step: int, ts: int) -> bool:
    """Whether both are integers of 64 bits."""
    return _LEAST <= step <= _MOST and _LEAST <= ts <= _MOST


def _keys(entry: _Prepared) -> Iterator[str]:
    yield from entry.points
    yield from (key for key, _ in entry.params)
    yield from (key for key, _ in entry.tags)


def count(series: Series, fresh: list[tuple[int, int, int, float | None]]) -> None:
    """Bring the series' count, extremes and last value up to date."""
    values = [point[3] for point in fresh if point[3] is not None]
    if values:
        low, high = min(values), max(values)
        series.min = low if series.min is None or low < series.min else series.min
        series.max = high if series.max is None or high > series.max else series.max
    step, ts, _, value = fresh[-1]
    if not series.n or (step, ts) >= (series.last_step, series.last_ts):
        series.last_step, series.last_ts, series.last_value = step, ts, value
    series.n += len(fresh)


def _row(series: Series) -> tuple[object, ...]:
    return (
        series.id,
        series.last_step,
        series.last_ts,
        series.last_value,
        series.n,
        series.min,
        series.max,
        series.tail,
        series.blocks,
    )


def apply(raw: Raw, batches: Sequence[TrackBatch]) -> Outcome:
    """Bring batches in, in the caller's transaction: all of it, with no more than a lock on their runs."""
    group = Group(raw, batches)
    group.read()
    outcome = group.decide()
    group.write(outcome)
    return outcome
