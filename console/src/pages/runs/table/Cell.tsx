/**
 * A cell of the table of runs. Thousands are made while one scrolls: what they say comes ready from the table, and
 * titles are made when the mouse is there.
 */
import type { TFunction } from "i18next";
import type { MouseEvent, PointerEvent, ReactNode } from "react";
import { ago, duration, number, time } from "@/ui/format";
import { useNow } from "@/ui/ticking";
import { numeric, type RunRecord, secondsOf } from "../facts";
import { type RunColumn, widthOf } from "./columns";
import classes from "./RunTable.module.css";

/** What the table's rows share. */
export interface Shared {
  project: string;
  t: TFunction<["runs", "status"]>;
  language: string;
  /** Go to an address of the console. */
  go: (to: string) => void;
}

interface Props {
  run: RunRecord;
  column: RunColumn;
  index: number;
  start?: number;
  shared: Shared;
}

export function Cell({ run, column, index, start, shared }: Props) {
  const width = widthOf(column);
  return (
    <div
      role="cell"
      aria-colindex={index}
      className={start === undefined ? classes.cell : `${classes.cell} ${classes.placed}`}
      data-numeric={column.kind === "metrics" || undefined}
      style={start === undefined ? { width } : { width, left: start }}
      onPointerEnter={(event: PointerEvent<HTMLElement>) => {
        event.currentTarget.title = titleOf(run, column, shared);
      }}
    >
      {contentOf(run, column, shared)}
    </div>
  );
}

/** A link whose plain clicks the router follows; cheaper than the router's own. */
export function Go({ to, shared, children, title }: { to: string; shared: Shared; children: ReactNode; title?: string }) {
  return (
    <a
      href={to}
      className={classes.link}
      title={title}
      onClick={(event: MouseEvent) => {
        if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
        event.preventDefault();
        shared.go(to);
      }}
    >
      {children}
    </a>
  );
}

function titleOf(run: RunRecord, column: RunColumn, { t, language }: Shared): string {
  if (column.kind === "metrics") {
    const metric = run.metrics?.[column.key];
    if (!metric) return "";
    const [low, high] = [metric.min, metric.max].map((one) => number(numeric(one)));
    return t("runs:table.metric", { low, high, step: metric.step, count: metric.count });
  }
  if (column.kind !== "attributes") return run[column.kind]?.[column.key] ?? "";
  if (column.key === "created") return time(run.started_at, language);
  return column.key === "experiment" ? run.experiment : column.key === "id" ? run.id : "";
}

function contentOf(run: RunRecord, column: RunColumn, shared: Shared): ReactNode {
  const { key } = column;
  if (column.kind === "metrics") {
    const metric = run.metrics?.[key];
    return metric ? number(numeric(metric.last)) : null;
  }
  if (column.kind !== "attributes") return <span>{run[column.kind]?.[key]}</span>;
  if (key === "state") {
    return (
      <span className={classes.state}>
        <span className={classes.dot} data-state={run.state} aria-hidden />
        {shared.t(`status:${run.state}`)}
      </span>
    );
  }
  if (key === "created") return ago(run.started_at, shared.language);
  if (key === "duration") return run.state === "running" ? <Running run={run} /> : duration(secondsOf(run, 0));
  if (key === "id") return <span className="n-mono">{run.id.slice(0, 8)}</span>;
  if (key === "user") return run.user ?? "";
  if (key === "experiment") return <span>{run.experiment}</span>;
  return run.job ? (
    <Go to={`/p/${shared.project}/jobs/${run.job}`} shared={shared}>
      {run.job}
    </Go>
  ) : null;
}

function Running({ run }: { run: RunRecord }) {
  return duration(secondsOf(run, useNow(true)));
}
