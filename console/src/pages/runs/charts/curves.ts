/** Curves as the server sends them, and what is drawn of them: smoothing, appending, grouping. Pure. */
import type { Schemas } from "@/api/client";
import type { LineSeries, XKind } from "@/ui/charts/LineChart";

type Numbers = (number | null)[];

/** One metric of one run: entries around `x`, each standing for `n` points. */
export interface Curve {
  run: string;
  key: string;
  x: number[];
  mean: Numbers;
  min: Numbers;
  max: Numbers;
  n: number[];
  /** Whether each entry is one point. */
  exact: boolean;
  /** Points of the whole series. */
  count: number;
}

export function curveOf(series: Schemas["ChartSeries"]): Curve {
  const kept = series.x.map((x, at) => (x === null ? -1 : at)).filter((at) => at >= 0);
  const whole = kept.length === series.x.length;
  const pick = <T>(column: T[]): T[] => (whole ? column : kept.map((at) => column[at]!));
  return {
    run: series.run,
    key: series.key,
    x: pick(series.x) as number[],
    mean: pick(series.mean),
    min: pick(series.min),
    max: pick(series.max),
    n: pick(series.n),
    exact: series.exact,
    count: series.count,
  };
}

/** The points of a live update (docs/howto/live.md), of one metric. */
export interface Points {
  step: number[];
  time_ms: number[];
  value: Numbers;
  count: number;
}

export interface Axis {
  kind: XKind;
  /** Of `relative`: when the run began, in milliseconds since 1970. */
  startMs: number;
  range: readonly [number, number] | null;
}

export const empty = (run: string, key: string): Curve => ({
  run, key, x: [], mean: [], min: [], max: [], n: [], exact: true, count: 0,
});

/** The curve with points after its end. Of more than twice `width` entries, neighbours become one. */
export function appended(curve: Curve, points: Points, axis: Axis, width: number): Curve {
  const places = axis.kind === "step" ? points.step : points.time_ms;
  const shift = axis.kind === "relative" ? axis.startMs : 0;
  const x = places.map((place) => place - shift);
  const inside = x.map((_, at) => at).filter((at) => !axis.range || (x[at]! >= axis.range[0] && x[at]! <= axis.range[1]));
  const values = inside.map((at) => points.value[at] ?? null);
  let found: Curve = {
    ...curve,
    x: [...curve.x, ...inside.map((at) => x[at]!)],
    mean: [...curve.mean, ...values],
    min: [...curve.min, ...values],
    max: [...curve.max, ...values],
    n: [...curve.n, ...inside.map(() => 1)],
    count: points.count,
  };
  while (found.x.length > 2 * width) found = halved(found);
  return found;
}

/** Two neighbours become one: no spike is lost, because least and greatest stay. */
export function halved(curve: Curve): Curve {
  const found: Curve = { ...curve, x: [], mean: [], min: [], max: [], n: [], exact: false };
  for (let at = 0; at < curve.x.length; at += 2) {
    const two = at + 1 < curve.x.length ? [at, at + 1] : [at];
    const n = two.reduce((sum, i) => sum + curve.n[i]!, 0);
    const weighted = (column: Numbers) => {
      const known = two.filter((i) => column[i] !== null);
      const weight = known.reduce((sum, i) => sum + curve.n[i]!, 0);
      return weight === 0 ? null : known.reduce((sum, i) => sum + column[i]! * curve.n[i]!, 0) / weight;
    };
    const of = (column: Numbers, choose: (...values: number[]) => number) => {
      const known = two.map((i) => column[i]).filter((value): value is number => value !== null);
      return known.length === 0 ? null : choose(...known);
    };
    found.x.push(weighted(curve.x)!);
    found.mean.push(weighted(curve.mean));
    found.min.push(of(curve.min, Math.min));
    found.max.push(of(curve.max, Math.max));
    found.n.push(n);
  }
  return found;
}

