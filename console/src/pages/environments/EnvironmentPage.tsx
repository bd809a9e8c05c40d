/** An environment: what was asked for, what it was locked to, how it was built, and what uses it. */
import { ActionIcon, Alert, Button, Group, Menu } from "@mantine/core";
import { IconAlertTriangle, IconArrowUp, IconCopy, IconDots, IconHammer, IconPlayerPlay, IconRefresh, IconTrash } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { Problem } from "@/api/client";
import { useLiveThing } from "@/api/queries";
import { useMay, useProject } from "@/app/project";
import { useUser } from "@/app/session";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { Failure } from "@/ui/Failure";
import { bytes, duration } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { LogView } from "@/ui/LogView";
import { tell, tellError } from "@/ui/notify";
import { Page, type Tab } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { useUrlState } from "@/ui/useUrlState";
import { buildEnvironment, deleteEnvironment, type Environment, environmentKey, getEnvironment, isWorking, listKey, usesOf } from "./environment";
import classes from "./environments.module.css";
import { LockTab } from "./LockTab";
import { Overview } from "./Overview";
import { UsesTab } from "./UsesTab";

export default function EnvironmentPage() {
  const { t } = useTranslation("environments");
  const { name: project } = useProject();
  const asked = useParams().environment!;
  const key = environmentKey(project, asked);
  const found = useQuery({ queryKey: key, queryFn: () => getEnvironment(project, asked) });
  const [gone, setGone] = useState(false);
  useLiveThing(key, found.data && !gone ? { topic: "environment", project, name: asked } : null, "environment");
  const crumbs = [{ label: t("title"), to: `/p/${project}/environments` }];
  if (found.error && (!found.data || (found.error instanceof Problem && found.error.status === 404))) {
    return (
      <Page title={asked} crumbs={crumbs}>
        <Failure error={found.error} retry={() => void found.refetch()} />
      </Page>
    );
  }
  if (!found.data) return <Loading />;
  return <Loaded environment={found.data} setGone={setGone} />;
}

function Loaded({ environment, setGone }: { environment: Environment; setGone: (gone: boolean) => void }) {
  const { t } = useTranslation("environments");
  const { name: project } = useProject();
  const { name } = environment;
  const tabs: Tab[] = [
    { value: "overview", label: t("tabs.overview"), content: () => <Overview environment={environment} /> },
    {
      value: "log",
      label: t("tabs.log"),
      content: () => <LogView project={project} source={{ kind: "environment", name }} live={isWorking(environment) || environment.state === "pending"} />,
    },
    { value: "lock", label: t("tabs.lock"), content: () => <LockTab environment={environment} /> },
    { value: "uses", label: t("tabs.uses"), content: () => <UsesTab environment={environment} /> },
  ];
  return (
    <Page
      title={name}
      crumbs={[{ label: t("title"), to: `/p/${project}/environments` }]}
      status={<Status state={environment.state} title={environment.message} word={environment.state === "pending" ? t("notBuilt") : undefined} />}
      facts={
        <>
          <span>{environment.catalogue ? t("ofCatalogue") : t("ofProject")}</span>
          {environment.python && <span>Python {environment.python}</span>}
          {typeof environment.size === "number" && <span>{bytes(environment.size)}</span>}
          {typeof environment.build_seconds === "number" && <span>{t("builtIn", { time: duration(environment.build_seconds) })}</span>}
        </>
      }
      actions={<Actions environment={environment} setGone={setGone} />}
      cli={
        <>
          {environment.state === "ready" ? <Cli words={["nacre", "run", "--environment", name, "train.py"]} /> : <Cli words={["nacre", "env", "build", name]} />}
          {isWorking(environment) && <Cli words={["nacre", "env", "logs", "-f", name]} />}
        </>
      }
      notice={<Why environment={environment} />}
      tabs={tabs}
    />
  );
}

