/** How the server is, and what its machines do. */
import { Group, Stack, Title } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { duration } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Status } from "@/ui/Status";
import classes from "./Server.module.css";
import { NodeCard } from "./NodeCard";

const EVERY_MS = 5_000;

export function Server() {
  const { t } = useTranslation("admin");
  const status = useQuery({
    queryKey: ["server", "status"],
    queryFn: () => ask(api.GET("/api/v1/status")),
    refetchInterval: EVERY_MS,
  });
  const nodes = useQuery({
    queryKey: ["server", "nodes"],
    queryFn: () => ask(api.GET("/api/v1/nodes")),
    refetchInterval: EVERY_MS,
  });
  const error = status.error ?? nodes.error;
  if (error && !(status.data && nodes.data)) {
    return (
      <Failure
        error={error}
        retry={() => {
          void status.refetch();
          void nodes.refetch();
        }}
      />
    );
  }
  if (!status.data || !nodes.data) return <Loading />;
  const is = status.data;
  const facts: [string, ReactNode][] = [
    [t("server.version"), is.version],
    [t("server.uptime"), duration(is.uptime_s)],
    [t("server.database"), is.database],
    [t("server.isolation"), t(`isolation.${is.isolation}`, { defaultValue: is.isolation })],
    [t("server.modelServer"), <Status key="state" state={is.model_server} />],
    [t("server.jobs"), t("server.jobsValue", { running: is.jobs_running, queued: is.jobs_queued })],
    [t("server.instances"), is.instances_running],
    [t("server.endpoints"), is.endpoints],
  ];
  return (
    <Stack gap="lg">
      <dl className={classes.facts}>
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Title order={2}>{t("nodes.title")}</Title>
      {nodes.data.items.map((node) => (
        <NodeCard key={node.name} node={node} />
      ))}
      <Group gap="sm">
        <Cli words={["nacre", "status"]} />
        <Cli words={["nacre", "node", "ls"]} />
      </Group>
    </Stack>
  );
}
