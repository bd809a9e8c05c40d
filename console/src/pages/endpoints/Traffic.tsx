/** The last half hour of an endpoint, as the model server counts it, and totals. */
import { Select } from "@mantine/core";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { LineChart, type LineSeries } from "@/ui/charts/LineChart";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { Figure, Figures } from "@/ui/Figures";
import { time } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { type Endpoint, type EndpointStats, useStats } from "./data";
import { milliseconds } from "./EndpointsPage";
import classes from "./endpoints.module.css";

const COLORS = { requests: "#1f7fd4", p50: "#459a1f", p99: "#e0592f", batch: "#7347cf" };
const ERROR_COLORS: Record<string, string> = { invalid: "#b3860a", too_large: "#7b6340", limited: "#0f8a8a", overloaded: "#ae3a9c", too_late: "#8a5cd6", failed: "#c4202f", other: "#6a78a8" };
const KINDS = ["invalid", "too_large", "limited", "overloaded", "too_late", "failed", "other"] as const;

export function Traffic({ endpoint }: { endpoint: Endpoint }) {
  const { t } = useTranslation("endpoints");
  const [revision, setRevision] = useState<number | null>(null);
  const stats = useStats(endpoint.project, endpoint.name, revision);
  if (stats.error && !stats.data) return <Failure error={stats.error} retry={() => void stats.refetch()} />;
  if (!stats.data) return <Loading />;
  return (
    <div className={classes.stack}>
      <Choice endpoint={endpoint} chosen={revision} onChoose={setRevision} />
      <Totals endpoint={endpoint} revision={revision} stats={stats.data} />
      <Charts stats={stats.data} />
      <p className={classes.message}>{t("traffic.help", { seconds: stats.data.interval_s })}</p>
      <div>
        <Cli words={["nacre", "endpoint", "stats", endpoint.name]} />
      </div>
    </div>
  );
}

/** One revision or all of them; those that the model server counts. */
function Choice({ endpoint, chosen, onChoose }: { endpoint: Endpoint; chosen: number | null; onChoose: (revision: number | null) => void }) {
  const { t } = useTranslation("endpoints");
  const counted = (endpoint.revisions ?? []).filter((one) => one.requests != null);
  if (counted.length < 2 && chosen === null) return null;
  const all = { value: "", label: t("traffic.all") };
  const some = counted.map((one) => ({ value: String(one.number), label: t("shares.revision", { number: one.number, version: `${one.model}/${one.version}` }) }));
  return (
    <Select
      aria-label={t("revisions.revision")}
      data={[all, ...some]}
      value={chosen === null ? "" : String(chosen)}
      onChange={(value) => onChoose(value ? Number(value) : null)}
      allowDeselect={false}
      maw={320}
    />
  );
}

/** The newest interval that was watched. */
function latest(values: (number | null)[]): number | null {
  return values.findLast((value) => value !== null) ?? null;
}

function Totals({ endpoint, revision, stats }: { endpoint: Endpoint; revision: number | null; stats: EndpointStats }) {
  const { t, i18n } = useTranslation("endpoints");
  if (!stats.since) return <p className={classes.message}>{t("traffic.away")}</p>;
  const now = latest(stats.requests_per_s);
  const told = endpoint.revisions?.find((one) => one.number === revision) ?? endpoint;
  const kinds = KINDS.filter((kind) => stats.errors_by_kind?.[kind]);
  const figures: [string, string][] = [
    [t("traffic.now"), now === null ? "–" : now.toFixed(1)],
    [t("requests"), (stats.requests ?? 0).toLocaleString(i18n.language)],
    [t("errors"), (stats.errors ?? 0).toLocaleString(i18n.language)],
    [t("traffic.p50"), milliseconds(told.latency_p50_ms)],
    [t("traffic.p99"), milliseconds(told.latency_p99_ms)],
  ];
  return (
    <div>
      <Figures least={128}>
        {figures.map(([name, value]) => (
          <Figure key={name} name={name}>
            {value}
          </Figure>
        ))}
      </Figures>
      <p className={classes.message} style={{ marginTop: 8 }}>
        {t("traffic.since", { time: time(stats.since, i18n.language) })}{" "}
        {kinds.map((kind) => t("traffic.kind", { kind: t(`kinds.${kind}`), count: stats.errors_by_kind![kind] })).join(t("comma"))}
      </p>
    </div>
  );
}

function Charts({ stats }: { stats: EndpointStats }) {
  const { t } = useTranslation("endpoints");
  const charts = useMemo(() => {
    const x = stats.time.map((moment) => Date.parse(moment));
    const line = (id: string, label: string, color: string, y: (number | null)[]): LineSeries => ({ id, label, color, x, y });
    const errors = KINDS.flatMap((kind) => {
      const rates = stats.errors_per_s?.[kind];
      return rates ? [line(kind, t(`kinds.${kind}`), ERROR_COLORS[kind]!, rates)] : [];
    });
    const none = stats.requests_per_s.map((rate) => (rate === null ? null : 0));
    return [
      { title: t("traffic.requests"), series: [line("requests", t("traffic.requests"), COLORS.requests, stats.requests_per_s)] },
      { title: t("traffic.errors"), series: errors.length ? errors : [line("none", t("errors"), ERROR_COLORS.failed!, none)] },
      {
        title: t("traffic.latency"),
        series: [line("p50", "p50", COLORS.p50, stats.latency_p50_ms), line("p99", "p99", COLORS.p99, stats.latency_p99_ms)],
      },
      { title: t("traffic.batch"), series: [line("batch", t("traffic.batch"), COLORS.batch, stats.batch)] },
    ];
  }, [stats, t]);
  return (
    <div className={classes.charts}>
      {charts.map((chart) => (
        <section key={chart.title} className={classes.chart}>
          <h2>{chart.title}</h2>
          <LineChart label={chart.title} series={chart.series} x="time" height={180} sync="traffic" />
        </section>
      ))}
    </div>
  );
}
