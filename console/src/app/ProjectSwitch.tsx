/** Which project the pages are about: the URL's, else the one used last. */
import { Select } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useLocation, useNavigate } from "react-router";
import { api, ask } from "@/api/client";

const KEY = "nacre.project";
export const PROJECTS = ["projects"] as const;

export function useProjects() {
  return useQuery({ queryKey: PROJECTS, queryFn: () => ask(api.GET("/api/v1/projects")) });
}

export function useCurrentProject(): string | null {
  const named = /^\/p\/([^/]+)/.exec(useLocation().pathname)?.[1];
  const projects = useProjects().data?.items;
  useEffect(() => {
    if (named) localStorage.setItem(KEY, decodeURIComponent(named));
  }, [named]);
  if (named) return decodeURIComponent(named);
  const last = localStorage.getItem(KEY);
  return projects?.find((one) => one.name === last)?.name ?? projects?.[0]?.name ?? null;
}

export function ProjectSwitch() {
  const { t } = useTranslation("nav");
  const current = useCurrentProject();
  const place = useLocation();
  const go = useNavigate();
  const names = (useProjects().data?.items ?? []).map((one) => one.name);
  if (!names.length) return null;
  const change = (name: string | null) => {
    if (!name) return;
    localStorage.setItem(KEY, name);
    const area = /^\/p\/[^/]+\/([^/]+)/.exec(place.pathname)?.[1] ?? "jobs";
    void go(`/p/${name}/${area}`);
  };
  return (
    <Select
      aria-label={t("project")}
      data={names}
      value={current}
      onChange={change}
      allowDeselect={false}
      searchable={names.length > 8}
      w={{ base: 120, sm: 180 }}
    />
  );
}
