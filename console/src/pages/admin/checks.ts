/** The doctor's checks in the order in which they want attention. */
import type { Schemas } from "@/api/client";

export type Check = Schemas["Check"];
type State = Check["state"];

const ORDER: Record<State, number> = { problem: 0, warning: 1, ok: 2 };
const CLOCK_MS = 5_000;

/** Problems, then warnings, then what is well; otherwise as they came. */
export function inOrder(checks: Check[]): Check[] {
  return checks.map((check, at) => ({ check, at })).sort((a, b) => ORDER[a.check.state] - ORDER[b.check.state] || a.at - b.at).map(({ check }) => check);
}

export function counts(checks: Check[]): Record<State, number> {
  const found: Record<State, number> = { ok: 0, warning: 0, problem: 0 };
  for (const check of checks) found[check.state] += 1;
  return found;
}

/**
 * How far the browser's clock is from the server's, in seconds; 0 where the difference may be the way's.
 *
 * `checkedAt` was read on the server between the request's start and its end.
 */
export function clockApart(checkedAt: string, started: number, ended: number): number {
  const server = Date.parse(checkedAt);
  const apart = server < started ? started - server : server > ended ? ended - server : 0;
  return Math.abs(apart) < CLOCK_MS ? 0 : Math.round(apart / 1000);
}
