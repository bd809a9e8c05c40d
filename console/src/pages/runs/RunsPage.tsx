/** The project's runs: a table beside the charts of those that are checked in it. */
import { Button, Menu, MultiSelect, SegmentedControl } from "@mantine/core";
import { useMediaQuery } from "@mantine/hooks";
import { IconArrowsDiff, IconDownload, IconTrash } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useSearchParams } from "react-router";
import { api, ask, Problem } from "@/api/client";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { colorsOf } from "@/ui/charts/colors";
import { preload } from "@/ui/charts/LineChart";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Page } from "@/ui/Page";
import { useUrlList, useUrlState } from "@/ui/useUrlState";
import { ChartBar } from "./charts/ChartBar";
import { ChartGrid } from "./charts/ChartGrid";
import { useChartSettings } from "./charts/settings";
import { exportUrl } from "./exports";
import { MOST_DRAWN, useRunIds, useRuns } from "./facts";
import classes from "./RunsPage.module.css";
import { Split } from "./Split";
import { ColumnPicker } from "./table/ColumnPicker";
import {
  ATTRIBUTES, filterOf, orderBy, parseColumns, parseOrder, type RunColumn, usualColumns, wantedColumns, writeColumn, writeOrder,
} from "./table/columns";
import { FilterBox } from "./table/FilterBox";
import { RunTable } from "./table/RunTable";
import { useRows } from "./table/useRows";
import { TensorBoardButton } from "./TensorBoard";
import { ViewsMenu } from "./ViewsMenu";

preload();

/** Drawn before anybody chose. */
const DRAWN_FIRST = 10;
/** In the address: nothing is drawn. */
const NONE = "-";

type Layout = "split" | "table" | "charts";

export function RunsPage() {
  const { t } = useTranslation("runs");
  const project = useProject().name;
  const narrow = useMediaQuery("(max-width: 767px)", undefined, { getInitialValueInEffect: false }) ?? false;
  const [filter, setFilter] = useUrlState("filter");
  const [sort, setSort] = useUrlState("sort");
  const [experiments, setExperiments] = useUrlList("experiment");
  const [layout, setLayout] = useUrlState("layout", narrow ? "charts" : "split");
  const { columns, names, known, setColumns, ready } = useColumns(project, experiments);
  const order = parseOrder(sort);
  const rows = useRows({ project, filter: filterOf(filter), order: orderBy(order), experiments, columns: wantedColumns(columns), ready });
  const drawn = useDrawn(project, useMemo(() => rows.rows.slice(0, DRAWN_FIRST).map((run) => run.id), [rows.rows]));
  const shown: Layout = layout === "table" || layout === "charts" ? layout : narrow ? "charts" : "split";
  const refused = rows.error instanceof Problem && rows.error.status === 422;
  const move = (moved: string, to: string) => {
    const place = columns.findIndex((one) => one.id === to);
    const column = columns.find((one) => one.id === moved);
    if (!column || place < 0) return;
    const rest = columns.filter((one) => one !== column);
    rest.splice(place, 0, { ...column, pinned: columns[place]!.pinned });
    setColumns(rest);
  };

  if (!ready || (rows.loading && !rows.error)) return <Loading />;
  const untouched = !filter && experiments.length === 0;
  if (untouched && rows.total === 0 && !rows.error) return <NoRuns />;
  const table = (
    <RunTable
      project={project}
      rows={rows}
      columns={columns}
      drawn={drawn.colors}
      onDraw={drawn.draw}
      order={order}
      onOrder={(one) => setSort(writeOrder(one))}
      onMove={move}
    />
  );
  const charts = <ChartPane project={project} drawn={drawn} />;
  return (
    <Page
      title={t("title")}
      facts={<span>{t("count", { count: rows.total })}</span>}
      actions={
        <>
          {drawn.ids.length > 1 && (
            <Button component={Link} to={`/p/${project}/runs/compare?${drawn.ids.map((id) => `run=${id}`).join("&")}`} variant="default" leftSection={<IconArrowsDiff size={14} />}>
              {t("compare.count", { count: drawn.ids.length })}
            </Button>
          )}
          <TensorBoardButton project={project} runs={drawn.ids} />
          <ExportMenu project={project} filter={filterOf(filter)} order={orderBy(order)} experiments={experiments} />
          <ViewsMenu project={project} page="runs" />
          <Button component={Link} to={`/p/${project}/runs/trash`} variant="subtle" color="gray" leftSection={<IconTrash size={14} />}>
            {t("trash.title")}
          </Button>
        </>
      }
      cli={<Cli words={commandOf(filterOf(filter), orderBy(order), experiments)} />}
    >
      <div className={classes.tools}>
        <FilterBox value={filter} onChange={setFilter} names={names} error={rows.error} />
        <ExperimentSelect project={project} value={experiments} onChange={setExperiments} />
        <ColumnPicker columns={columns} onChange={setColumns} known={known} onReset={() => setColumns(null)} />
        <SegmentedControl
          aria-label={t("layout.title")}
          value={shown}
          onChange={setLayout}
          data={(narrow ? ["charts", "table"] : ["split", "table", "charts"]).map((value) => ({ value, label: t(`layout.${value}`) }))}
        />
      </div>
      {rows.error !== null && !refused ? (
        <Failure error={rows.error} retry={rows.retry} />
      ) : shown === "split" ? (
        <Split left={table} right={charts} />
      ) : shown === "table" ? (
        <div className={classes.alone}>{table}</div>
      ) : (
        charts
      )}
    </Page>
  );
}

