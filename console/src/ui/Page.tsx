/** The frame of a page: where it is, what it is, how it is, what it cost and what can be done next. */
import { Anchor, Breadcrumbs, Group, Tabs, Title } from "@mantine/core";
import { type ReactNode, Suspense, useEffect, useRef } from "react";
import { Link } from "react-router";
import classes from "./Page.module.css";
import { Loading } from "./Loading";
import { useUrlState } from "./useUrlState";

export interface Crumb {
  label: string;
  to: string;
}

export interface Tab {
  value: string;
  label: string;
  /** Rendered only while its tab is open. */
  content: () => ReactNode;
}

interface Props {
  title: string;
  crumbs?: Crumb[];
  /** `<Status/>` of the thing. */
  status?: ReactNode;
  /** Facts in one line: cost so far, age, size. */
  facts?: ReactNode;
  /** The next actions, the most likely first. */
  actions?: ReactNode;
  /** `<Cli/>`: the commands that do the same. */
  cli?: ReactNode;
  tabs?: Tab[];
  /** What has to be read first, above the tabs: why it failed, what it waits for. */
  notice?: ReactNode;
  children?: ReactNode;
}

/** Every page is one of these. The open tab is `?tab=`; the first one is the default. */
export function Page({ title, crumbs = [], status, facts, actions, cli, tabs, notice, children }: Props) {
  const [tab, setTab] = useUrlState("tab", tabs?.[0]?.value ?? "", { push: true });
  useEffect(() => {
    document.title = `${title} · Nacre`;
  }, [title]);
  const open = tabs?.find((one) => one.value === tab) ?? tabs?.[0];
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On a phone the tabs scroll: the open one is in view.
    const [row, chosen] = [list.current, list.current?.querySelector<HTMLElement>("[aria-selected=true]")];
    if (row && chosen) row.scrollLeft = chosen.offsetLeft - (row.clientWidth - chosen.offsetWidth) / 2;
  }, [open?.value]);
  return (
    <div className={classes.page}>
      <header>
        {crumbs.length > 0 && (
          <Breadcrumbs separatorMargin={6} className={classes.crumbs}>
            {crumbs.map((crumb) => (
              <Anchor key={crumb.to} component={Link} to={crumb.to} size="sm">
                {crumb.label}
              </Anchor>
            ))}
          </Breadcrumbs>
        )}
        <Group gap="md" wrap="wrap" align="center">
          <Title order={1} className={classes.title}>
            {title}
          </Title>
          {status}
          {facts && <div className={classes.facts}>{facts}</div>}
          {actions && (
            <Group gap="sm" ml="auto" wrap="wrap" className={facts ? classes.actions : undefined}>
              {actions}
            </Group>
          )}
        </Group>
        {cli && (
          <Group gap="sm" wrap="wrap" mt={8}>
            {cli}
          </Group>
        )}
      </header>
      {notice}
      {tabs && open && (
        <Tabs value={open.value} onChange={(value) => value && setTab(value)} keepMounted={false}>
          <Tabs.List className={classes.tabs} ref={list}>
            {tabs.map((one) => (
              <Tabs.Tab key={one.value} value={one.value}>
                {one.label}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          <Tabs.Panel value={open.value} pt="lg">
            <Suspense fallback={<Loading />}>{open.content()}</Suspense>
          </Tabs.Panel>
        </Tabs>
      )}
      {children}
    </div>
  );
}
