/** What the home page shows of some projects: each list is read per project, and kept current by `Feed`. */
import { useQueries, useQuery } from "@tanstack/react-query";
import { api, ask, type Schemas } from "@/api/client";
import { useLiveList } from "@/api/queries";
import { monthStart } from "../projects/month";
import { mainMetric } from "./work";

const RUNS = 8;
const LIMIT = 100;
const SPARK_WIDTH = 48;
const SPARK_MS = 3_000;
const STATS_MS = 10_000;
const COST_MS = 30_000;

export type HomeRun = Schemas["RunRecord"];

export const homeKey = (noun: string, project: string) => ["home", noun, project] as const;
const SEARCH = { filter: "", order_by: ["attributes.start_time DESC"], view: "active", limit: RUNS, count: false } as const;

/** Keeps what is shown of one project current; draws nothing. */
export function Feed({ project }: { project: string }) {
  useLiveList(homeKey("jobs", project), { topic: "jobs", project, active: true, limit: LIMIT });
  useLiveList(homeKey("instances", project), { topic: "instances", project, limit: LIMIT });
  useLiveList(homeKey("endpoints", project), { topic: "endpoints", project, limit: LIMIT });
  useLiveList(homeKey("runs", project), { topic: "runs", project, limit: RUNS, order_by: [...SEARCH.order_by] });
  return null;
}

/** What several queries answered, in one list; `undefined` until the first has. */
function together<T>(queries: { data?: { items: T[] } | undefined; error: unknown }[]) {
  const answered = queries.filter((one) => one.data);
  return {
    items: answered.length || !queries.length ? answered.flatMap((one) => one.data!.items) : undefined,
    error: queries.find((one) => one.error)?.error ?? null,
  };
}

export function useOverview(projects: string[]) {
  const lists = <T,>(noun: string, read: (project: string) => Promise<{ items: T[] }>, refetchInterval: number | false = false) => ({
    queries: projects.map((project) => ({ queryKey: homeKey(noun, project), queryFn: () => read(project), refetchInterval })),
    combine: together<T>,
  });
  const at = (project: string) => ({ params: { path: { project }, query: { limit: LIMIT } } });
  const jobs = useQueries(
    lists("jobs", (project) => ask(api.GET("/api/v1/projects/{project}/jobs", { params: { path: { project }, query: { limit: LIMIT, active: true } } }))),
  );
  const instances = useQueries(lists("instances", (project) => ask(api.GET("/api/v1/projects/{project}/instances", at(project)))));
  const endpoints = useQueries(lists("endpoints", (project) => ask(api.GET("/api/v1/projects/{project}/endpoints", at(project))), STATS_MS));
  const runs = useQueries(
    lists("runs", (project) =>
      ask(api.POST("/api/v1/projects/{project}/runs/search", { params: { path: { project } }, body: { ...SEARCH, order_by: [...SEARCH.order_by] } })),
    ),
  );
  const recent = runs.items && [...runs.items].sort((a, b) => b.started_at.localeCompare(a.started_at)).slice(0, RUNS);
  return { jobs, instances, endpoints, runs: { items: recent, error: runs.error } };
}

/** Sum of one project or of all, this month, and what it will be. */
export function useSpending(project: string | null) {
  const only = project === null ? {} : { project };
  const forecast = useQuery({
    queryKey: ["forecast", project],
    queryFn: () => ask(api.GET("/api/v1/forecast", { params: { query: only } })),
    refetchInterval: COST_MS,
  });
  const days = useQuery({
    queryKey: ["cost", "days", project, monthStart()],
    queryFn: () => ask(api.GET("/api/v1/cost", { params: { query: { by: "day", since: monthStart(), ...only } } })),
    refetchInterval: COST_MS,
  });
  return { forecast, days };
}

/** The curve that each run is known by, by the run's id. */
export function useSparks(runs: HomeRun[]): Map<string, (number | null)[]> {
  const wanted = new Map<string, { runs: string[]; keys: Set<string>; live: number }>();
  for (const run of runs) {
    const key = mainMetric(Object.keys(run.metrics ?? {}));
    const metric = key === null ? undefined : run.metrics?.[key];
    if (!key || !metric || metric.count < 2) continue;
    const one = wanted.get(run.project) ?? { runs: [], keys: new Set<string>(), live: 0 };
    one.runs.push(run.id);
    one.keys.add(key);
    one.live += Number(run.state === "running");
    wanted.set(run.project, one);
  }
  const own = new Map(runs.map((run) => [run.id, mainMetric(Object.keys(run.metrics ?? {}))]));
  const charts = useQueries({
    queries: [...wanted].map(([project, { runs: ids, keys, live }]) => ({
      // Once more when a run has ended: `live` is another number then.
      queryKey: ["home", "spark", project, ids, [...keys], live],
      queryFn: () =>
        ask(
          api.POST("/api/v1/projects/{project}/runs/chart", {
            params: { path: { project } },
            body: { runs: ids, keys: [...keys], width: SPARK_WIDTH, axis: "step" },
          }),
        ),
      staleTime: Number.POSITIVE_INFINITY,
      refetchInterval: live ? SPARK_MS : (false as const),
    })),
  });
  const found = new Map<string, (number | null)[]>();
  for (const { data } of charts) {
    for (const series of data?.series ?? []) if (own.get(series.run) === series.key) found.set(series.run, series.mean);
  }
  return found;
}
