/** What a project has of each noun, live: what the steps are read from. */
import { useQuery } from "@tanstack/react-query";
import { api, ask } from "@/api/client";
import { useLiveList } from "@/api/queries";
import { EMPTY, type Lists } from "./progress";

const LIMIT = 100;
const key = (noun: string, project: string | null) => ["progress", noun, project];
const at = (project: string | null) => ({ params: { path: { project: project ?? "" }, query: { limit: LIMIT } } });

/** `undefined` while it is read. */
export function useProgress(project: string | null): { lists: Lists | undefined; error: unknown; again: () => void } {
  const enabled = project !== null;
  const instances = useQuery({ queryKey: key("instances", project), enabled, queryFn: () => ask(api.GET("/api/v1/projects/{project}/instances", at(project))) });
  const environments = useQuery({ queryKey: key("environments", project), enabled, queryFn: () => ask(api.GET("/api/v1/projects/{project}/environments", at(project))) });
  const data = useQuery({ queryKey: key("data", project), enabled, queryFn: () => ask(api.GET("/api/v1/projects/{project}/data", at(project))) });
  const jobs = useQuery({ queryKey: key("jobs", project), enabled, queryFn: () => ask(api.GET("/api/v1/projects/{project}/jobs", at(project))) });
  const models = useQuery({ queryKey: key("models", project), enabled, queryFn: () => ask(api.GET("/api/v1/projects/{project}/models", at(project))) });
  const endpoints = useQuery({ queryKey: key("endpoints", project), enabled, queryFn: () => ask(api.GET("/api/v1/projects/{project}/endpoints", at(project))) });
  const watch = (topic: keyof Lists, ready: unknown) => (project !== null && ready ? { topic, project, limit: LIMIT } : null);
  useLiveList(key("instances", project), watch("instances", instances.data));
  useLiveList(key("environments", project), watch("environments", environments.data));
  useLiveList(key("data", project), watch("data", data.data));
  useLiveList(key("jobs", project), watch("jobs", jobs.data));
  useLiveList(key("models", project), watch("models", models.data));
  useLiveList(key("endpoints", project), watch("endpoints", endpoints.data));
  const all = [instances, environments, data, jobs, models, endpoints];
  const error = all.find((one) => one.error)?.error ?? null;
  const again = () => {
    for (const one of all) void one.refetch();
  };
  if (!enabled) return { lists: EMPTY, error: null, again };
  if (!instances.data || !environments.data || !data.data || !jobs.data || !models.data || !endpoints.data) return { lists: undefined, error, again };
  const lists: Lists = {
    instances: instances.data.items,
    environments: environments.data.items,
    data: data.data.items,
    jobs: jobs.data.items,
    models: models.data.items,
    endpoints: endpoints.data.items,
  };
  return { lists, error, again };
}
