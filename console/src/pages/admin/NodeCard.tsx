/** One machine: what it has, what is taken, and by which work. */
import { Anchor } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useQuery } from "@tanstack/react-query";
import { api, ask, type Schemas } from "@/api/client";
import { useProjects } from "@/app/ProjectSwitch";
import { DataTable } from "@/ui/DataTable";
import { bytes, money } from "@/ui/format";
import { Moment } from "@/ui/Moment";
import classes from "./Server.module.css";

type Node = Schemas["Node"];
type Work = Node["work"][number];

const AREAS: Record<string, string> = { job: "jobs", instance: "instances" };

export function NodeCard({ node }: { node: Node }) {
  const { t } = useTranslation("admin");
  const gpus = node.gpus ?? [];
  const used = new Set(node.gpus_used ?? []);
  return (
    <section className={classes.card} aria-label={node.name}>
      <header className={classes.head}>
        <h3>{node.name}</h3>
        {node.alive ? (
          <span>{t("nodes.isolation", { level: t(`isolation.${node.isolation}`, { defaultValue: node.isolation }) })}</span>
        ) : (
          <span style={{ color: "var(--n-bad)" }}>{t("nodes.lost")}</span>
        )}
      </header>
      <div className={classes.meters}>
        <Meter label={t("nodes.cpu")} used={node.cpu_used ?? 0} whole={node.cpu} words={t("nodes.of", { used: round(node.cpu_used ?? 0), whole: round(node.cpu) })} />
        <Meter
          label={t("nodes.memory")}
          used={node.memory_used ?? 0}
          whole={node.memory}
          words={t("nodes.of", { used: bytes(node.memory_used ?? 0), whole: bytes(node.memory) })}
        />
        <div className={classes.meter}>
          <p>
            <span>{gpus.length ? t("nodes.gpuOf", { name: gpus[0] }) : t("nodes.gpu")}</span>
            <span>{gpus.length ? t("nodes.of", { used: used.size, whole: gpus.length }) : t("nodes.noGpu")}</span>
          </p>
          <div className={classes.gpus} aria-hidden>
            {gpus.map((name, at) => (
              <span key={`${name} ${at}`} className={classes.gpu} data-used={used.has(at) || undefined} />
            ))}
          </div>
        </div>
      </div>
      <div className={classes.work}>
        {node.work?.length ? <WorkTable node={node.name} work={node.work} /> : <p className={classes.none}>{t("nodes.idle")}</p>}
      </div>
    </section>
  );
}

const round = (value: number) => String(Math.round(100 * value) / 100);

function Meter({ label, used, whole, words }: { label: string; used: number; whole: number; words: string }) {
  const share = whole > 0 ? Math.min(1, used / whole) : 0;
  return (
    <div className={classes.meter}>
      <p>
        <span>{label}</span>
        <span>{words}</span>
      </p>
      <div
        className={classes.track}
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(100 * share)}
        aria-valuetext={words}
      >
        <div className={classes.bar} style={{ width: `${100 * share}%` }} data-full={share > 0.95 || undefined} />
      </div>
    </div>
  );
}

function WorkTable({ node, work }: { node: string; work: Work[] }) {
  const { t } = useTranslation("admin");
  const mine = new Set((useProjects().data?.items ?? []).map((one) => one.name));
  const currency = useQuery({
    queryKey: ["instance-types"],
    queryFn: () => ask(api.GET("/api/v1/instance-types")),
    staleTime: 600_000,
  }).data?.items[0]?.currency;
  const name = (one: Work) => {
    const area = AREAS[one.kind];
    if (!area || !mine.has(one.project)) return one.name;
    return <Anchor size="sm" component={Link} to={`/p/${encodeURIComponent(one.project)}/${area}/${encodeURIComponent(one.name)}`}>{one.name}</Anchor>;
  };
  return (
    <DataTable
      label={t("nodes.workOn", { node })}
      rows={work}
      id={(one) => `${one.project}/${one.kind}/${one.name}/${one.since}`}
      columns={[
        { key: "name", label: t("nodes.work"), cell: name },
        { key: "kind", label: t("nodes.kind"), cell: (one) => t(`kind.${one.kind}`, { defaultValue: one.kind }) },
        { key: "project", label: t("nodes.project"), wide: true, cell: (one) => one.project },
        { key: "user", label: t("nodes.user"), wide: true, cell: (one) => one.user },
        { key: "cpu", label: t("nodes.cpu"), numeric: true, cell: (one) => round(one.cpu) },
        { key: "memory", label: t("nodes.memory"), numeric: true, cell: (one) => bytes(one.memory) },
        { key: "gpus", label: t("nodes.gpu"), numeric: true, wide: true, cell: (one) => one.gpus?.length || "–" },
        { key: "price", label: t("nodes.hour"), numeric: true, wide: true, cell: (one) => money(one.price_per_hour, currency) },
        { key: "since", label: t("nodes.since"), wide: true, cell: (one) => <Moment iso={one.since} /> },
      ]}
    />
  );
}
