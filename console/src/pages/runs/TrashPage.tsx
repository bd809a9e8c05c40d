/** Runs and experiments that were deleted: brought back, or removed for good. */
import { ActionIcon, Button, Group, Text } from "@mantine/core";
import { IconRestore, IconTrashX } from "@tabler/icons-react";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { ago } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { tell, tellError } from "@/ui/notify";
import { Page } from "@/ui/Page";
import { Status } from "@/ui/Status";
import type { RunRecord } from "./facts";
import { useTrash } from "./run/RunPage";

export function TrashPage() {
  const { t, i18n } = useTranslation("runs");
  const project = useProject().name;
  const may = useMay("editor");
  const runs = useInfiniteQuery({
    queryKey: ["runs", project, "trash"],
    initialPageParam: null as string | null,
    queryFn: ({ pageParam }) =>
      ask(
        api.POST("/api/v1/projects/{project}/runs/search", {
          params: { path: { project } },
          body: { filter: "", order_by: [], view: "deleted", columns: [], limit: 500, cursor: pageParam, count: false },
        }),
      ),
    getNextPageParam: (page) => page.next ?? null,
  });
  const rows = runs.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Page
      title={t("trash.title")}
      crumbs={[{ label: t("title"), to: `/p/${project}/runs` }]}
      facts={<span>{t("trash.text")}</span>}
      cli={<Cli words={["nacre", "runs", "ls", "--deleted"]} />}
    >
      <Experiments project={project} />
      {runs.error ? (
        <Failure error={runs.error} retry={() => void runs.refetch()} />
      ) : runs.isPending ? (
        <Loading />
      ) : rows.length === 0 ? (
        <Empty title={t("trash.emptyTitle")} cli={["nacre", "runs", "delete", "RUN"]}>
          {t("trash.emptyText")}
        </Empty>
      ) : (
        <>
          <DataTable
            label={t("trash.runs")}
            rows={rows}
            id={(run) => run.id}
            to={(run) => `/p/${project}/runs/${run.id}`}
            columns={[
              { key: "name", label: t("table.name"), cell: (run) => run.name },
              { key: "state", label: t("attributes.state"), cell: (run) => <Status state={run.state} />, wide: true },
              { key: "experiment", label: t("attributes.experiment"), cell: (run) => run.experiment, wide: true },
              { key: "created", label: t("attributes.created"), cell: (run) => ago(run.started_at, i18n.language) },
              ...(may ? [{ key: "actions", label: t("common:actions"), cell: (run: RunRecord) => <Actions project={project} run={run} /> }] : []),
            ]}
          />
          {runs.hasNextPage && (
            <Button variant="default" w="fit-content" loading={runs.isFetchingNextPage} onClick={() => void runs.fetchNextPage()}>
              {t("common:showMore")}
            </Button>
          )}
        </>
      )}
    </Page>
  );
}

function Actions({ project, run }: { project: string; run: RunRecord }) {
  const { t } = useTranslation("runs");
  const trash = useTrash(project, run);
  return (
    <Group gap={2} wrap="nowrap">
      <ActionIcon onClick={trash.restore} aria-label={t("trash.restoreOf", { name: run.name })} title={t("trash.restore")}>
        <IconRestore size={16} />
      </ActionIcon>
      <ActionIcon onClick={() => void trash.purge()} aria-label={t("trash.purgeOf", { name: run.name })} title={t("trash.purge")}>
        <IconTrashX size={16} />
      </ActionIcon>
    </Group>
  );
}

function Experiments({ project }: { project: string }) {
  const { t } = useTranslation("runs");
  const may = useMay("editor");
  const client = useQueryClient();
  const found = useQuery({
    queryKey: ["experiments", project, "trash"],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/experiments", { params: { path: { project }, query: { deleted: true, limit: 500 } } })),
  });
  const restore = useMutation({
    mutationFn: (experiment: string) => ask(api.POST("/api/v1/projects/{project}/experiments/{experiment}/restore", { params: { path: { project, experiment } } })),
    onSuccess: async (experiment) => {
      await client.invalidateQueries({ queryKey: ["experiments", project] });
      await client.invalidateQueries({ queryKey: ["runs", project] });
      tell(t("trash.restored", { name: experiment.name }));
    },
    onError: tellError,
  });
  const items = found.data?.items ?? [];
  if (items.length === 0) return null;
  return (
    <section aria-label={t("trash.experiments")}>
      {items.map((one) => (
        <Group key={one.id} gap="sm">
          <Text size="sm">{t("trash.experiment", { name: one.name })}</Text>
          {may && (
            <Button variant="subtle" leftSection={<IconRestore size={14} />} onClick={() => restore.mutate(one.id)}>
              {t("trash.restore")}
            </Button>
          )}
        </Group>
      ))}
    </section>
  );
}
