/** The shell: navigation by the eight steps, the project in use, search, and how live the page is. */
import { ActionIcon, AppShell, Burger, Group, Kbd, Menu, NavLink, ScrollArea, Text, UnstyledButton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconSearch, IconUser } from "@tabler/icons-react";
import { Suspense, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, Outlet, useLocation } from "react-router";
import { Loading } from "@/ui/Loading";
import { LiveMark } from "./LiveMark";
import { Palette } from "./Palette";
import { ProjectSwitch, useCurrentProject } from "./ProjectSwitch";
import { accountPages, projectPages } from "./pages";
import { Preferences } from "./Preferences";
import { useUser } from "./session";
import { useSignOut } from "./useSignOut";

export function Layout() {
  const { t } = useTranslation("nav");
  const [opened, { toggle, close }] = useDisclosure();
  const [searching, setSearching] = useState(false);
  const user = useUser();
  const signOut = useSignOut();
  const place = useLocation();
  const project = useCurrentProject();

  useEffect(close, [place.pathname, close]);
  useEffect(() => {
    const hear = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setSearching(true);
      }
    };
    window.addEventListener("keydown", hear);
    return () => window.removeEventListener("keydown", hear);
  }, []);

  return (
    <AppShell
      header={{ height: 48 }}
      navbar={{ width: 208, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding={{ base: "md", sm: "xl" }}
    >
      <a href="#main" className="n-hidden">
        {t("skip")}
      </a>
      <AppShell.Header>
        <Group h="100%" px="md" gap="md" wrap="nowrap">
          <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t("menu")} />
          <UnstyledButton component={Link} to="/" aria-label={t("home")}>
            <Text fw={700} size="md">
              Nacre
            </Text>
          </UnstyledButton>
          <ProjectSwitch />
          <Group gap="sm" ml="auto" wrap="nowrap">
            <LiveMark />
            <UnstyledButton onClick={() => setSearching(true)} aria-label={t("search")} visibleFrom="sm">
              <Group gap={6} wrap="nowrap">
                <IconSearch size={14} />
                <Kbd size="xs">{t("searchKey")}</Kbd>
              </Group>
            </UnstyledButton>
            <ActionIcon hiddenFrom="sm" onClick={() => setSearching(true)} aria-label={t("search")}>
              <IconSearch size={16} />
            </ActionIcon>
            <Preferences />
            <Menu position="bottom-end">
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
                <Menu.Divider />
                <Menu.Item onClick={signOut}>{t("signOut")}</Menu.Item>
              </Menu.Dropdown>
            </Menu>
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="sm">
        <ScrollArea>
          <nav aria-label={t("pages")}>
            {projectPages(project).map((page) => (
              <NavLink
                key={page.key}
                component={Link}
                to={page.to}
                label={t(page.key)}
                leftSection={<page.icon size={16} />}
                active={page.to === "/" ? place.pathname === "/" : place.pathname.startsWith(page.to)}
                aria-current={place.pathname.startsWith(page.to) && page.to !== "/" ? "page" : undefined}
              />
            ))}
          </nav>
        </ScrollArea>
      </AppShell.Navbar>
      <AppShell.Main id="main">
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </AppShell.Main>
      <Palette opened={searching} close={() => setSearching(false)} />
    </AppShell>
  );
}
