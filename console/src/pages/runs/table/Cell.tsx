import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { ago, duration, number, time } from "@/ui/format";
import { Status } from "@/ui/Status";
import { numeric, type RunRecord, secondsOf } from "../facts";
import { useNow } from "../run/useNow";
import { type RunColumn, widthOf } from "./columns";
import classes from "./RunTable.module.css";

interface Props {
  run: RunRecord;
  column: RunColumn;
  index: number;
  start?: number;
  project: string;
}

export function Cell({ run, column, index, start, project }: Props) {
  const width = widthOf(column);
  return (
    <div
      role="cell"
      aria-colindex={index}
      className={start === undefined ? classes.cell : `${classes.cell} ${classes.placed}`}
      data-numeric={column.kind === "metrics" || undefined}
      style={start === undefined ? { width } : { width, left: start }}
    >
      <Content run={run} column={column} project={project} />
    </div>
  );
}

function Content({ run, column, project }: Pick<Props, "run" | "column" | "project">) {
  const { t } = useTranslation("runs");
  if (column.kind === "attributes") return <Attribute run={run} name={column.key} project={project} />;
  if (column.kind === "metrics") {
    const metric = run.metrics?.[column.key];
    if (!metric) return null;
    const [last, low, high] = [metric.last, metric.min, metric.max].map((one) => number(numeric(one)));
    return <span title={t("table.metric", { low, high, step: metric.step, count: metric.count })}>{last}</span>;
  }
  const text = run[column.kind]?.[column.key] ?? "";
  return <span title={text}>{text}</span>;
}

function Attribute({ run, name, project }: { run: RunRecord; name: string; project: string }) {
  const { i18n } = useTranslation();
  if (name === "state") return <Status state={run.state} />;
  if (name === "created") return <span title={time(run.started_at, i18n.language)}>{ago(run.started_at, i18n.language)}</span>;
  if (name === "duration") return <Duration run={run} />;
  if (name === "id") return <span className="n-mono">{run.id.slice(0, 8)}</span>;
  if (name === "user") return run.user ?? "";
  if (name === "experiment") return <span title={run.experiment}>{run.experiment}</span>;
  return run.job ? (
    <Link to={`/p/${project}/jobs/${run.job}`} className={classes.link}>
      {run.job}
    </Link>
  ) : null;
}

function Duration({ run }: { run: RunRecord }) {
  return duration(secondsOf(run, useNow(run.state === "running")));
}
