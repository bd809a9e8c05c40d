/** What the cost page reads. All of it follows the period and the project in the URL. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, ask } from "@/api/client";
import type { Key } from "./lines";
import type { Period } from "./period";

const EVERY_MS = 30_000;

interface Asked extends Period {
  project: string;
}

function query({ since, until, project }: Asked) {
  return { since: since.toISOString(), until: until.toISOString(), ...(project ? { project } : {}) };
}

export function useDays(asked: Asked, by: Key) {
  const period = query(asked);
  return useQuery({
    queryKey: ["cost", "days", by, period],
    queryFn: () => ask(api.GET("/api/v1/cost", { params: { query: { by: `${by},day`, ...period } } })),
    placeholderData: keepPreviousData,
    refetchInterval: EVERY_MS,
  });
}

export function useSubjects(asked: Asked, top: number) {
  const period = query(asked);
  return useQuery({
    queryKey: ["cost", "subjects", top, period],
    queryFn: () =>
      ask(api.GET("/api/v1/cost", { params: { query: { by: "project,kind,user,subject", top, ...period } } })),
    placeholderData: keepPreviousData,
    refetchInterval: EVERY_MS,
  });
}

export function useForecast(project: string) {
  return useQuery({
    queryKey: ["cost", "forecast", project],
    queryFn: () => ask(api.GET("/api/v1/forecast", { params: { query: project ? { project } : {} } })),
    placeholderData: keepPreviousData,
    refetchInterval: EVERY_MS,
  });
}

/** Every line of the period, for CSV. */
export function readAll(asked: Asked) {
  const by = "day,project,user,kind,subject";
  return ask(api.GET("/api/v1/cost", { params: { query: { by, ...query(asked) } } }));
}
