/** How params and metrics relate over runs: parallel coordinates, and a scatter plot. */
import { Group, MultiSelect, Select } from "@mantine/core";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { DataTable } from "@/ui/DataTable";
import { EChart } from "@/ui/charts/EChart";
import { number } from "@/ui/format";
import { useUrlList, useUrlState } from "@/ui/useUrlState";
import { labelsOf, type RunRecord } from "../facts";
import classes from "./Compare.module.css";
import { choices, type Dimension, dimension, nameOf, valueOf } from "./relations";

interface Props {
  project: string;
  runs: RunRecord[];
  colors: ReadonlyMap<string, string>;
}

const DIMENSIONS_FIRST = 5;

export function Relations({ project, runs, colors }: Props) {
  const { t } = useTranslation("runs");
  const found = useMemo(() => choices(runs), [runs]);
  const [metric, setMetric] = useUrlState("metric", found.metrics[0] ?? "");
  const [param, setParam] = useUrlState("param", found.params[0] ?? "");
  const [chosen, setChosen] = useUrlList("axis");
  const axes = chosen.length > 0 ? chosen : found.params.slice(0, DIMENSIONS_FIRST);
  const dimensions = [...axes, metric].filter(Boolean);
  const pick = (ids: string[]) => ids.map((id) => ({ value: id, label: nameOf(id) }));
  const all = [
    { group: t("overview.params"), items: pick(found.params) },
    { group: t("overview.metrics"), items: pick(found.metrics) },
  ];
  const rows = runs.map((run) => ({ run, values: dimensions.map((id) => valueOf(run, id)) }));
  return (
    <div className={classes.charts}>
      <Group gap="md" align="flex-end">
        <Select label={t("relations.metric")} data={pick(found.metrics)} value={metric || null} onChange={(value) => setMetric(value ?? "")} searchable w={220} />
        <MultiSelect label={t("relations.axes")} data={all} value={axes} onChange={setChosen} searchable flex={1} miw={240} />
      </Group>
      {dimensions.length > 1 && <Parallel runs={runs} dimensions={dimensions} />}
      <Group gap="md" align="flex-end">
        <Select label={t("relations.param")} data={all} value={param || null} onChange={(value) => setParam(value ?? "")} searchable w={220} />
      </Group>
      {param && metric && <Scatter project={project} runs={runs} colors={colors} x={param} y={metric} />}
      <DataTable
        label={t("relations.table")}
        rows={rows}
        id={(row) => row.run.id}
        to={(row) => `/p/${project}/runs/${row.run.id}`}
        columns={[
          { key: "name", label: t("table.name"), cell: (row) => row.run.name },
          ...dimensions.map((id, at) => ({
            key: id,
            label: nameOf(id),
            numeric: true,
            cell: (row: (typeof rows)[number]) => {
              const value = row.values[at];
              return typeof value === "number" ? number(value) : (value ?? "–");
            },
          })),
        ]}
      />
    </div>
  );
}

function axisOf(one: Dimension) {
  if (one.categories) return { type: "category", data: one.categories, name: nameOf(one.id) };
  return { type: one.log ? "log" : "value", name: nameOf(one.id), scale: true };
}

function Parallel({ runs, dimensions }: { runs: RunRecord[]; dimensions: string[] }) {
  const { t } = useTranslation("runs");
  const key = dimensions.join("\n");
  const option = useMemo(() => {
    const ids = key.split("\n");
    const last = ids.length - 1;
    const labels = labelsOf(runs);
    const rows = runs.map((run) => ({ name: labels.get(run.id), value: ids.map((id) => valueOf(run, id) ?? "-") }));
    const goal = rows.map((row) => row.value[last]).filter((value): value is number => typeof value === "number");
    const axes = ids.map((id) => dimension(runs, id));
    return {
      parallelAxis: axes.map((one, dim) => ({ dim, ...axisOf(one), nameLocation: "end", axisLabel: { formatter: one.categories ? undefined : (value: number) => number(value, 3) } })),
      parallel: { left: 48, right: 72, top: 44, bottom: 24 },
      tooltip: { show: true },
      visualMap: goal.length > 1 && !axes[last]!.categories
        ? { dimension: last, min: Math.min(...goal), max: Math.max(...goal), inRange: { color: ["#1496c8", "#9d5cc9", "#d96d38"] }, show: false }
        : undefined,
      series: [{ type: "parallel", data: rows, lineStyle: { width: 1.5, opacity: 0.7 }, smooth: false, emphasis: { lineStyle: { width: 3, opacity: 1 } } }],
    };
  }, [runs, key]);
  return (
    <section className={`n-card ${classes.card!}`} aria-label={t("relations.parallel")}>
      <EChart label={t("relations.parallel")} option={option} height={340} />
    </section>
  );
}

function Scatter({ project, runs, colors, x, y }: Props & { x: string; y: string }) {
  const { t } = useTranslation("runs");
  const navigate = useNavigate();
  const option = useMemo(() => {
    const across = dimension(runs, x);
    const up = dimension(runs, y);
    const labels = labelsOf(runs);
    const points = runs.flatMap((run) => {
      const value = [valueOf(run, x), valueOf(run, y)];
      return value.includes(null) ? [] : [{ name: run.id, value: [...value, labels.get(run.id)], itemStyle: { color: colors.get(run.id) } }];
    });
    return {
      grid: { left: 64, right: 24, top: 32, bottom: 44 },
      xAxis: { ...axisOf(across), nameLocation: "middle", nameGap: 28 },
      yAxis: { ...axisOf(up), axisLabel: { formatter: up.categories ? undefined : (value: number) => number(value, 3) } },
      tooltip: {
        formatter: (one: { value: [number | string, number | string, string] }) => {
          const [a, b, name] = one.value;
          const say = (value: number | string) => (typeof value === "number" ? number(value) : value);
          return `${name}\n${nameOf(x)}  ${say(a)}\n${nameOf(y)}  ${say(b)}`;
        },
      },
      series: [{ type: "scatter", symbolSize: 9, data: points }],
    };
  }, [runs, colors, x, y]);
  return (
    <section className={`n-card ${classes.card!}`} aria-label={t("relations.scatter")}>
      <EChart label={t("relations.scatter")} option={option} height={320} onClick={(id) => void navigate(`/p/${project}/runs/${id}`)} />
    </section>
  );
}
