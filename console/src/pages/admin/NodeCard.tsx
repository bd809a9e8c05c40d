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
import { amount, devices } from "@/pages/jobs/words";
import { gpuParts, together, type Work, type WorkRow } from "./nodes";
import classes from "./Server.module.css";

type Node = Schemas["Node"];

const AREAS: Record<string, string> = { job: "jobs", instance: "instances" };

export function NodeCard({ node }: { node: Node }) {
  const { t } = useTranslation("admin");
  const gpus = node.gpus ?? [];
  const parts = gpuParts(gpus, node.gpus_used ?? {});
  const taken = parts.reduce((sum, part) => sum + part, 0);
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
        <Meter label={t("nodes.cpu")} used={node.cpu_used ?? 0} whole={node.cpu} words={t("nodes.of", { used: amount(node.cpu_used ?? 0), whole: amount(node.cpu) })} />
        <Meter
          label={t("nodes.memory")}
          used={node.memory_used ?? 0}
          whole={node.memory}
          words={t("nodes.of", { used: bytes(node.memory_used ?? 0), whole: bytes(node.memory) })}
        />
        <div className={classes.meter}>
          <p>
            <span>{gpus.length ? t("nodes.gpuOf", { name: gpus[0] }) : t("nodes.gpu")}</span>
            <span>{gpus.length ? t("nodes.of", { used: amount(taken), whole: gpus.length }) : t("nodes.noGpu")}</span>
          </p>
          <ul className={classes.gpus} aria-label={t("nodes.gpu")}>
            {gpus.map((name, at) => {
              const said = t("nodes.gpuPart", { index: at, name, percent: Math.round(100 * parts[at]!) });
              return (
                <li key={`${name} ${at}`} className={classes.gpu} title={said}>
                  <span className="n-hidden">{said}</span>
                  <span style={{ width: `${100 * parts[at]!}%` }} />
                </li>
              );
            })}
          </ul>
        </div>
      </div>
      <div className={classes.work}>
        {node.work?.length ? <WorkTable node={node.name} work={node.work} /> : <p className={classes.none}>{t("nodes.idle")}</p>}
      </div>
    </section>
  );
}

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
  const rows = together(work);
  const several = rows.some((one) => one.replicas > 1);
  const name = (one: WorkRow) => {
    const area = AREAS[one.kind];
    if (!area || !mine.has(one.project)) return one.name;
    return <Anchor size="sm" component={Link} to={`/p/${encodeURIComponent(one.project)}/${area}/${encodeURIComponent(one.name)}`}>{one.name}</Anchor>;
  };
  return (
    <DataTable
      label={t("nodes.workOn", { node })}
      rows={rows}
      id={(one) => `${one.project}/${one.kind}/${one.name}/${one.since}`}
      columns={[
        { key: "name", label: t("nodes.work"), cell: name },
        { key: "kind", label: t("nodes.kind"), cell: (one) => t(`kind.${one.kind}`, { defaultValue: one.kind }) },
        { key: "project", label: t("nodes.project"), wide: true, cell: (one) => one.project },
        { key: "user", label: t("nodes.user"), wide: true, cell: (one) => one.user },
        ...(several ? [{ key: "replicas", label: t("nodes.replicas"), numeric: true, cell: (one: WorkRow) => one.replicas }] : []),
        { key: "cpu", label: t("nodes.cpu"), numeric: true, cell: (one) => amount(one.cpu) },
        { key: "memory", label: t("nodes.memory"), numeric: true, cell: (one) => bytes(one.memory) },
        { key: "gpus", label: t("nodes.gpu"), numeric: true, wide: true, cell: (one) => devices(one.gpus) },
        { key: "price", label: t("nodes.hour"), numeric: true, wide: true, cell: (one) => money(one.price_per_hour, currency) },
        { key: "since", label: t("nodes.since"), wide: true, cell: (one) => <Moment iso={one.since} /> },
      ]}
    />
  );
}
