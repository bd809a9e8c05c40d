/** What the pages of endpoints read, and where they lead. */
import { useQuery } from "@tanstack/react-query";
import { api, ask, Problem, type Schemas } from "@/api/client";
import { useLiveList, useLiveThing } from "@/api/queries";

export type Endpoint = Schemas["Endpoint"];
export type Revision = Schemas["Revision"];
export type Replica = Schemas["EndpointReplica"];
export type EndpointStats = Schemas["EndpointStats"];
export type InstanceType = Schemas["InstanceType"];

const FIRST = 200;
const INTERVAL_MS = 5000;

export const endpointsKey = (project: string) => ["endpoints", project, FIRST] as const;
export const endpointKey = (project: string, name: string) => ["endpoint", project, name] as const;

export function endpointPath(project: string, name: string): string {
  return `/p/${project}/endpoints/${encodeURIComponent(name)}`;
}

export function useEndpoints(project: string) {
  useLiveList(endpointsKey(project), { topic: "endpoints", project, limit: FIRST });
  return useQuery({
    queryKey: endpointsKey(project),
    queryFn: () =>
      ask(api.GET("/api/v1/projects/{project}/endpoints", { params: { path: { project }, query: { limit: FIRST } } })),
    refetchInterval: INTERVAL_MS, // requests and latencies change without an event
  });
}

export function useEndpoint(project: string, name: string) {
  useLiveThing(endpointKey(project, name), { topic: "endpoint", project, name }, "endpoint");
  return useQuery({
    queryKey: endpointKey(project, name),
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/endpoints/{endpoint}", { params: { path: { project, endpoint: name } } })),
    refetchInterval: INTERVAL_MS,
  });
}

/** All that are known, newest first: those that ended, for an hour. */
export function useReplicas(project: string, name: string) {
  return useQuery({
    queryKey: ["endpoint-replicas", project, name],
    queryFn: async () => {
      const path = { project, endpoint: name };
      const found = await ask(api.GET("/api/v1/projects/{project}/endpoints/{endpoint}/replicas", { params: { path, query: { limit: FIRST } } }));
      return found.items;
    },
    refetchInterval: INTERVAL_MS,
  });
}

/** Of one revision, or of all of them together. */
export function useStats(project: string, name: string, revision: number | null) {
  return useQuery({
    queryKey: ["endpoint-stats", project, name, revision],
    queryFn: () =>
      ask(
        api.GET("/api/v1/projects/{project}/endpoints/{endpoint}/stats", {
          params: { path: { project, endpoint: name }, query: { revision } },
        }),
      ),
    refetchInterval: INTERVAL_MS,
    placeholderData: (before) => before,
  });
}

/** What its version is known to be: names of classes, the largest value of its data. Nothing of it is needed. */
export function useKnown(project: string, endpoint: Endpoint): { labels: string[] | null; most: number | null } {
  const version = useQuery({
    queryKey: ["model-version", project, endpoint.model, endpoint.version],
    queryFn: () =>
      ask(
        api.GET("/api/v1/projects/{project}/models/{model}/versions/{version}", {
          params: { path: { project, model: endpoint.model, version: String(endpoint.version) } },
        }),
      ),
    staleTime: 60_000,
  });
  const measured = version.data?.evaluations?.find((one) => one.state === "succeeded" && one.labels);
  const data = measured?.data ?? Object.values(version.data?.lineage.data ?? {})[0];
  const [dataset, number] = data?.split("@") ?? [];
  const summary = useQuery({
    queryKey: ["data-summary", project, dataset, number],
    enabled: dataset !== undefined && number !== undefined,
    queryFn: async () => {
      try {
        const path = { project, dataset: dataset!, version: number! };
        return await ask(api.GET("/api/v1/projects/{project}/data/{dataset}/versions/{version}/summary", { params: { path } }));
      } catch (error) {
        if (error instanceof Problem && error.status < 500) return null; // deleted meanwhile
        throw error;
      }
    },
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  return { labels: measured?.labels ?? null, most: largest(summary.data?.arrays ?? []) };
}

/** The largest value of the array that has the most elements: the samples, not the labels. */
export function largest(arrays: { array: { shape: number[]; max?: number | null } }[]): number | null {
  const size = (shape: number[]) => shape.reduce((product, one) => product * one, 1);
  const samples = arrays.filter((one) => one.array.shape.length > 1).sort((a, b) => size(b.array.shape) - size(a.array.shape))[0];
  return samples?.array.max ?? null;
}
