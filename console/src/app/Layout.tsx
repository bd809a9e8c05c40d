/** The shell: navigation by the eight steps, the project in use, search, and how live the page is. */
import { ActionIcon, AppShell, Burger, Menu, Text, UnstyledButton } from "@mantine/core";
import { useDisclosure, useLocalStorage } from "@mantine/hooks";
import { IconSearch, IconUser } from "@tabler/icons-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, Outlet, ScrollRestoration, useLocation, useNavigate } from "react-router";
import { Late } from "@/ui/Late";
import { Loading } from "@/ui/Loading";
import classes from "./Layout.module.css";
import { LiveMark } from "./LiveMark";
import { Logo } from "./Logo";
import { Navigation } from "./Navigation";
import { ProjectSwitch, useCurrentProject } from "./ProjectSwitch";
import { accountPages, projectPages } from "./pages";
import { Preferences } from "./Preferences";
import { remember, thingOf } from "./recent";
import { useUser } from "./session";
import { PALETTE_KEY, useShortcuts } from "./shortcuts";
import { useSignOut } from "./useSignOut";

const Palette = lazy(() => import("./Palette"));
const ShortcutHelp = lazy(() => import("./ShortcutHelp"));

/** So long after a navigation, pages have said what they are called. */
const SETTLED_MS = 800;

export function Layout() {
  const { t } = useTranslation("nav");
  const [opened, { toggle, close }] = useDisclosure();
  const [searching, search] = useDisclosure();
  const [helping, help] = useDisclosure();
  const [narrow, setNarrow] = useLocalStorage({ key: "nacre.narrow", defaultValue: false, getInitialValueInEffect: false });
  const user = useUser();
  const signOut = useSignOut();
  const go = useNavigate();
  const path = useLocation().pathname;
  const project = useCurrentProject();
  const pages = projectPages(project);
  const said = useTitle(path);

  useEffect(close, [path, close]);
  useShortcuts(
    {
      ...Object.fromEntries(pages.flatMap((page) => (page.go ? [[`g ${page.go}`, () => void go(page.to)]] : []))),
      "/": search.open,
      "?": help.open,
      "[": () => setNarrow((before) => !before),
    },
    () => {
      help.close();
      search.toggle();
    },
  );

  return (
    <AppShell
      header={{ height: 48 }}
      navbar={{ width: narrow ? 52 : 208, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding={{ base: "md", sm: "xl" }}
      transitionDuration={0}
    >
      <a href="#main" className={classes.skip}>
        {t("skip")}
      </a>
      <AppShell.Header className={classes.header}>
        <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t("menu")} aria-expanded={opened} />
        <Link to="/" aria-label={`Nacre: ${t("home")}`} className={classes.brand}>
          <Logo />
          <Text component="span" fw={650} size="md" visibleFrom="xs">
            Nacre
          </Text>
        </Link>
        <ProjectSwitch />
        <div className={classes.tools}>
          <LiveMark />
          <UnstyledButton className={classes.search} onClick={search.open} aria-label={`${t("searchShort")} ${PALETTE_KEY}: ${t("search")}`} visibleFrom="sm">
            <IconSearch size={14} aria-hidden />
            <span className={classes.searchWord}>{t("searchShort")}</span>{" "}
            <kbd>{PALETTE_KEY}</kbd>
          </UnstyledButton>
          <ActionIcon hiddenFrom="sm" onClick={search.open} aria-label={t("search")}>
            <IconSearch size={16} />
          </ActionIcon>
          <Preferences />
          <Menu position="bottom-end" width={200}>
            <Menu.Target>
              <ActionIcon aria-label={t("account")} title={user.name}>
                <IconUser size={16} />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Label>{user.name}</Menu.Label>
              {accountPages(user.admin ?? false).map((page) => (
                <Menu.Item key={page.to} component={Link} to={page.to} leftSection={<page.icon size={14} />}>
                  {t(page.key)}
                </Menu.Item>
              ))}
              <Menu.Item onClick={help.open} rightSection={<kbd className={classes.kbd}>?</kbd>}>
                {t("shortcuts.title")}
              </Menu.Item>
              <Menu.Divider />
              <Menu.Item onClick={signOut}>{t("signOut")}</Menu.Item>
            </Menu.Dropdown>
          </Menu>
        </div>
      </AppShell.Header>
      <AppShell.Navbar className={classes.navbar}>
        <Navigation pages={pages} path={path} narrow={narrow} setNarrow={setNarrow} />
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1} className={classes.main}>
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </AppShell.Main>
      <div className="n-hidden" role="status">
        {said}
      </div>
      <Late opened={searching}>{(opened) => <Palette opened={opened} close={search.close} project={project} showShortcuts={help.open} />}</Late>
      <Late opened={helping}>{(opened) => <ShortcutHelp opened={opened} close={help.close} pages={pages} />}</Late>
      <ScrollRestoration />
    </AppShell>
  );
}

/** What the page is called, for who cannot see that it changed; things are remembered for the palette. */
function useTitle(path: string): string {
  const [title, setTitle] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => {
      setTitle(document.title);
      const thing = thingOf(path, document.title);
      if (thing) remember(thing);
    }, SETTLED_MS);
    return () => clearTimeout(timer);
  }, [path]);
  return title;
}
