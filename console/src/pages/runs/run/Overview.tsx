/** What went into a run and what came out of it: metrics, params, tags, inputs, and how it was made. */
import { TextInput } from "@mantine/core";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { Schemas } from "@/api/client";
import { DataTable } from "@/ui/DataTable";
import { bytes, number } from "@/ui/format";
import { numeric, useRuns } from "../facts";
import { matcher } from "../charts/sections";
import classes from "./Run.module.css";
import { Tags } from "./Tags";

interface Props {
  project: string;
  run: Schemas["Run"];
  job: Schemas["Job"] | null;
}

export function Overview({ project, run, job }: Props) {
  const { t } = useTranslation("runs");
  const [find, setFind] = useState("");
  const ids = useMemo(() => [run.id], [run.id]);
  const current = useRuns(project, ids).runs[0];
  const fits = matcher(find);
  const metrics = Object.entries(current?.metrics ?? Object.fromEntries((run.metrics ?? []).map((one) => [one.key, one])))
    .filter(([key]) => fits(key))
    .map(([key, metric]) => ({ key, ...metric }));
  const params = Object.entries(run.params ?? {}).filter(([key]) => fits(key));
  const cell = (value: unknown) => number(numeric(value));
  return (
    <div className={classes.overview}>
      <TextInput value={find} onChange={(event) => setFind(event.currentTarget.value)} placeholder={t("overview.find")} aria-label={t("overview.find")} w={240} />
      <section className={classes.block}>
        <h2 className={classes.heading}>{t("overview.metrics")}</h2>
        {metrics.length > 0 ? (
          <DataTable
            label={t("overview.metrics")}
            rows={metrics}
            id={(one) => one.key}
            to={(one) => `/p/${project}/runs/${run.id}?find=${encodeURIComponent(one.key)}`}
            columns={[
              { key: "key", label: t("overview.metric"), cell: (one) => one.key },
              { key: "last", label: t("overview.last"), numeric: true, cell: (one) => cell(one.last) },
              { key: "min", label: t("overview.min"), numeric: true, cell: (one) => cell(one.min) },
              { key: "max", label: t("overview.max"), numeric: true, cell: (one) => cell(one.max) },
              { key: "step", label: t("overview.step"), numeric: true, wide: true, cell: (one) => one.step },
              { key: "count", label: t("overview.count"), numeric: true, wide: true, cell: (one) => one.count },
            ]}
          />
        ) : (
          <p className={classes.none}>{t("overview.noMetrics")}</p>
        )}
      </section>
      <div className={classes.pair}>
        <section className={classes.block}>
          <h2 className={classes.heading}>{t("overview.params")}</h2>
          {params.length > 0 ? <Pairs rows={params} /> : <p className={classes.none}>{t("overview.noParams")}</p>}
        </section>
        <Tags project={project} run={run} fits={fits} />
        {job && <Made project={project} job={job} />}
      </div>
    </div>
  );
}

export function Pairs({ rows }: { rows: [string, React.ReactNode][] }) {
  return (
    <dl className={classes.pairs}>
      {rows.map(([name, value]) => (
        <div key={name} className={classes.fact}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** What a job's record says of where it ran. */
interface Hardware {
  instance_type?: string | null;
  cpu?: number;
  memory?: number;
  disk?: number;
  gpu?: number;
  gpu_name?: string | null;
  node?: { name?: string; system?: string };
}

function Made({ project, job }: { project: string; job: Schemas["Job"] }) {
  const { t } = useTranslation("runs");
  const record = job.record;
  const inputs = Object.entries(record?.inputs ?? {}).map(([name, version]): [string, React.ReactNode] => {
    const [dataset, number] = version.split("@");
    return [
      name,
      <Link key={name} to={`/p/${project}/data/${dataset!}${number ? `?version=${number}` : ""}`}>
        {version}
      </Link>,
    ];
  });
  const { instance_type: type, cpu, memory, disk, gpu, gpu_name: gpus, node } = (record?.hardware ?? {}) as Hardware;
  const shape = t("overview.shape", { cpu: cpu ?? 1, memory: bytes(memory), disk: bytes(disk) });
  const hardware: [string, React.ReactNode][] = record
    ? [
        [t("overview.hardware"), [type, shape, gpu ? `${gpu} × ${gpus ?? "GPU"}` : null].filter(Boolean).join(" · ")],
        ...(node?.name ? [[t("overview.node"), [node.name, node.system].filter(Boolean).join(" · ")] as [string, string]] : []),
      ]
    : [];
  const environment = record?.environment ?? job.spec.environment;
  return (
    <section className={classes.block}>
      <h2 className={classes.heading}>{t("overview.made")}</h2>
      <Pairs
        rows={[
          [t("overview.command"), <code key="c">{(record?.commands ?? job.spec.commands ?? []).join(" && ")}</code>],
          [t("overview.environment"), <Link key="e" to={`/p/${project}/environments/${environment}`}>{environment}</Link>],
          ...inputs,
          ...hardware,
        ]}
      />
    </section>
  );
}
