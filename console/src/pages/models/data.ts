/** What the pages of models read, and where they lead. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { api, ask, type Schemas } from "@/api/client";
import { useLive, type Wanted } from "@/api/live";
import { useLiveList } from "@/api/queries";

export type Model = Schemas["Model"];
export type Version = Schemas["ModelVersion"];
export type Evaluation = Schemas["Evaluation"];
export type Signature = Schemas["Signature"];

const FIRST = 200;
const SOON_MS = 2000;

export function modelPath(project: string, model: string, search: Record<string, string | number> = {}): string {
  const query = new URLSearchParams(Object.entries(search).map(([key, value]) => [key, String(value)])).toString();
  return `/p/${project}/models/${encodeURIComponent(model)}${query ? `?${query}` : ""}`;
}

export function versionApi(project: string, model: string, version: number | string): string {
  return `/api/v1/projects/${encodeURIComponent(project)}/models/${encodeURIComponent(model)}/versions/${version}`;
}

export const modelsKey = (project: string) => ["models", project, FIRST] as const;
export const modelKey = (project: string, model: string) => ["model", project, model] as const;
export const versionsKey = (project: string, model: string) => ["model", project, model, "versions"] as const;

export function useModels(project: string) {
  useLiveList(modelsKey(project), { topic: "models", project, limit: FIRST });
  return useQuery({
    queryKey: modelsKey(project),
    queryFn: () =>
      ask(api.GET("/api/v1/projects/{project}/models", { params: { path: { project }, query: { limit: FIRST } } })),
  });
}

export function useModel(project: string, model: string) {
  return useQuery({
    queryKey: modelKey(project, model),
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/models/{model}", { params: { path: { project, model } } })),
  });
}

/** Whether something of a version is under way: its conversion or an evaluation. */
export function isBusy(version: Version): boolean {
  return (
    version.conversion === "pending" ||
    version.conversion === "converting" ||
    (version.evaluations ?? []).some((one) => one.state === "running")
  );
}

/** The newest versions. Changes of the model are told live; what runs for an older version is asked for. */
export function useVersions(project: string, model: string) {
  const client = useQueryClient();
  const wanted: Wanted = { topic: "model", project, name: model };
  useLive(wanted, (data) => {
    if (!data.model) return;
    client.setQueryData(modelKey(project, model), data.model);
    void client.invalidateQueries({ queryKey: versionsKey(project, model) });
  });
  return useQuery({
    queryKey: versionsKey(project, model),
    queryFn: () =>
      ask(
        api.GET("/api/v1/projects/{project}/models/{model}/versions", {
          params: { path: { project, model }, query: { limit: FIRST } },
        }),
      ),
    refetchInterval: (query) => (query.state.data?.items.some(isBusy) ? SOON_MS : false),
  });
}

/** Ask anew for everything of a model. */
export function useRefresh(project: string): (model: string) => Promise<void> {
  const client = useQueryClient();
  return async (model) => {
    await Promise.all([
      client.invalidateQueries({ queryKey: modelKey(project, model) }),
      client.invalidateQueries({ queryKey: ["models", project] }),
    ]);
  };
}
