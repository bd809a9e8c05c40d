/** One run: its charts, what went in and came out, its files. */
import { ActionIcon, Button, Menu } from "@mantine/core";
import { IconArrowsDiff, IconDots, IconPencil, IconRestore, IconTrash, IconTrashX } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { api, ask, type Schemas } from "@/api/client";
import { useLive } from "@/api/live";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { Failure } from "@/ui/Failure";
import { duration, money } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { tell, tellError } from "@/ui/notify";
import { Page } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { useNow } from "@/ui/ticking";
import { readRun, secondsOf } from "../facts";
import { RunCharts } from "../RunCharts";
import { RunResources } from "../system/RunResources";
import { isSystem } from "../system/system";
import { TensorBoardButton } from "../TensorBoard";
import { Artifacts } from "./Artifacts";
import { Overview } from "./Overview";
import { Rename } from "./Rename";

type Run = Schemas["Run"];

export function RunPage() {
  const { t } = useTranslation("runs");
  const project = useProject().name;
  const reference = useParams().run!;
  const client = useQueryClient();
  const key = ["run", project, reference];
  const found = useQuery({ queryKey: key, queryFn: () => readRun(project, reference) });
  const run = found.data;
  useLive(run ? { topic: "run", project, name: run.id, keys: [] } : null, (data) => {
    const head = data.run as Partial<Run> | undefined;
    if (head) client.setQueryData<Run>(key, (before) => (before ? { ...before, ...head, metrics: before.metrics ?? [] } : before));
  });
  const job = useJob(project, run?.job ?? null);
  const crumbs = [{ label: t("title"), to: `/p/${project}/runs` }];
  if (found.error) {
    return (
      <Page title={reference} crumbs={crumbs}>
        <Failure error={found.error} retry={() => void found.refetch()} />
      </Page>
    );
  }
  if (!run) return <Loading />;
  return (
    <Page
      title={run.name}
      crumbs={crumbs}
      status={<Status state={run.deleted_at ? "deleted" : run.state} />}
      facts={<Facts run={run} job={job} project={project} />}
      actions={<Actions run={run} project={project} />}
      cli={<Cli words={["nacre", "show", run.id.slice(0, 8)]} />}
      tabs={[
        { value: "charts", label: t("tabs.charts"), content: () => <RunCharts project={project} run={run.id} /> },
        ...(run.job || run.metrics?.some(({ key: metric }) => isSystem(metric))
          ? [{ value: "resources", label: t("tabs.resources"), content: () => <RunResources project={project} run={run.id} job={job} /> }]
          : []),
        { value: "overview", label: t("tabs.overview"), content: () => <Overview project={project} run={run} job={job} /> },
        { value: "artifacts", label: t("tabs.artifacts"), content: () => <Artifacts project={project} run={run} /> },
      ]}
    />
  );
}

function useJob(project: string, job: string | null): Schemas["Job"] | null {
  const found = useQuery({
    queryKey: ["job", project, job],
    enabled: job !== null,
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/jobs/{job}", { params: { path: { project, job: job! } } })),
    refetchInterval: (query) => (query.state.data && query.state.data.ended_at === null ? 15_000 : false),
  });
  return found.data ?? null;
}

function Facts({ run, job, project }: { run: Run; job: Schemas["Job"] | null; project: string }) {
  const { t } = useTranslation("runs");
  const now = useNow(run.state === "running");
  return (
    <>
      {run.job && (
        <span>
          {t("facts.job")} <Link to={`/p/${project}/jobs/${run.job}`}>{run.job}</Link>
        </span>
      )}
      {job && <span>{t("facts.cost", { cost: money(job.cost, job.currency) })}</span>}
      <span>{duration(secondsOf(run, now))}</span>
      <Moment iso={run.started_at ?? run.created_at} />
      <Link to={`/p/${project}/runs?experiment=${encodeURIComponent(run.experiment)}`}>{run.experiment}</Link>
      {run.user && <span>{run.user}</span>}
    </>
  );
}

function Actions({ run, project }: { run: Run; project: string }) {
  const { t } = useTranslation("runs");
  const may = useMay("editor");
  const [renaming, setRenaming] = useState(false);
  const trash = useTrash(project, run);
  if (run.deleted_at) {
    return (
      <>
        {may && (
          <>
            <Button variant="default" leftSection={<IconRestore size={14} />} onClick={() => trash.restore()}>
              {t("trash.restore")}
            </Button>
            <Button variant="default" color="red" leftSection={<IconTrashX size={14} />} onClick={() => void trash.purge()}>
              {t("trash.purge")}
            </Button>
          </>
        )}
      </>
    );
  }
  return (
    <>
      <Button component={Link} to={`/p/${project}/runs?run=${run.id}`} variant="default" leftSection={<IconArrowsDiff size={14} />}>
        {t("compare.among")}
      </Button>
      <TensorBoardButton project={project} runs={[run.id]} />
      {may && (
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="default" aria-label={t("common:actions")}>
              <IconDots size={16} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item leftSection={<IconPencil size={14} />} onClick={() => setRenaming(true)}>
              {t("rename.title")}
            </Menu.Item>
            <Menu.Item color="red" leftSection={<IconTrash size={14} />} onClick={() => void trash.put()}>
              {t("trash.put")}
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      )}
      <Rename project={project} run={run} opened={renaming} close={() => setRenaming(false)} />
    </>
  );
}

/** Into the trash, out of it, and away for good. */
export function useTrash(project: string, run: Pick<Run, "id" | "name">) {
  const { t } = useTranslation("runs");
  const confirm = useConfirm();
  const client = useQueryClient();
  const navigate = useNavigate();
  const params = { path: { project, run: run.id } };
  const changed = async () => {
    await client.invalidateQueries({ queryKey: ["run", project] });
    await client.invalidateQueries({ queryKey: ["runs", project] });
  };
  const put = useMutation({
    mutationFn: () => ask(api.DELETE("/api/v1/projects/{project}/runs/{run}", { params })),
    onSuccess: async () => {
      await changed();
      tell(t("trash.done", { name: run.name }));
    },
    onError: tellError,
  });
  const restore = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/projects/{project}/runs/{run}/restore", { params })),
    onSuccess: async () => {
      await changed();
      tell(t("trash.restored", { name: run.name }));
    },
    onError: tellError,
  });
  const purge = useMutation({
    mutationFn: () => ask(api.POST("/api/v1/projects/{project}/runs/{run}/purge", { params })),
    onSuccess: async () => {
      await navigate(`/p/${project}/runs/trash`);
      await client.invalidateQueries({ queryKey: ["runs", project] });
    },
    onError: tellError,
  });
  return {
    put: async () => {
      const question = { title: t("trash.putTitle", { name: run.name }), lost: t("trash.putLost"), action: t("trash.put") };
      if (await confirm(question)) put.mutate();
    },
    restore: () => restore.mutate(),
    purge: async () => {
      const question = { title: t("trash.purgeTitle", { name: run.name }), lost: t("trash.purgeLost"), action: t("trash.purge"), typed: run.name };
      if (await confirm(question)) purge.mutate();
    },
  };
}
