/** Which days the page is about. Days and months are those of UTC, as in the ledger. */

export const PERIODS = ["month", "last", "week", "range"] as const;

export interface Period {
  /** First instant; inclusive. */
  since: Date;
  /** The instant after the last day. */
  until: Date;
}

const DAY_MS = 86_400_000;

/** The day of an instant, as `2026-03-01`. */
export function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10);
}

/** Midnight (UTC) of `2026-03-01`; null for what is no day. */
export function midnight(day: string): Date | null {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(day)) return null;
  const at = new Date(`${day}T00:00:00Z`);
  return Number.isNaN(at.getTime()) || dayOf(at) !== day ? null : at;
}

const monthStart = (at: Date, months: number) => new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + months, 1));

/** The period of a name. `first` and `last` are days that count for `range` only; the last one is part of it. */
export function periodOf(name: string, now: Date, first = "", last = ""): Period {
  if (name === "last") return { since: monthStart(now, -1), until: monthStart(now, 0) };
  const tomorrow = new Date(midnight(dayOf(now))!.getTime() + DAY_MS);
  if (name === "week") return { since: new Date(tomorrow.getTime() - 7 * DAY_MS), until: tomorrow };
  if (name === "range") {
    const since = midnight(first);
    const until = midnight(last);
    if (since && until && since <= until) return { since, until: new Date(until.getTime() + DAY_MS) };
    if (since && !last) return { since, until: since < tomorrow ? tomorrow : new Date(since.getTime() + DAY_MS) };
  }
  return { since: monthStart(now, 0), until: monthStart(now, 1) };
}

/** Every day of a period, at most so many (the last ones). */
export function daysOf({ since, until }: Period, most = 366): string[] {
  const count = Math.min(most, Math.max(0, Math.round((until.getTime() - since.getTime()) / DAY_MS)));
  return Array.from({ length: count }, (_, at) => dayOf(new Date(until.getTime() - (count - at) * DAY_MS)));
}