/** Why it failed, in the resolver's own words. */
function Why({ environment }: { environment: Environment }) {
  const { t } = useTranslation("environments");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const { state, reason, message } = environment;
  const [tab, setTab] = useUrlState("tab", "overview", { push: true });
  if (!message || (state !== "failed" && reason !== "upgrade_failed")) return null;
  const failed = state === "failed";
  return (
    <Alert
      color={failed ? "red" : "yellow"}
      variant="outline"
      icon={<IconAlertTriangle size={16} />}
      title={failed ? t("failed.title") : t("failed.upgrade")}
      role={failed ? "alert" : "status"}
    >
      <pre className={classes.message}>{message}</pre>
      <Group gap="sm" mt="sm">
        <span className="n-soft">{environment.catalogue ? t("failed.catalogue") : t("failed.own")}</span>
        {mayEdit && failed && !environment.catalogue && (
          <Button component={Link} to={`/p/${project}/environments/new?from=${encodeURIComponent(environment.name)}`} variant="default">
            {t("failed.another")}
          </Button>
        )}
        {tab !== "log" && (
          <Button variant="default" onClick={() => setTab("log")}>
            {t("failed.log")}
          </Button>
        )}
      </Group>
    </Alert>
  );
}

function Actions({ environment, setGone }: { environment: Environment; setGone: (gone: boolean) => void }) {
  const { t } = useTranslation("environments");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const isAdmin = useUser().admin;
  const confirm = useConfirm();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [, setTab] = useUrlState("tab", "overview", { push: true });
  const [busy, setBusy] = useState("");
  if (!mayEdit) return null;
  const { name, state } = environment;
  const query = `environment=${encodeURIComponent(name)}`;
  const build = async (upgrade: boolean) => {
    setBusy(upgrade ? "upgrade" : "build");
    try {
      client.setQueryData(environmentKey(project, name), await buildEnvironment(project, name, upgrade));
      setTab("log");
    } catch (error) {
      tellError(error);
    }
    setBusy("");
  };
  const upgrade = async () => {
    const sure = await confirm({ title: t("upgrade.title", { name }), lost: t("upgrade.lost"), action: t("upgrade.action") });
    if (sure) await build(true);
  };
  const remove = async () => {
    const uses = await usesOf(project, name).catch(() => null);
    const count = uses ? uses.job_count + uses.instance_count : 0;
    const lost = count ? t("delete.lostUsed", { count }) : t("delete.lost");
    if (!(await confirm({ title: t("delete.title", { name }), lost, action: t("common:delete") }))) return;
    setBusy("delete");
    setGone(true);
    try {
      await deleteEnvironment(project, name);
      client.removeQueries({ queryKey: environmentKey(project, name) });
      void client.invalidateQueries({ queryKey: listKey(project) });
      tell(t("delete.done", { name }));
      await navigate(`/p/${project}/environments`);
    } catch (error) {
      setGone(false);
      setBusy("");
      tellError(error);
    }
  };
  const mayUpgrade = state === "ready" && (!environment.catalogue || isAdmin);
  return (
    <Group gap="sm">
      {state === "ready" && (
        <>
          <Button component={Link} to={`/p/${project}/instances/new?${query}`} leftSection={<IconPlayerPlay size={14} />}>
            {t("startInstance")}
          </Button>
          <Button component={Link} to={`/p/${project}/jobs/new?${query}`} variant="default">
            {t("newJob")}
          </Button>
        </>
      )}
      {(state === "pending" || state === "failed") && (
        <Button leftSection={state === "failed" ? <IconRefresh size={14} /> : <IconHammer size={14} />} loading={busy === "build"} onClick={() => void build(false)}>
          {state === "failed" ? t("buildAgain") : t("build")}
        </Button>
      )}
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon variant="default" size={30} aria-label={t("common:more")} loading={busy === "delete" || busy === "upgrade"}>
            <IconDots size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item component={Link} to={`/p/${project}/environments/new?from=${encodeURIComponent(name)}`} leftSection={<IconCopy size={14} />}>
            {t("alike")}
          </Menu.Item>
          {mayUpgrade && (
            <Menu.Item leftSection={<IconArrowUp size={14} />} onClick={() => void upgrade()}>
              {t("upgrade.button")}
            </Menu.Item>
          )}
          {!environment.catalogue && (
            <Menu.Item color="red" leftSection={<IconTrash size={14} />} onClick={() => void remove()}>
              {t("common:delete")}
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
}
