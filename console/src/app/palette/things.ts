/** The things of a project, by name: read when the palette opens, and kept for half a minute. */
import { keepPreviousData, useQueries, useQuery } from "@tanstack/react-query";
import { api, ask } from "@/api/client";
import { inProject, type Noun } from "../pages";

export interface Thing {
  noun: Noun;
  label: string;
  to: string;
  /** State, version: whatever tells it from others. */
  hint?: string | undefined;
}

const KEPT_MS = 30_000;
const LIMIT = 500;
const RUNS = 30;

type Listed = { hint?: string | undefined; name: string; id?: string };

/** How each noun is listed. Runs are searched by the server: there may be any number. */
const LISTS: Record<Exclude<Noun, "runs">, (project: string) => Promise<Listed[]>> = {
  instances: async (project) => {
    const page = await ask(api.GET("/api/v1/projects/{project}/instances", at(project)));
    return page.items.map(({ name, state }) => ({ name, hint: state }));
  },
  environments: async (project) => {
    const page = await ask(api.GET("/api/v1/projects/{project}/environments", at(project)));
    return page.items.map(({ name, state }) => ({ name, hint: state }));
  },
  data: async (project) => {
    const page = await ask(api.GET("/api/v1/projects/{project}/data", at(project)));
    return page.items.map(({ name }) => ({ name }));
  },
  jobs: async (project) => {
    const page = await ask(api.GET("/api/v1/projects/{project}/jobs", at(project)));
    return page.items.map(({ name, state }) => ({ name, hint: state }));
  },
  models: async (project) => {
    const page = await ask(api.GET("/api/v1/projects/{project}/models", at(project)));
    return page.items.map(({ name }) => ({ name }));
  },
  endpoints: async (project) => {
    const page = await ask(api.GET("/api/v1/projects/{project}/endpoints", at(project)));
    return page.items.map(({ name, state }) => ({ name, hint: state }));
  },
};
const LISTED = Object.keys(LISTS) as Exclude<Noun, "runs">[];

const at = (project: string) => ({ params: { path: { project }, query: { limit: LIMIT } } });

/** A condition of `runs.search` on the name; null where the search has nothing to look for. */
export function runFilter(search: string): string {
  const word = search.replace(/['"%\\]/g, "").trim();
  return word ? `attributes.run_name ILIKE '%${word}%'` : "";
}

/** Everything of a project that has a page. `search`: what runs are searched for. */
export function useThings(project: string | null, search: string): Thing[] {
  const lists = useQueries({
    queries: LISTED.map((noun) => ({
      queryKey: ["palette", noun, project],
      queryFn: () => LISTS[noun](project!),
      enabled: project !== null,
      staleTime: KEPT_MS,
      retry: false,
    })),
  });
  const runs = useQuery({
    queryKey: ["palette", "runs", project, search],
    queryFn: () =>
      ask(
        api.POST("/api/v1/projects/{project}/runs/search", {
          params: { path: { project: project! } },
          body: { filter: runFilter(search), order_by: [], view: "active", columns: [], limit: RUNS, count: false },
        }),
      ),
    enabled: project !== null,
    staleTime: KEPT_MS,
    retry: false,
    placeholderData: keepPreviousData,
  });
  if (project === null) return [];
  const listed = LISTED.flatMap((noun, i) =>
    (lists[i]?.data ?? []).map(({ name, hint }): Thing => ({ noun, label: name, hint, to: inProject(project, `/${noun}/${encodeURIComponent(name)}`) })),
  );
  const found = (runs.data?.items ?? []).map((run): Thing => ({ noun: "runs", label: run.name, hint: run.state, to: inProject(project, `/runs/${run.id}`) }));
  return [...listed, ...found];
}