/**
 * Exponential moving average without the bias to its beginning. `weight` (0 to 1) is that of an entry as full as
 * the fullest; one of fewer points counts for less, so that points that come live are smoothed as the others.
 */
export function smoothed(values: Numbers, n: readonly number[], weight: number): Numbers {
  if (weight <= 0) return values;
  const full = n.reduce((most, one) => Math.max(most, one), 1);
  let mean = 0;
  let left = 1;
  return values.map((value, at) => {
    if (value === null) return null;
    const keep = weight ** (n[at]! / full);
    mean = keep * mean + (1 - keep) * value;
    left *= keep;
    return mean / (1 - left);
  });
}

export interface Group {
  id: string;
  label: string;
  color: string;
}

/** What is drawn of one key: a line per run. */
export function runLines(curves: readonly Curve[], of: (run: string) => Group, smoothing: number): LineSeries[] {
  return curves.map((curve) => {
    const { id, label, color } = of(curve.run);
    const smooth = smoothing > 0 && curve.x.length > 2;
    return {
      id,
      label,
      color,
      x: curve.x,
      y: smooth ? smoothed(curve.mean, curve.n, smoothing) : curve.mean,
      ...(smooth ? { faint: curve.mean } : {}),
      ...(!smooth && !curve.exact ? { lower: curve.min, upper: curve.max } : {}),
    };
  });
}

/** A line per group: the mean of its runs, in a band from the least to the greatest of them. */
export function groupLines(curves: readonly Curve[], of: (run: string) => Group, smoothing: number, width: number): LineSeries[] {
  const groups = new Map<string, { group: Group; curves: Curve[] }>();
  for (const curve of curves) {
    const group = of(curve.run);
    const there = groups.get(group.id);
    if (there) there.curves.push(curve);
    else groups.set(group.id, { group, curves: [curve] });
  }
  return [...groups.values()].map(({ group, curves: members }) => {
    const rows = members.map((one) => ({ x: one.x, y: smoothed(one.mean, one.n, smoothing) }));
    const band = banded(rows, width);
    return { ...group, x: band.x, y: band.mean, ...(members.length > 1 ? { lower: band.min, upper: band.max } : {}) };
  });
}

/**
 * Mean, least and greatest of several lines: at each x where there are few, else in `width` bins, in which each
 * line counts once, however many points it has there.
 */
export function banded(lines: readonly { x: readonly number[]; y: Numbers }[], width: number) {
  const places = [...new Set(lines.flatMap((one) => one.x))].sort((a, b) => a - b);
  const low = places[0] ?? 0;
  const step = (places[places.length - 1]! - low) / width || 1;
  const few = places.length <= width;
  const bins = few ? places.length : width;
  const index = few ? new Map(places.map((x, at) => [x, at])) : null;
  const binOf = (x: number) => (index ? index.get(x)! : Math.min(width - 1, Math.floor((x - low) / step)));
  const all: { sum: number; count: number; min: number; max: number; x: number }[] = Array.from({ length: bins }, () => ({
    sum: 0, count: 0, min: Infinity, max: -Infinity, x: 0,
  }));
  for (const { x, y } of lines) {
    let at = 0;
    while (at < x.length) {
      const bin = binOf(x[at]!);
      let [sum, count, place] = [0, 0, 0];
      for (; at < x.length && binOf(x[at]!) === bin; at += 1) {
        const value = y[at];
        if (value === null || value === undefined) continue;
        sum += value;
        place += x[at]!;
        count += 1;
      }
      if (count === 0) continue;
      const one = all[bin]!;
      one.sum += sum / count;
      one.x += place / count;
      one.count += 1;
      one.min = Math.min(one.min, sum / count);
      one.max = Math.max(one.max, sum / count);
    }
  }
  const filled = all.filter((one) => one.count > 0);
  return {
    x: filled.map((one) => one.x / one.count),
    mean: filled.map((one) => one.sum / one.count) as Numbers,
    min: filled.map((one) => one.min) as Numbers,
    max: filled.map((one) => one.max) as Numbers,
  };
}
