/** What the palette offers: pages, actions, things, in words of the language. */
import { useMantineColorScheme } from "@mantine/core";
import {
  IconDeviceLaptop,
  IconFolder,
  IconKeyboard,
  IconLanguage,
  IconLogout,
  IconMoon,
  IconPackages,
  IconPlayerPlay,
  IconPlugConnected,
  IconPlus,
  IconSun,
  IconUpload,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { speak } from "@/i18n";
import { accountPages, type Icon, inProject, NOUN_ICONS, projectPages } from "../pages";
import { useProjects } from "../ProjectSwitch";
import { recentThings } from "../recent";
import { useUser } from "../session";
import { useIsDark } from "../useIsDark";
import { useSignOut } from "../useSignOut";
import { useThings } from "./things";

export type Group = "recent" | "actions" | "pages" | "things" | "projects";

export interface Item {
  /** Unique among all. */
  id: string;
  group: Group;
  label: string;
  icon: Icon;
  hint?: string | undefined;
  /** Words that find it, too: its English name in every language. */
  keywords?: string;
  to?: string;
  act?: () => void;
}

/** Everything, in the order of the groups. */
export function useItems(project: string | null, search: string, showShortcuts: () => void): Item[] {
  const { t, i18n } = useTranslation(["palette", "nav", "status"]);
  const user = useUser();
  const projects = useProjects().data?.items ?? [];
  const role = projects.find((one) => one.name === project)?.role;
  const things = useThings(project, search);
  const { setColorScheme } = useMantineColorScheme();
  const dark = useIsDark();
  const signOut = useSignOut();

  const work: Item[] =
    project !== null && role && role !== "viewer"
      ? [
          ["newJob", "/jobs/new", IconPlayerPlay, "new job train run submit"] as const,
          ["newInstance", "/instances/new", IconDeviceLaptop, "new instance notebook jupyter start"] as const,
          ["upload", "/data/new", IconUpload, "upload data dataset push"] as const,
          ["deploy", "/endpoints/new", IconPlugConnected, "deploy endpoint serve model"] as const,
          ["newEnvironment", "/environments/new", IconPackages, "new environment requirements"] as const,
        ].map(([key, path, icon, keywords]) => ({
          id: key,
          group: "actions",
          label: t(`actions.${key}`),
          icon,
          keywords,
          to: inProject(project, path),
        }))
      : [];
  const own: Item[] = [
    { id: "newProject", label: t("actions.newProject"), icon: IconPlus, keywords: "new project create", to: "/projects?new=1" },
    {
      id: "theme",
      label: dark ? t("nav:light") : t("nav:dark"),
      icon: dark ? IconSun : IconMoon,
      keywords: "theme dark light colour color",
      act: () => setColorScheme(dark ? "light" : "dark"),
    },
    { id: "en", label: "English", icon: IconLanguage, keywords: "language 语言 英文", act: () => void speak("en") },
    { id: "zh", label: "简体中文", icon: IconLanguage, keywords: "language chinese 语言 zhongwen", act: () => void speak("zh") },
    { id: "shortcuts", label: t("nav:shortcuts.help"), icon: IconKeyboard, keywords: "keyboard shortcuts help keys", act: showShortcuts },
    { id: "signOut", label: t("nav:signOut"), icon: IconLogout, keywords: "sign out log logout", act: signOut },
  ]
    .filter(({ id }) => id !== i18n.language)
    .map((item) => ({ ...item, group: "actions" as const }));
  const pages = [...projectPages(project), ...accountPages(user.admin ?? false)].map((page): Item => ({
    id: `page ${page.to}`,
    group: "pages",
    label: t(`nav:${page.key}`),
    icon: page.icon,
    keywords: page.key,
    hint: page.go && `g ${page.go}`,
    to: page.to,
  }));
  const unique = pages.filter((page, i) => pages.findIndex((other) => other.id === page.id) === i);
  const switches = projects
    .filter((one) => one.name !== project)
    .map((one): Item => ({
      id: `project ${one.name}`,
      group: "projects",
      label: one.name,
      icon: IconFolder,
      keywords: "project switch",
      hint: t("nav:project"),
      to: inProject(one.name, "/jobs"),
    }));
  const recent = recentThings()
    .filter((one) => projects.some((known) => known.name === one.project))
    .map((one): Item => ({
      id: `recent ${one.to}`,
      group: "recent",
      label: one.label,
      icon: NOUN_ICONS[one.noun],
      hint: one.project === project ? t(`nouns.${one.noun}`) : `${t(`nouns.${one.noun}`)} · ${one.project}`,
      to: one.to,
    }));
  const named = things.map((thing): Item => ({
    id: thing.to,
    group: "things",
    label: thing.label,
    icon: NOUN_ICONS[thing.noun],
    hint: thing.hint ? `${t(`nouns.${thing.noun}`)} · ${t(`status:${thing.hint}`, { defaultValue: thing.hint })}` : t(`nouns.${thing.noun}`),
    keywords: thing.noun,
    to: thing.to,
  }));
  return [...recent, ...work, ...named, ...unique, ...switches, ...own];
}
