/** The rows of the table: pages as far as one scrolled, and the live list on top. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { api, ask } from "@/api/client";
import { useLive, type Wanted } from "@/api/live";
import type { RunRecord } from "../facts";
import { type Head, heard, listed, NO_HEAD } from "./rows";

const FIRST = 100;
const FURTHER = 1000;
/** The live list is at most so long. */
const LIVE = 200;

export interface RowsSpec {
  project: string;
  filter: string;
  order: string[];
  experiments: string[];
  columns: string[];
  /** Whether it is known yet what to ask. */
  ready: boolean;
}

export interface Rows {
  rows: RunRecord[];
  /** Of all that fit, also those that are not loaded. */
  total: number;
  loading: boolean;
  /** What is shown is of the filter before; the new one is on its way. */
  old: boolean;
  error: unknown;
  retry: () => void;
  /** Load on, where there is more. */
  more: () => void;
}

export function useRows({ project, filter, order, experiments, columns, ready }: RowsSpec): Rows {
  const spec = { filter, order_by: order, columns, ...(experiments.length > 0 ? { experiments } : {}) };
  const key = JSON.stringify(spec);
  const pages = useInfiniteQuery({
    queryKey: ["runs", project, "table", key],
    enabled: ready,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      ask(
        api.POST("/api/v1/projects/{project}/runs/search", {
          params: { path: { project } },
          body: { ...spec, view: "active", cursor: pageParam, limit: pageParam === null ? FIRST : FURTHER, count: pageParam === null },
          signal,
        }),
      ),
    getNextPageParam: (page) => page.next ?? null,
    placeholderData: (before) => before,
    // The live list keeps what is on top current; loading every page again would not be worth it.
    refetchOnWindowFocus: false,
    retry: false,
  });
  const [told, setTold] = useState<{ key: string; head: Head }>({ key, head: NO_HEAD });
  const wanted: Wanted = { topic: "runs", project, ...spec, limit: LIVE };
  const current = pages.data && !pages.isPlaceholderData && !pages.error;
  useLive(current ? wanted : null, (data) =>
    setTold((before) => ({ key, head: heard(before.key === key ? before.head : NO_HEAD, data) })),
  );
  const head = told.key === key ? told.head : NO_HEAD;
  const rows = useMemo(() => listed(pages.data?.pages.flatMap((page) => page.items) ?? [], head, LIVE), [pages.data, head]);
  const { hasNextPage, isFetchingNextPage, fetchNextPage, isPlaceholderData } = pages;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage && !isPlaceholderData) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage, isPlaceholderData]);
  return {
    rows,
    total: hasNextPage ? Math.max(rows.length, pages.data?.pages[0]?.total ?? 0) : rows.length,
    loading: pages.isPending,
    old: isPlaceholderData,
    error: pages.error,
    retry: () => void pages.refetch(),
    more,
  };
}
