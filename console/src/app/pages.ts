/** The pages of the navigation and of the palette, in the order of the eight steps. */
import {
  IconBox,
  IconChartLine,
  IconCoin,
  IconCpu,
  IconDatabase,
  IconDeviceLaptop,
  IconHome,
  IconPackages,
  IconPlugConnected,
  IconPlayerPlay,
  IconRoute,
  IconSettings,
  IconStack2,
  IconUser,
  IconUsers,
} from "@tabler/icons-react";

export type Icon = typeof IconHome;

/** The things of a project that have pages of their own. */
export type Noun = "instances" | "environments" | "data" | "jobs" | "runs" | "models" | "endpoints";

export const NOUN_ICONS: Record<Noun, Icon> = {
  instances: IconDeviceLaptop,
  environments: IconPackages,
  data: IconDatabase,
  jobs: IconPlayerPlay,
  runs: IconChartLine,
  models: IconBox,
  endpoints: IconPlugConnected,
};
export const NOUNS = Object.keys(NOUN_ICONS) as Noun[];

export interface NavPage {
  /** The word in `nav`. */
  key: string;
  to: string;
  icon: Icon;
  /** The letter that goes there after `g`. */
  go?: string;
}

const GO: Record<Noun, string> = {
  instances: "i",
  environments: "e",
  data: "d",
  jobs: "j",
  runs: "r",
  models: "m",
  endpoints: "p",
};

/** Where a project's pages are. */
export const inProject = (project: string, path = "") => `/p/${encodeURIComponent(project)}${path}`;

export function projectPages(project: string | null): NavPage[] {
  const home: NavPage[] = [{ key: "home", to: "/", icon: IconHome, go: "h" }];
  if (project === null) return [...home, { key: "projects", to: "/projects", icon: IconUsers }];
  return [
    ...home,
    ...NOUNS.map((noun) => ({ key: noun, to: inProject(project, `/${noun}`), icon: NOUN_ICONS[noun], go: GO[noun] })),
    { key: "queue", to: "/queue", icon: IconStack2, go: "q" },
    { key: "cost", to: "/cost", icon: IconCoin, go: "c" },
    { key: "projectSettings", to: inProject(project, "/settings"), icon: IconSettings, go: "s" },
  ];
}

export function accountPages(admin: boolean): NavPage[] {
  const pages: NavPage[] = [
    { key: "accountPage", to: "/account", icon: IconUser },
    { key: "projects", to: "/projects", icon: IconUsers },
    { key: "welcome", to: "/welcome", icon: IconRoute },
  ];
  if (admin) pages.push({ key: "admin", to: "/admin", icon: IconCpu });
  return pages;
}

/** Whether a page, or one below it, is open. */
export function isOpen(page: NavPage, path: string): boolean {
  return path === page.to || (page.to !== "/" && path.startsWith(`${page.to}/`));
}
