/** What part of an axis is shown. Pure. */
import type { XKind } from "./axes";

export type Range = [number, number];

/** How far a single place is from both ends of its axis: half a step, or half a second. */
const HALF = { step: 0.5, time: 500, relative: 500 } satisfies Record<XKind, number>;
const PAD = 0.1;

/** A range of x that is never empty: a single place stands in the middle. */
export function ofPlaces(x: ArrayLike<number>, kind: XKind, log: boolean): Range {
  const [low, high] = [x[0], x[x.length - 1]];
  if (low === undefined || high === undefined) return log ? [1, 10] : [0, 1];
  if (low < high) return [low, high];
  return log ? [low / 2, high * 2] : [low - HALF[kind], high + HALF[kind]];
}

/** A range of values with some room; `room` gives it where they differ. Values that are all the same stand in the middle, zeros at the bottom. */
export function ofValues(low: number | null, high: number | null, room: (low: number, high: number) => Range): Range {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, 1];
  if (low < high) return room(low, high);
  return low === 0 ? [0, 1] : [low - PAD * Math.abs(low), low + PAD * Math.abs(low)];
}
