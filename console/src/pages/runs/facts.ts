/** What pages know of runs. */
import { useQueries, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { api, ask, type Schemas } from "@/api/client";
import { useLiveList } from "@/api/queries";

export type RunRecord = Schemas["RunRecord"];

/** Of one answer of `runs.chart`. */
export const MOST_DRAWN = 100;

const ID = /^[0-9a-f]{32}$/;
const ALL = ["params.*", "metrics.*", "tags.*"];

export function readRun(project: string, run: string) {
  return ask(api.GET("/api/v1/projects/{project}/runs/{run}", { params: { path: { project, run } } }));
}

/** Ids of runs that may be given by name, by their job's name, or by the beginning of an id. */
export function useRunIds(project: string, references: readonly string[]): { ids: string[]; error: unknown } {
  const named = references.filter((one) => !ID.test(one));
  const found = useQueries({
    queries: named.map((run) => ({ queryKey: ["run", project, run], queryFn: () => readRun(project, run) })),
    combine: (all) => ({
      ids: Object.fromEntries(all.flatMap((one, at) => (one.data ? [[named[at]!, one.data.id]] : []))),
      error: all.find((one) => one.error)?.error ?? null,
    }),
  });
  const key = references.flatMap((one) => (ID.test(one) ? one : (found.ids[one] ?? []))).join(" ");
  return { ids: useMemo(() => [...new Set(key ? key.split(" ") : [])], [key]), error: found.error };
}

/**
 * Everything of some runs, in the order of `ids`, current: state, params, tags and what metrics were last. Those
 * that do not exist are left out.
 */
export function useRuns(project: string, ids: readonly string[]): { runs: RunRecord[]; loading: boolean; error: unknown } {
  const wanted = useMemo(() => [...ids].sort(), [ids]);
  const filter = `attributes.run_id IN (${wanted.map((id) => `'${id}'`).join(", ")})`;
  const key = ["runs", project, "some", wanted];
  const found = useQuery({
    queryKey: key,
    enabled: wanted.length > 0,
    queryFn: () =>
      ask(
        api.POST("/api/v1/projects/{project}/runs/search", {
          params: { path: { project } },
          body: { filter, view: "all", columns: ALL, limit: Math.max(1, wanted.length), order_by: [], count: false },
        }),
      ),
    placeholderData: (before) => before,
  });
  const live = { topic: "runs", project, filter, view: "all", columns: ALL, limit: 200 } as const;
  useLiveList(key, wanted.length > 0 && found.data && !found.isPlaceholderData ? { ...live, columns: [...ALL] } : null);
  const items = found.data?.items;
  const runs = useMemo(() => {
    const known = new Map((items ?? []).map((run) => [run.id, run]));
    return ids.flatMap((id) => known.get(id) ?? []);
  }, [items, ids]);
  return { runs, loading: wanted.length > 0 && found.isPending, error: found.error };
}

/** What a run is called where several may have the same name. */
export function labelsOf(runs: readonly { id: string; name: string }[]): Map<string, string> {
  const count = new Map<string, number>();
  for (const run of runs) count.set(run.name, (count.get(run.name) ?? 0) + 1);
  return new Map(runs.map((run) => [run.id, count.get(run.name)! > 1 ? `${run.name} (${run.id.slice(0, 6)})` : run.name]));
}

/** A number as the API carries it: NaN and infinities are words. */
export function numeric(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}

/** Seconds that a run took, or takes until `now`. */
export function secondsOf(run: { started_at?: string | null; ended_at?: string | null; state: string }, now: number): number | null {
  if (!run.started_at) return null;
  const end = run.ended_at ? Date.parse(run.ended_at) : run.state === "running" ? now : null;
  return end === null ? null : Math.max(0, (end - Date.parse(run.started_at)) / 1000);
}
