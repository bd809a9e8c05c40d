/** A job: how it goes, its log, its curves, and everything that is needed to do it again. */
import { Anchor, Button, Group } from "@mantine/core";
import { IconPlayerStop, IconRefresh, IconTrash } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router";
import { api, ask } from "@/api/client";
import { useLiveThing } from "@/api/queries";
import { useMay, useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { useConfirm } from "@/ui/confirm";
import { Failure } from "@/ui/Failure";
import { duration, money, price } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { tell, tellError } from "@/ui/notify";
import { Page, type Tab } from "@/ui/Page";
import { Status } from "@/ui/Status";
import { useNow } from "@/ui/ticking";
import { costNow, getJob, hasEnded, type Job, jobKey, ranFor, replicasOf } from "./job";
import { JobNotice } from "./JobNotice";
import { JobRecord } from "./JobRecord";
import { JobTimeline } from "./JobTimeline";
import { LogTab } from "./LogTab";
import { StopDialog } from "./StopDialog";

const JobYaml = lazy(() => import("./JobYaml"));
const Resources = lazy(() => import("@/pages/runs/system/RunResources").then((found) => ({ default: found.RunResources })));
const RunCharts = lazy(() => import("@/pages/runs/RunCharts").then((found) => ({ default: found.RunCharts })));

export default function JobPage() {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const asked = useParams().job!;
  const key = jobKey(project, asked);
  const job = useQuery({ queryKey: key, queryFn: () => getJob(project, asked) });
  useLiveThing(key, job.data ? { topic: "job", project, name: asked } : null, "job");
  if (!job.data) {
    return (
      <Page title={asked} crumbs={[{ label: t("title"), to: `/p/${project}/jobs` }]}>
        {job.error ? <Failure error={job.error} retry={() => void job.refetch()} /> : <Loading />}
      </Page>
    );
  }
  return <Loaded job={job.data} asOf={job.dataUpdatedAt} />;
}

function Loaded({ job, asOf }: { job: Job; asOf: number }) {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const ended = hasEnded(job);
  const now = useNow(!ended);
  const ran = ranFor(job, now);
  const tabs: Tab[] = [
    { value: "log", label: t("tabs.log"), content: () => <LogTab job={job} /> },
    {
      value: "curves",
      label: t("tabs.curves"),
      content: () => (
        <Suspense fallback={<Loading />}>
          <RunCharts project={project} run={job.run} />
        </Suspense>
      ),
    },
    {
      value: "resources",
      label: t("tabs.resources"),
      content: () => (
        <Suspense fallback={<Loading />}>
          <Resources project={project} run={job.run} job={job} />
        </Suspense>
      ),
    },
    { value: "timeline", label: t("tabs.timeline"), content: () => <JobTimeline job={job} now={now} /> },
    { value: "record", label: t("tabs.record"), content: () => <JobRecord job={job} /> },
    { value: "yaml", label: "YAML", content: () => <JobYaml job={job} /> },
  ];
  return (
    <Page
      title={job.name}
      crumbs={[{ label: t("title"), to: `/p/${project}/jobs` }]}
      status={<Status state={job.state} title={job.message} />}
      facts={
        <>
          {ran !== null && <span>{t("ran", { time: duration(ran) })}</span>}
          <span title={t("priceNote")}>
            {ended ? t("cost", { cost: money(job.cost, job.currency) }) : t("costSoFar", { cost: money(costNow(job, asOf, now), job.currency) })}
          </span>
          {!ended && <span>{t("common:perHour", { price: price(job.price_per_hour, job.currency) })}</span>}
          {replicasOf(job.spec) && <span>{t("replicas", { replicas: replicasOf(job.spec)!.replace("..", "–") })}</span>}
          {job.exit_code !== null && job.exit_code !== undefined && <span>{t("exitCode", { code: job.exit_code })}</span>}
          <Anchor component={Link} size="sm" to={`/p/${project}/runs/${job.run}`}>
            {t("run")}
          </Anchor>
          <Anchor component={Link} size="sm" to={`/p/${project}/runs/${job.run}?tab=artifacts`}>
            {t("artifacts")}
          </Anchor>
        </>
      }
      actions={<Actions job={job} />}
      cli={
        <>
          <Cli words={ended ? ["nacre", "logs", job.name] : ["nacre", "logs", "-f", job.name]} />
          {job.kind === "task" && ended && <Cli words={["nacre", "run", "--like", job.name]} />}
          {!ended && <Cli words={["nacre", "stop", job.name]} />}
        </>
      }
      notice={<JobNotice job={job} now={now} />}
      tabs={tabs}
    />
  );
}

function Actions({ job }: { job: Job }) {
  const { t } = useTranslation("jobs");
  const { name: project } = useProject();
  const mayEdit = useMay("editor");
  const confirm = useConfirm();
  const navigate = useNavigate();
  const [stopping, setStopping] = useState(false);
  if (!mayEdit) return null;
  const path = { params: { path: { project, job: job.name } } };
  const live = !hasEnded(job) && job.state !== "stopping";
  const remove = async () => {
    const sure = await confirm({ title: t("delete.title", { name: job.name }), lost: t("delete.lost"), action: t("common:delete") });
    if (!sure) return;
    try {
      await ask(api.DELETE("/api/v1/projects/{project}/jobs/{job}", path));
      tell(t("delete.done", { name: job.name }));
      await navigate(`/p/${project}/jobs`);
    } catch (error) {
      tellError(error);
    }
  };
  return (
    <Group gap="sm">
      {live && (
        <Button variant="default" leftSection={<IconPlayerStop size={14} />} onClick={() => setStopping(true)}>
          {t("common:stop")}
        </Button>
      )}
      <StopDialog job={job} opened={stopping && live} close={() => setStopping(false)} />
      {job.kind === "task" && (
        <Button variant={hasEnded(job) ? "filled" : "default"} component={Link} to={`/p/${project}/jobs/new?like=${encodeURIComponent(job.name)}`} leftSection={<IconRefresh size={14} />}>
          {t("runAgain")}
        </Button>
      )}
      {hasEnded(job) && (
        <Button variant="default" leftSection={<IconTrash size={14} />} onClick={() => void remove()}>
          {t("common:delete")}
        </Button>
      )}
    </Group>
  );
}
