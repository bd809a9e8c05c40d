/** Rows sorted by a column that is kept in the URL: `?sort=cost` or `?sort=-cost`. */
import { useMemo } from "react";
import type { Sort } from "./DataTable";
import { useUrlState } from "./useUrlState";

export type Value = string | number | null | undefined;

/** `-cost` is descending. */
export function parseSort(text: string): Sort | null {
  if (!text) return null;
  return text.startsWith("-") ? { key: text.slice(1), descending: true } : { key: text, descending: false };
}

/** A copy in order; rows without a value come last, either way. */
export function sorted<Row>(rows: Row[], values: Record<string, (row: Row) => Value>, sort: Sort | null): Row[] {
  const value = sort ? values[sort.key] : undefined;
  if (!sort || !value) return rows;
  const sign = sort.descending ? -1 : 1;
  return [...rows].sort((left, right) => {
    const [a, b] = [value(left) ?? null, value(right) ?? null];
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), undefined, { numeric: true });
  });
}

export function useSorted<Row>(
  rows: Row[],
  values: Record<string, (row: Row) => Value>,
  { name = "sort", initial = "" }: { name?: string; initial?: string } = {},
): { rows: Row[]; sort: Sort | null; onSort: (sort: Sort) => void } {
  const [text, setText] = useUrlState(name, initial);
  const sort = useMemo(() => parseSort(text), [text]);
  return {
    rows: sorted(rows, values, sort),
    sort,
    onSort: (wanted) => setText(`${wanted.descending ? "-" : ""}${wanted.key}`),
  };
}
