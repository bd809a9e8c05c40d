/** An instance: how it is, what it costs, when it stops by itself; its terminal and its log. */
import { Alert, Button, Group } from "@mantine/core";
import { IconAlertTriangle, IconClock, IconPlayerPlay, IconPlayerStop, IconTrash } from "@tabler/icons-react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate, useParams } from "react-router";
import { Problem } from "@/api/client";
import { useLiveThing } from "@/api/queries";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { Failure } from "@/ui/Failure";
import { money, price } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { LogView } from "@/ui/LogView";
import { tell, tellError } from "@/ui/notify";
import { Page, type Tab } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { useNow } from "@/ui/ticking";
import {
  clock,
  costNow,
  deleteInstance,
  getInstance,
  idleLeft,
  type Instance,
  instanceKey,
  isAllocated,
  isAtRest,
  isTensorBoard,
  listKey,
  startInstance,
  stopInstance,
  useMayOpen,
} from "./instance";
import classes from "./instances.module.css";
import { OpenButton } from "./OpenButton";
import { Overview } from "./Overview";
import { TerminalTab } from "./TerminalTab";

export default function InstancePage() {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const asked = useParams().instance!;
  const key = instanceKey(project, asked);
  const found = useQuery({ queryKey: key, queryFn: () => getInstance(project, asked) });
  const [gone, setGone] = useState(false);
  useLiveThing(key, found.data && !gone ? { topic: "instance", project, name: asked } : null, "instance");
  const crumbs = [{ label: t("title"), to: `/p/${project}/instances` }];
  if (found.error && (!found.data || (found.error instanceof Problem && found.error.status === 404))) {
    return (
      <Page title={asked} crumbs={crumbs}>
        <Failure error={found.error} retry={() => void found.refetch()} />
      </Page>
    );
  }
  if (!found.data) return <Loading />;
  return <Loaded instance={found.data} asOf={found.dataUpdatedAt} setGone={setGone} />;
}

function Loaded({ instance, asOf, setGone }: { instance: Instance; asOf: number; setGone: (gone: boolean) => void }) {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const mayOpen = useMayOpen(instance);
  const now = useNow(isAllocated(instance));
  const left = idleLeft(instance, asOf, now);
  const { name } = instance;
  const tabs: Tab[] = [{ value: "overview", label: t("tabs.overview"), content: () => <Overview instance={instance} /> }];
  if (!isTensorBoard(instance) && mayOpen) {
    tabs.push({ value: "terminal", label: t("tabs.terminal"), content: () => <TerminalTab instance={instance} /> });
  }
  tabs.push({
    value: "log",
    label: t("tabs.log"),
    content: () => <LogView project={project} source={{ kind: "instance", name }} live={!isAtRest(instance)} />,
  });
  return (
    <Page
      title={name}
      crumbs={[{ label: t("title"), to: `/p/${project}/instances` }]}
      status={<Status state={instance.state} title={instance.message} />}
      facts={
        <>
          <span>
            {isAllocated(instance)
              ? t("costSoFar", { cost: money(costNow(instance, asOf, now), instance.currency) })
              : t("cost", { cost: money(instance.cost, instance.currency) })}
          </span>
          <span>{t("common:perHour", { price: price(instance.price_per_hour, instance.currency) })}</span>
          {left !== null && (
            <span className={left < 300 ? classes.soon : undefined} title={t("idle.note")}>
              {left > 0 ? t("idle.left", { time: clock(left) }) : t("idle.now")}
            </span>
          )}
        </>
      }
      actions={<Actions instance={instance} setGone={setGone} />}
      cli={<Lines instance={instance} mayOpen={mayOpen} />}
      notice={<Why instance={instance} />}
      tabs={tabs}
    />
  );
}

function Lines({ instance, mayOpen }: { instance: Instance; mayOpen: boolean }) {
  const line = (verb: string) => <Cli key={verb} words={["nacre", "instance", verb, instance.name]} />;
  const lines: ReactNode[] = [];
  if (isAtRest(instance)) lines.push(line("start"));
  else if (instance.state !== "stopping") {
    if (mayOpen) lines.push(line("open"));
    lines.push(line("stop"));
  }
  return lines;
}

/** Why it failed or stopped, or what it waits for; above everything. */
function Why({ instance }: { instance: Instance }) {
  const { t } = useTranslation("instances");
  const { state, reason, message } = instance;
  if (!reason && !message) return null;
  const words = reason ? t(`reasons.${reason}`, { defaultValue: reason }) : "";
  if (state === "failed") {
    return (
      <Alert color="red" variant="outline" icon={<IconAlertTriangle size={16} />} title={words} role="alert">
        <span className={classes.message}>{message}</span>
      </Alert>
    );
  }
  if (reason === "stopped_by_user" && !message) return null;
  return (
    <Group gap="sm" wrap="nowrap" className={classes.notice} role="status">
      <IconClock size={16} aria-hidden />
      <span className={classes.message}>{message ?? words}</span>
    </Group>
  );
}

function Actions({ instance, setGone }: { instance: Instance; setGone: (gone: boolean) => void }) {
  const { t } = useTranslation("instances");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const mayOpen = useMayOpen(instance);
  const confirm = useConfirm();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [busy, setBusy] = useState("");
  if (!mayEdit) return null;
  const { name } = instance;
  const change = async (what: string, call: (project: string, name: string) => Promise<Instance>) => {
    setBusy(what);
    try {
      client.setQueryData(instanceKey(project, name), await call(project, name));
    } catch (error) {
      tellError(error);
    }
    setBusy("");
  };
  const stop = async () => {
    const lost = instance.temporary ? t("stop.lostTemporary") : isTensorBoard(instance) ? t("stop.lostTensorBoard") : t("stop.lost");
    const sure = instance.state === "queued" || (await confirm({ title: t("stop.title", { name }), lost, action: t("common:stop") }));
    if (sure) await change("stop", stopInstance);
  };
  const remove = async () => {
    const sure = await confirm({
      title: t("delete.title", { name }),
      lost: isTensorBoard(instance) ? t("delete.lostTensorBoard") : t("delete.lost"),
      action: t("common:delete"),
      ...(isTensorBoard(instance) ? {} : { typed: name }),
    });
    if (!sure) return;
    setBusy("delete");
    setGone(true);
    try {
      await deleteInstance(project, name);
      client.removeQueries({ queryKey: instanceKey(project, name) });
      void client.invalidateQueries({ queryKey: listKey(project) });
      tell(t("delete.done", { name }));
      await navigate(`/p/${project}/instances`);
    } catch (error) {
      setGone(false);
      setBusy("");
      tellError(error);
    }
  };
  return (
    <Group gap="sm">
      {isAtRest(instance) && (
        <>
          <Button leftSection={<IconPlayerPlay size={14} />} loading={busy === "start"} onClick={() => void change("start", startInstance)}>
            {t("common:start")}
          </Button>
          <Button variant="default" leftSection={<IconTrash size={14} />} loading={busy === "delete"} onClick={() => void remove()}>
            {t("common:delete")}
          </Button>
        </>
      )}
      {mayOpen && !isAtRest(instance) && instance.state !== "stopping" && <OpenButton instance={instance} primary={instance.state === "running"} />}
      {!isAtRest(instance) && instance.state !== "stopping" && (
        <Button variant="default" leftSection={<IconPlayerStop size={14} />} loading={busy === "stop"} onClick={() => void stop()}>
          {t("common:stop")}
        </Button>
      )}
    </Group>
  );
}
