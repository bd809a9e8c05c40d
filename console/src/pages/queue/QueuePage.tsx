/** Whose turn it is: what waits and why, what each project has of the machines, and what the machines do. */
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { NodeCard } from "@/pages/admin/NodeCard";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Page } from "@/ui/Page";
import { useUrlState } from "@/ui/useUrlState";
import classes from "./queue.module.css";
import { Shares } from "./Shares";
import { totals } from "./shares";
import { Waiting } from "./Waiting";

const EVERY_MS = 5_000;

const useNodes = () => useQuery({ queryKey: ["nodes"], queryFn: () => ask(api.GET("/api/v1/nodes")), refetchInterval: EVERY_MS });

export default function QueuePage() {
  const { t } = useTranslation("queue");
  const [tab] = useUrlState("tab", "queue");
  return (
    <Page
      title={t("title")}
      cli={<Cli words={tab === "machines" ? ["nacre", "node", "ls"] : ["nacre", "queue"]} />}
      tabs={[
        { value: "queue", label: t("tabs.queue"), content: () => <QueueTab /> },
        { value: "shares", label: t("tabs.shares"), content: () => <SharesTab /> },
        { value: "machines", label: t("tabs.machines"), content: () => <Machines /> },
      ]}
    />
  );
}

function QueueTab() {
  const queue = useQuery({ queryKey: ["queue", "all"], queryFn: () => ask(api.GET("/api/v1/queue")), refetchInterval: EVERY_MS });
  if (queue.error && !queue.data) return <Failure error={queue.error} retry={() => void queue.refetch()} />;
  if (!queue.data) return <Loading />;
  return <Waiting entries={queue.data.items} />;
}

function SharesTab() {
  const shares = useQuery({ queryKey: ["queue", "shares"], queryFn: () => ask(api.GET("/api/v1/queue/shares")), refetchInterval: EVERY_MS });
  const nodes = useNodes();
  if (shares.error && !shares.data) return <Failure error={shares.error} retry={() => void shares.refetch()} />;
  if (!shares.data) return <Loading />;
  return <Shares shares={shares.data.items} all={nodes.data ? totals(nodes.data.items) : null} />;
}

function Machines() {
  const { t } = useTranslation("queue");
  const nodes = useNodes();
  if (nodes.error && !nodes.data) return <Failure error={nodes.error} retry={() => void nodes.refetch()} />;
  if (!nodes.data) return <Loading />;
  return (
    <div className={classes.machines}>
      <h2 className="n-hidden">{t("tabs.machines")}</h2>
      {nodes.data.items.map((node) => (
        <NodeCard key={node.name} node={node} />
      ))}
    </div>
  );
}
