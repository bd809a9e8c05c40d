/** TensorBoard of some runs: an instance of its own, made or found, then a link that opens it. */
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { IconChartAreaLine, IconExternalLink } from "@tabler/icons-react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { api, ask } from "@/api/client";
import { useMay } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { Status } from "@/ui/Status";

interface Props {
  project: string;
  /** Ids or names. */
  runs: string[];
}

export function TensorBoardButton({ project, runs }: Props) {
  const { t } = useTranslation("runs");
  const may = useMay("editor");
  const [open, setOpen] = useState(false);
  if (!may || runs.length === 0) return null;
  return (
    <>
      <Button variant="default" leftSection={<IconChartAreaLine size={14} />} onClick={() => setOpen(true)}>
        TensorBoard
      </Button>
      <Modal opened={open} onClose={() => setOpen(false)} title={t("tensorboard.title")} closeButtonProps={{ "aria-label": t("common:close") }}>
        <Board project={project} runs={runs} />
      </Modal>
    </>
  );
}

function Board({ project, runs }: Props) {
  const { t } = useTranslation("runs");
  const create = useMutation({
    mutationFn: () =>
      ask(
        api.POST("/api/v1/projects/{project}/instances", {
          params: { path: { project } },
          body: { app: "tensorboard", type: "cpu.small", environment: "base", data: {}, runs, secrets: [], start: true, temporary: true },
        }),
      ),
  });
  const name = create.data?.name;
  const instance = useQuery({
    queryKey: ["instance", project, name],
    enabled: name !== undefined,
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/instances/{instance}", { params: { path: { project, instance: name! } } })),
    refetchInterval: (query) => (query.state.data?.state === "running" ? false : 1000),
  });
  const state = instance.data?.state ?? create.data?.state;
  const link = useQuery({
    queryKey: ["instance-url", project, name],
    enabled: state === "running",
    queryFn: () => ask(api.POST("/api/v1/projects/{project}/instances/{instance}/open", { params: { path: { project, instance: name! } } })),
    refetchInterval: 50_000, // a link is good for a minute
    gcTime: 0,
  });
  const error = create.error ?? instance.error ?? link.error;
  return (
    <Stack gap="md">
      <Text size="sm">{t("tensorboard.text", { count: runs.length })}</Text>
      <Cli words={["nacre", "tensorboard", ...runs.map((run) => run.slice(0, 12))]} />
      {error && <Failure error={error} />}
      {instance.data?.message && <Text size="sm">{instance.data.message}</Text>}
      <Group justify="space-between">
        {state ? (
          <Link to={`/p/${project}/instances/${name!}`}>
            <Status state={state} />
          </Link>
        ) : (
          <span />
        )}
        {link.data ? (
          <Button component="a" href={link.data.url} target="_blank" rel="noopener" leftSection={<IconExternalLink size={14} />} onClick={() => setTimeout(() => void link.refetch(), 1000)}>
            {t("tensorboard.open")}
          </Button>
        ) : (
          <Button onClick={() => create.mutate()} loading={create.isPending || (name !== undefined && !error && state !== "failed")}>
            {t("tensorboard.start")}
          </Button>
        )}
      </Group>
    </Stack>
  );
}
