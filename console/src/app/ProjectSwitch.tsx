/** Which project the pages are about: the URL's, else the one used last. */
import { Menu, ScrollArea, UnstyledButton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { IconCheck, IconPlus, IconSelector, IconUsers } from "@tabler/icons-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Link, useLocation, useNavigate } from "react-router";
import { api, ask } from "@/api/client";
import { inProject } from "./pages";
import classes from "./ProjectSwitch.module.css";

const KEY = "nacre.project";
/** What a page of the other project can be: a thing of this one is not in it. */
const AREA = /^\/p\/[^/]+\/([^/]+)/;
export const PROJECTS = ["projects"] as const;

export function useProjects() {
  return useQuery({
    queryKey: PROJECTS,
    queryFn: () => ask(api.GET("/api/v1/projects", { params: { query: { limit: 1000 } } })),
  });
}

export function useCurrentProject(): string | null {
  const named = /^\/p\/([^/]+)/.exec(useLocation().pathname)?.[1];
  const projects = useProjects().data?.items;
  useEffect(() => {
    if (named) localStorage.setItem(KEY, decodeURIComponent(named));
  }, [named]);
  if (named) return decodeURIComponent(named);
  const last = localStorage.getItem(KEY);
  return projects?.find((one) => one.name === last)?.name ?? projects?.at(-1)?.name ?? null;
}

export function ProjectSwitch() {
  const { t } = useTranslation("nav");
  const current = useCurrentProject();
  const place = useLocation();
  const go = useNavigate();
  const projects = useProjects().data?.items ?? [];
  if (!projects.length) return null;
  const change = (name: string) => {
    localStorage.setItem(KEY, name);
    const area = AREA.exec(place.pathname)?.[1] ?? "jobs";
    void go(inProject(name, `/${area}`));
  };
  return (
    <Menu position="bottom-start" width={240}>
      <Menu.Target>
        <UnstyledButton className={classes.button} aria-label={t("projectIs", { name: current })}>
          <span className={classes.name}>{current}</span>
          <IconSelector size={14} aria-hidden />
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <ScrollArea.Autosize mah={320}>
          {projects.map((one) => (
            <Menu.Item
              key={one.id}
              onClick={() => change(one.name)}
              aria-current={one.name === current}
              rightSection={one.name === current ? <IconCheck size={14} aria-hidden /> : undefined}
            >
              {one.name}
            </Menu.Item>
          ))}
        </ScrollArea.Autosize>
        <Menu.Divider />
        <Menu.Item component={Link} to="/projects" leftSection={<IconUsers size={14} aria-hidden />}>
          {t("allProjects")}
        </Menu.Item>
        <Menu.Item component={Link} to="/projects?new=1" leftSection={<IconPlus size={14} aria-hidden />}>
          {t("newProject")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