function ChartPane({ project, drawn }: { project: string; drawn: Drawn }) {
  const { t } = useTranslation("runs");
  const [settings, change] = useChartSettings();
  const { runs, loading, error } = useRuns(project, drawn.ids);
  const params = useMemo(() => [...new Set(runs.flatMap((run) => Object.keys(run.params ?? {})))].sort(), [runs]);
  return (
    <div className={classes.charts}>
      <ChartBar settings={settings} change={change} params={params} />
      <div className={classes.scroll}>
        {drawn.ids.length === 0 ? (
          <Empty title={t("charts.nothingTitle")}>{t("charts.nothingText")}</Empty>
        ) : error && runs.length === 0 ? (
          <Failure error={error} />
        ) : loading ? (
          <Loading />
        ) : (
          <ChartGrid project={project} runs={runs} colors={drawn.colors} settings={settings} change={change} />
        )}
      </div>
    </div>
  );
}

interface Drawn {
  ids: string[];
  colors: ReadonlyMap<string, string>;
  draw: (id: string, draw: boolean) => void;
}

/** Which runs are drawn: `?run=`, or the first rows; and their colours, which stay as others come and go. */
function useDrawn(project: string, first: string[]): Drawn {
  const [chosen, setChosen] = useUrlList("run");
  // What was checked is shown at once; the address follows.
  const written = chosen.join(" ");
  const [soon, setSoon] = useState<{ after: string; chosen: string[] } | null>(null);
  const wanted = (soon?.after === written ? soon.chosen : chosen).join(" ");
  const { ids: named } = useRunIds(project, useMemo(() => wanted.split(" ").filter((one) => one && one !== NONE), [wanted]));
  const key = (wanted ? named : first).slice(0, MOST_DRAWN).join(" ");
  const ids = useMemo(() => (key ? key.split(" ") : []), [key]);
  const [kept, setKept] = useState<ReadonlyMap<string, string>>(new Map());
  const colors = useMemo(() => colorsOf(ids, kept), [ids, kept]);
  if (ids.some((id) => !kept.has(id))) setKept(new Map([...kept, ...colors]));
  const draw = useCallback(
    (id: string, on: boolean) => {
      const after = on ? [...ids.filter((one) => one !== id), id].slice(-MOST_DRAWN) : ids.filter((one) => one !== id);
      const next = after.length > 0 ? after : [NONE];
      setSoon({ after: written, chosen: next });
      setChosen(next);
    },
    [ids, setChosen, written],
  );
  return { ids, colors, draw };
}

