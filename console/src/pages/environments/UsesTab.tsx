/** The project's jobs and instances in the environment. */
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useProject } from "@/app/project";
import { Cli } from "@/ui/Cli";
import { type Column, DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { Status } from "@/ui/Status";
import { type Environment, type Use, usesOf } from "./environment";
import classes from "./environments.module.css";

export function UsesTab({ environment }: { environment: Environment }) {
  const { t } = useTranslation("environments");
  const { name: project } = useProject();
  const { name } = environment;
  const found = useQuery({ queryKey: ["environment", project, name, "uses"], queryFn: () => usesOf(project, name), refetchInterval: 10_000 });
  if (found.error && !found.data) return <Failure error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Loading />;
  const { jobs, instances, job_count: jobCount, instance_count: instanceCount } = found.data;
  if (!jobCount && !instanceCount) {
    return (
      <Empty title={t("uses.none")} cli={["nacre", "run", "--environment", name, "train.py"]}>
        {t("uses.noneText")}
      </Empty>
    );
  }
  return (
    <div className={classes.uses}>
      {instanceCount > 0 && <Uses label={t("instances", { count: instanceCount })} rows={instances} base={`/p/${project}/instances`} />}
      {jobCount > 0 && <Uses label={t("jobs", { count: jobCount })} rows={jobs} base={`/p/${project}/jobs`} />}
      {jobCount > jobs.length && <p className="n-soft">{t("uses.latest", { count: jobs.length })}</p>}
      <Cli words={["nacre", "env", "uses", name]} />
    </div>
  );
}

function Uses({ label, rows, base }: { label: string; rows: Use[]; base: string }) {
  const { t } = useTranslation("environments");
  const columns: Column<Use>[] = [
    { key: "name", label: t("common:name"), cell: (one) => one.name },
    { key: "state", label: t("common:state"), cell: (one) => <Status state={one.state} /> },
    { key: "user", label: t("common:user"), cell: (one) => one.user },
    {
      key: "created",
      label: t("common:created"),
      wide: true,
      cell: (one) => <Moment iso={one.created_at} />,
    },
  ];
  return (
    <section className={classes.use}>
      <h2>{label}</h2>
      <DataTable label={label} rows={rows} columns={columns} id={(one) => one.id} to={(one) => `${base}/${encodeURIComponent(one.name)}`} />
    </section>
  );
}
