/** Pages of rows and the live list that covers their beginning become one list. Pure. */
import type { RunRecord } from "../facts";

/** What the live topic `runs` told so far. */
export interface Head {
  order: readonly string[] | null;
  rows: ReadonlyMap<string, RunRecord>;
  /** Ids that left the list; they may only have moved further down. */
  removed: ReadonlySet<string>;
}

export const NO_HEAD: Head = { order: null, rows: new Map(), removed: new Set() };

export function heard(head: Head, data: Record<string, unknown>): Head {
  const rows = new Map(head.rows);
  const removed = new Set(head.removed);
  for (const row of (data.rows ?? []) as RunRecord[]) {
    rows.set(row.id, row);
    removed.delete(row.id);
  }
  for (const id of (data.removed ?? []) as string[]) removed.add(id);
  return { order: (data.order as string[] | undefined) ?? head.order, rows, removed };
}

/**
 * The rows in order: those of the live list first, then the rest of the pages. `most` is the length of the live
 * list from which on it is only the beginning of all.
 */
export function listed(pages: readonly RunRecord[], head: Head, most: number): RunRecord[] {
  if (!head.order) return [...pages];
  const known = new Map(pages.map((row) => [row.id, row]));
  for (const [id, row] of head.rows) known.set(id, row);
  const first = head.order.flatMap((id) => known.get(id) ?? []);
  if (head.order.length < most) return first;
  const there = new Set(head.order);
  return [...first, ...pages.filter((row) => !there.has(row.id)).map((row) => known.get(row.id)!)];
}