/** The columns of the address, or the usual ones; and what there is to choose from. */
function useColumns(project: string, experiments: string[]) {
  const [params, setParams] = useSearchParams();
  const known = useQuery({
    queryKey: ["run-columns", project, experiments],
    queryFn: () =>
      ask(
        api.GET("/api/v1/projects/{project}/run-columns", {
          params: { path: { project }, query: experiments.length > 0 ? { experiment: experiments } : {} },
        }),
      ),
    placeholderData: (before) => before,
    staleTime: 60_000,
  });
  const items = known.data?.items;
  const texts = params.getAll("col").join("\n");
  const columns = useMemo(() => (texts ? parseColumns(texts.split("\n")) : usualColumns(items ?? [])), [texts, items]);
  const ids = useMemo(() => (items ?? []).map((one) => `${one.kind}.${one.key}`), [items]);
  const names = useMemo(
    () => [...ids, ...Object.values(ATTRIBUTES).flatMap((one) => (one ? [`attributes.${one}`] : [])), "attributes.run_name", "attributes.end_time"],
    [ids],
  );
  const setColumns = (wanted: RunColumn[] | null) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        after.delete("col");
        for (const column of wanted ? parseColumns(wanted.map(writeColumn)) : []) after.append("col", writeColumn(column));
        return after;
      },
      { replace: true, preventScrollReset: true },
    );
  return { columns, names, known: ids, setColumns, ready: !known.isPending };
}

function ExperimentSelect({ project, value, onChange }: { project: string; value: string[]; onChange: (value: string[]) => void }) {
  const { t } = useTranslation("runs");
  const found = useQuery({
    queryKey: ["experiments", project],
    queryFn: () => ask(api.GET("/api/v1/projects/{project}/experiments", { params: { path: { project }, query: { limit: 500 } } })),
  });
  const names = [...new Set([...(found.data?.items ?? []).map((one) => one.name), ...value])];
  return (
    <MultiSelect
      aria-label={t("experiments")}
      placeholder={value.length === 0 ? t("experiments") : ""}
      data={names}
      value={value}
      onChange={onChange}
      searchable
      clearable
      clearButtonProps={{ "aria-label": t("allExperiments") }}
      w={value.length > 0 ? 220 : 150}
      styles={{ inputField: { minWidth: 20 } }}
    />
  );
}

function ExportMenu({ project, filter, order, experiments }: { project: string; filter: string; order: string[]; experiments: string[] }) {
  const { t } = useTranslation("runs");
  const link = (format: "csv" | "parquet", what: "runs" | "points") => exportUrl(project, { format, what, filter, order_by: order, experiments });
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Button variant="default" leftSection={<IconDownload size={14} />}>
          {t("export.title")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t("export.all")}</Menu.Label>
        <Menu.Item component="a" href={link("csv", "runs")} download>
          {t("export.runs", { format: "CSV" })}
        </Menu.Item>
        <Menu.Item component="a" href={link("parquet", "runs")} download>
          {t("export.runs", { format: "Parquet" })}
        </Menu.Item>
        <Menu.Item component="a" href={link("csv", "points")} download>
          {t("export.points", { format: "CSV" })}
        </Menu.Item>
        <Menu.Item component="a" href={link("parquet", "points")} download>
          {t("export.points", { format: "Parquet" })}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

function NoRuns() {
  const { t } = useTranslation("runs");
  return (
    <Page title={t("title")}>
      <Empty title={t("empty.title")} cli={["nacre", "run", "train.py"]}>
        {t("empty.text")}
      </Empty>
    </Page>
  );
}

function commandOf(filter: string, order: string[], experiments: string[]): string[] {
  const words = ["nacre", "runs", "ls"];
  if (filter) words.push("--filter", filter);
  for (const one of order) words.push("--sort", one);
  for (const one of experiments) words.push("--experiment", one);
  return words;
}

