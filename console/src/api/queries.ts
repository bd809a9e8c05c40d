/** How pages read: TanStack Query over `ask`, kept current by the live connection. */
import { QueryClient, useQueryClient } from "@tanstack/react-query";
import { Problem } from "./client";
import { useLive, type Wanted } from "./live";

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: true,
      // The server's refusals are final; what could not be reached, or is busy, is asked again.
      retry: (count, error) => count < 3 && error instanceof Problem && (error.status === 0 || error.status >= 500),
    },
  },
});

type Named = { id: string };

/**
 * Keep a cached list `{items: […]}` current by a live topic that sends `rows`, `removed` and `order`
 * (`runs`, `jobs`, and the other lists).
 */
export function useLiveList(key: readonly unknown[], wanted: Wanted | null): void {
  const client = useQueryClient();
  useLive(wanted, (data) => {
    client.setQueryData<{ items: Named[] }>(key, (before) => ({ ...before, items: updated(before?.items ?? [], data) }));
  });
}

/** A list with an update of its live topic: `rows` that are new or changed, `removed` ids, `order` of all. */
export function updated(items: Named[], data: Record<string, unknown>): Named[] {
  const known = new Map(items.map((row) => [row.id, row]));
  for (const row of (data.rows ?? []) as Named[]) known.set(row.id, row);
  for (const id of (data.removed ?? []) as string[]) known.delete(id);
  const order = data.order as string[] | undefined;
  return order ? order.flatMap((id) => known.get(id) ?? []) : [...known.values()];
}

/** Keep one cached thing current: the live topic sends it whole under `field`. */
export function useLiveThing(key: readonly unknown[], wanted: Wanted | null, field: string): void {
  const client = useQueryClient();
  useLive(wanted, (data) => {
    if (data[field]) client.setQueryData(key, data[field]);
  });
}
