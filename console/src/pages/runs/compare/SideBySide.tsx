/** A column per run: facts, metrics with the best marked, params, tags and how each was made. */
import { Checkbox, Group, TextInput } from "@mantine/core";
import { IconStarFilled } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Schemas } from "@/api/client";
import { ago, duration, number } from "@/ui/format";
import { Status } from "@/ui/Status";
import { useUrlState } from "@/ui/useUrlState";
import { matcher } from "../charts/sections";
import { numeric } from "../facts";
import classes from "./Compare.module.css";

type Comparison = Schemas["RunComparison"];

interface Props {
  project: string;
  comparison: Comparison;
  colors: ReadonlyMap<string, string>;
}

export function SideBySide({ project, comparison, colors }: Props) {
  const { t, i18n } = useTranslation("runs");
  const [same, setSame] = useUrlState("same");
  const [find, setFind] = useUrlState("find");
  const { runs } = comparison;
  const fits = matcher(find);
  const wanted = <Row extends { key: string; differs: boolean }>(rows: Row[]) => rows.filter((row) => (same === "1" || row.differs) && fits(row.key));
  const metrics = wanted(comparison.metrics);
  const texts = [
    { title: t("overview.params"), rows: wanted(comparison.params) },
    { title: t("overview.tags"), rows: wanted(comparison.tags) },
    { title: t("overview.made"), rows: wanted(comparison.made_with) },
  ].filter((part) => part.rows.length > 0);
  return (
    <div className={classes.stack}>
      <Group gap="md">
        <TextInput value={find} onChange={(event) => setFind(event.currentTarget.value)} placeholder={t("overview.find")} aria-label={t("overview.find")} w={220} />
        <Checkbox label={t("compare.differences")} checked={same !== "1"} onChange={(event) => setSame(event.currentTarget.checked ? "" : "1")} />
      </Group>
      {/* A region that scrolls has to be reachable by keys. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={classes.scroller} tabIndex={0} role="region" aria-label={t("compare.title")}>
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col" className={classes.key}>
                {t("title")}
              </th>
              {runs.map((run) => (
                <th key={run.id} scope="col">
                  <span className={classes.swatch} style={{ background: colors.get(run.id) }} aria-hidden />
                  <Link to={`/p/${project}/runs/${run.id}`} title={run.name}>
                    {run.name}
                  </Link>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <Line label={t("attributes.state")} cells={runs.map((run) => <Status key={run.id} state={run.state} />)} />
            <Line label={t("attributes.created")} cells={runs.map((run) => ago(run.created_at, i18n.language))} />
            <Line label={t("attributes.duration")} cells={runs.map((run) => duration(run.duration_s))} />
            {metrics.length > 0 && <Heading title={t("overview.metrics")} across={runs.length + 1} />}
            {metrics.map((metric) => (
              <Line
                key={metric.key}
                label={metric.key}
                differs={same === "1" && metric.differs}
                numeric
                cells={metric.last.map((value, at) => (
                  <Value key={runs[at]!.id} value={value} best={metric.best === at} low={metric.min[at]} high={metric.max[at]} goal={metric.goal ?? null} />
                ))}
              />
            ))}
          </tbody>
          {texts.map((part) => (
            <tbody key={part.title}>
              <Heading title={part.title} across={runs.length + 1} />
              {part.rows.map((row) => (
                <Line key={row.key} label={row.key} differs={same === "1" && row.differs} cells={row.values.map((value) => textOf(value))} />
              ))}
            </tbody>
          ))}
        </table>
      </div>
      {metrics.length === 0 && texts.length === 0 && <p className="n-soft">{find ? t("compare.nothingFits") : t("compare.nothingDiffers")}</p>}
    </div>
  );
}

function textOf(value: unknown): ReactNode {
  if (value === null || value === undefined) return <span className="n-soft">–</span>;
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return <span title={text}>{text}</span>;
}

function Value({ value, best, low, high, goal }: { value: unknown; best: boolean; low: unknown; high: unknown; goal: "min" | "max" | null }) {
  const { t } = useTranslation("runs");
  const [last, least, most] = [value, low, high].map((one) => number(numeric(one)));
  return (
    <span title={t("compare.extremes", { low: least, high: most })} className={best ? classes.best : undefined}>
      {best && <IconStarFilled size={11} aria-label={goal === "min" ? t("compare.least") : t("compare.greatest")} />}
      {last}
    </span>
  );
}

function Heading({ title, across }: { title: string; across: number }) {
  return (
    <tr>
      <th scope="colgroup" colSpan={across} className={classes.group}>
        <span>{title}</span>
      </th>
    </tr>
  );
}

function Line({ label, cells, differs = false, numeric: numbers = false }: { label: string; cells: ReactNode[]; differs?: boolean; numeric?: boolean }) {
  return (
    <tr data-differs={differs || undefined}>
      <th scope="row" className={classes.key} title={label}>
        {label}
      </th>
      {cells.map((cell, at) => (
        // The cells stand in the runs' order, which does not change.
        <td key={at} className={numbers ? "n-num" : undefined}>
          {cell}
        </td>
      ))}
    </tr>
  );
}
