/** How places on an x axis read. */
import { duration, number } from "../format";

export type XKind = "step" | "time" | "relative";

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });

/** A step as short text: `1.5K`, `2M`; small ones whole. */
export function steps(value: number): string {
  return Math.abs(value) < 10_000 ? String(Number(value.toPrecision(6))) : compact.format(value);
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Distances between marks on an axis of steps: none lies between two steps. */
export const STEPS = Array.from({ length: 15 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat();

/** Distances between marks on an axis of durations, in milliseconds. */
export const DURATIONS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((n) => n * DAY),
];

function moments(language: string, apart: number): Intl.DateTimeFormat {
  if (apart >= DAY) return new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
  if (apart >= MINUTE) return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

function span(value: number): string {
  if (value < 0) return `-${span(-value)}`;
  if (value === 0) return "0";
  return Math.abs(value) < SECOND ? `${Number(value.toPrecision(3))}ms` : duration(value / 1000).replace(".0s", "s");
}

/** A value at an axis: powers without the zeros that tell nothing. */
export function level(value: number | null): string {
  return value === null ? "" : number(value, 6).replace(/\.?0+e/, "e");
}

/** Of the marks of a logarithmic axis those at powers of ten, where there are some; else all. */
export function decades(splits: (number | null)[]): (number | null)[] {
  const whole = splits.map((one) => (one !== null && Math.abs(Math.log10(one) - Math.round(Math.log10(one))) < 1e-9 ? one : null));
  return whole.filter((one) => one !== null).length > 1 ? whole : splits;
}

/** The words at the marks of an axis. */
export function marks(kind: XKind, language: string, values: readonly (number | null)[]): string[] {
  const known = values.filter((value) => value !== null);
  const apart = known.length > 1 ? known[1]! - known[0]! : DAY;
  const clock = kind === "time" ? moments(language, apart) : null;
  return values.map((value) => {
    if (value === null) return "";
    return clock ? clock.format(value) : kind === "relative" ? span(value) : steps(value);
  });
}

/** One place, in full, as the tooltip and the table name it. */
export function place(kind: XKind, language: string, value: number): string {
  if (kind === "step") return String(Math.abs(value) >= 10 ? Math.round(value) : Number(value.toPrecision(4)));
  if (kind === "relative") return span(value);
  return new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium", hourCycle: "h23" }).format(value);
}
