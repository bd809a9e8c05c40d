/** Runs side by side: what differs in what went in, who was best, their curves, and how params and metrics relate. */
import { Button } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { lazy, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { api, ask } from "@/api/client";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { colorsOf } from "@/ui/charts/colors";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Page } from "@/ui/Page";
import { useUrlList } from "@/ui/useUrlState";
import { ChartBar } from "../charts/ChartBar";
import { ChartGrid } from "../charts/ChartGrid";
import { useChartSettings } from "../charts/settings";
import { exportUrl } from "../exports";
import { MOST_DRAWN, type RunRecord, useRunIds, useRuns } from "../facts";
import classes from "./Compare.module.css";
import { SideBySide } from "./SideBySide";

const Relations = lazy(() => import("./Relations").then((it) => ({ default: it.Relations })));

export function ComparePage() {
  const { t } = useTranslation("runs");
  const project = useProject().name;
  const [references] = useUrlList("run");
  const { ids, error: unknown } = useRunIds(project, references.slice(0, MOST_DRAWN));
  const enough = ids.length > 1;
  const found = useQuery({
    queryKey: ["runs", project, "compare", ids],
    enabled: enough,
    queryFn: () => ask(api.POST("/api/v1/projects/{project}/runs/compare", { params: { path: { project } }, body: { runs: ids } })),
  });
  const { runs, loading } = useRuns(project, ids);
  const colors = useMemo(() => colorsOf(ids), [ids]);
  const wrong = unknown ?? found.error;
  const crumbs = [{ label: t("title"), to: `/p/${project}/runs` }];
  if (wrong) {
    return (
      <Page title={t("compare.title")} crumbs={crumbs}>
        <Failure error={wrong} retry={() => void found.refetch()} />
      </Page>
    );
  }
  if (references.length < 2 || (!enough && !loading && ids.length === references.length)) {
    return (
      <Page title={t("compare.title")} crumbs={crumbs}>
        <Empty
          title={t("compare.emptyTitle")}
          cli={["nacre", "runs", "compare", "A", "B"]}
          action={
            <Button component={Link} to={`/p/${project}/runs`}>
              {t("compare.choose")}
            </Button>
          }
        >
          {t("compare.emptyText")}
        </Empty>
      </Page>
    );
  }
  if (!found.data || loading) return <Loading />;
  const comparison = found.data;
  const link = (format: "csv" | "parquet", what: "runs" | "points") => exportUrl(project, { format, what, runs: ids });
  return (
    <Page
      title={t("compare.title")}
      crumbs={crumbs}
      facts={<span>{t("count", { count: ids.length })}</span>}
      actions={
        <>
          <Button component="a" href={link("csv", "runs")} download variant="default" leftSection={<IconDownload size={14} />}>
            {t("export.runs", { format: "CSV" })}
          </Button>
          <Button component="a" href={link("parquet", "points")} download variant="default" leftSection={<IconDownload size={14} />}>
            {t("export.points", { format: "Parquet" })}
          </Button>
        </>
      }
      cli={<Cli words={["nacre", "runs", "compare", ...ids.map((id) => id.slice(0, 8))]} />}
      tabs={[
        { value: "table", label: t("compare.table"), content: () => <SideBySide project={project} comparison={comparison} colors={colors} /> },
        { value: "charts", label: t("tabs.charts"), content: () => <Charts project={project} runs={runs} colors={colors} /> },
        { value: "relations", label: t("compare.relations"), content: () => <Relations project={project} runs={runs} colors={colors} /> },
      ]}
    />
  );
}

function Charts({ project, runs, colors }: { project: string; runs: RunRecord[]; colors: ReadonlyMap<string, string> }) {
  const [settings, change] = useChartSettings();
  const params = useMemo(() => [...new Set(runs.flatMap((run) => Object.keys(run.params ?? {})))].sort(), [runs]);
  return (
    <div className={classes.stack}>
      <ul className={classes.legend}>
        {runs.map((run) => (
          <li key={run.id}>
            <span className={classes.swatch} style={{ background: colors.get(run.id) }} aria-hidden />
            <Link to={`/p/${project}/runs/${run.id}`}>{run.name}</Link>
          </li>
        ))}
      </ul>
      <ChartBar settings={settings} change={change} params={params} />
      <ChartGrid project={project} runs={runs} colors={colors} settings={settings} change={change} />
    </div>
  );
}
