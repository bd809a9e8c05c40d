/** Shares of the requests in percent, by revision: whole numbers that always add up to 100. */

export type Shares = Record<number, number>;

/**
 * The shares once `number` has `wanted` percent: the others give or take in proportion to what they have; where they
 * have nothing, the newest of them takes the rest.
 */
export function withShare(shares: Shares, number: number, wanted: number): Shares {
  const others = Object.keys(shares).map(Number).filter((one) => one !== number);
  if (!others.length) return { [number]: 100 };
  const value = Math.min(100, Math.max(0, Math.round(wanted)));
  const rest = 100 - value;
  const sum = others.reduce((total, one) => total + shares[one]!, 0);
  const newest = Math.max(...others);
  const exact = others.map((one) => ({ one, share: sum ? (shares[one]! * rest) / sum : one === newest ? rest : 0 }));
  const result: Shares = { [number]: value };
  for (const { one, share } of exact) result[one] = Math.floor(share);
  // What rounding took away goes to those that lost the most by it.
  let missing = rest - exact.reduce((total, { one }) => total + result[one]!, 0);
  for (const { one } of [...exact].sort((a, b) => (b.share % 1) - (a.share % 1) || b.one - a.one)) {
    if (missing-- <= 0) break;
    result[one] = result[one]! + 1;
  }
  return result;
}

/** Whether two say the same. */
export function sameShares(one: Shares, other: Shares): boolean {
  const numbers = new Set([...Object.keys(one), ...Object.keys(other)].map(Number));
  return [...numbers].every((number) => (one[number] ?? 0) === (other[number] ?? 0));
}

/** A share as text. */
export const percent = (share: number) => `${share} %`;

interface Answering {
  traffic: number;
  answering: number;
  shadow: number;
  state: string;
  reason?: string | null;
  before?: Record<string, number> | null;
}

/** Reasons of a revision that was rolled back by itself. It answers until those before it can. */
const WORSE = new Set(["worse_errors", "worse_latency"]);

export function takenBack(one: Pick<Answering, "state" | "reason">): boolean {
  return one.state === "failed" && WORSE.has(one.reason ?? "");
}

/** Whether requests are answered by it now. */
export function answers(one: Pick<Answering, "answering" | "state" | "reason">): boolean {
  return one.answering > 0 && (one.state === "ready" || takenBack(one));
}

/** Whether a roll-back has somewhere to go: a change that is under way, copies to a shadow, or shares of before. */
export function canRollBack(revisions: Answering[]): boolean {
  const now = revisions.filter(answers);
  const underWay = now.length > 0 && revisions.some((one) => one.traffic !== (answers(one) ? one.answering : 0));
  return underWay || revisions.some((one) => one.shadow > 0) || now.some((one) => one.before != null);
}

/**
 * A draft for the revisions that there are now: new ones have nothing in it. Null where it would give requests to
 * one that is gone.
 */
export function fitted(draft: Shares, numbers: number[]): Shares | null {
  const gone = Object.keys(draft).map(Number).filter((one) => !numbers.includes(one));
  if (gone.some((one) => draft[one]! > 0)) return null;
  return Object.fromEntries(numbers.map((one) => [one, draft[one] ?? 0]));
}
