/** What goes on while one looks: the time, and what costs. */
import { useEffect, useState } from "react";

/** The time in ms since 1970, again each so many ms while `ticking`. */
export function useNow(ticking: boolean, everyMs = 1000): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!ticking) return undefined;
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [ticking, everyMs]);
  return now;
}

/** Micros that something allocated has cost by `now`; `asOf` is when the server said `one.cost` (both ms). */
export function accrued(one: { cost?: number; price_per_hour: number }, asOf: number, now: number): number {
  return (one.cost ?? 0) + (Math.max(0, now - asOf) / 3_600_000) * one.price_per_hour;
}
