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
  IconUser,
  IconUsers,
} from "@tabler/icons-react";

export interface NavPage {
  /** The word in `nav`. */
  key: string;
  to: string;
  icon: typeof IconHome;
}

export function projectPages(project: string | null): NavPage[] {
  const home: NavPage[] = [{ key: "home", to: "/", icon: IconHome }];
  if (project === null) return [...home, { key: "projects", to: "/projects", icon: IconUsers }];
  const base = `/p/${project}`;
  return [
    ...home,
    { key: "instances", to: `${base}/instances`, icon: IconDeviceLaptop },
    { key: "environments", to: `${base}/environments`, icon: IconPackages },
    { key: "data", to: `${base}/data`, icon: IconDatabase },
    { key: "jobs", to: `${base}/jobs`, icon: IconPlayerPlay },
    { key: "runs", to: `${base}/runs`, icon: IconChartLine },
    { key: "models", to: `${base}/models`, icon: IconBox },
    { key: "endpoints", to: `${base}/endpoints`, icon: IconPlugConnected },
    { key: "cost", to: "/cost", icon: IconCoin },
    { key: "projectSettings", to: `${base}/settings`, icon: IconSettings },
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
