/** One's projects: what they are for, one's role, who is in them, and what they cost this month. */
import { Button, Skeleton } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import { useQueries, useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { api, ask } from "@/api/client";
import { inProject } from "@/app/pages";
import { useProjects } from "@/app/ProjectSwitch";
import { Cli } from "@/ui/Cli";
import { DataTable } from "@/ui/DataTable";
import { Empty } from "@/ui/Empty";
import { Failure } from "@/ui/Failure";
import { money } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Moment } from "@/ui/Moment";
import { Page } from "@/ui/Page";
import { useUrlState } from "@/ui/useUrlState";
import { monthStart } from "./month";
import { NewProject } from "./NewProject";
import classes from "./Projects.module.css";

export function Projects() {
  const { t } = useTranslation(["projects", "common"]);
  const go = useNavigate();
  const [making, setMaking] = useUrlState("new");
  const projects = useProjects();
  const rows = projects.data?.items ?? [];
  const members = useQueries({
    queries: rows.map(({ name }) => ({
      queryKey: ["members", name],
      queryFn: () => ask(api.GET("/api/v1/projects/{project}/members", { params: { path: { project: name }, query: { limit: 1000 } } })),
      staleTime: 60_000,
    })),
  });
  const people = new Map(rows.map(({ name }, i) => [name, members[i]?.data?.items]));
  const cost = useQuery({
    queryKey: ["cost", "projects", monthStart()],
    queryFn: () => ask(api.GET("/api/v1/cost", { params: { query: { by: "project", since: monthStart() } } })),
  });
  const spent = new Map(cost.data?.lines.map((line) => [line.project, line.cost]));
  const form = making === "1" && (
    <section className={`n-card ${classes.form}`} aria-label={t("new.title")}>
      <NewProject focus onMade={(name) => void go(inProject(name, "/settings?tab=members"))} cancel={() => setMaking("")} />
    </section>
  );
  return (
    <Page
      title={t("title")}
      actions={
        making !== "1" && (
          <Button leftSection={<IconPlus size={14} />} onClick={() => setMaking("1")}>
            {t("new.title")}
          </Button>
        )
      }
      cli={<Cli words={making === "1" ? ["nacre", "project", "create", "NAME"] : ["nacre", "project", "ls"]} />}
    >
      {form}
      {projects.error && <Failure error={projects.error} retry={() => void projects.refetch()} />}
      {!projects.data ? (
        !projects.error && <Loading />
      ) : rows.length === 0 ? (
        !form && (
          <Empty title={t("none")} action={<Button onClick={() => setMaking("1")}>{t("new.title")}</Button>} cli={["nacre", "project", "create", "vision"]}>
            {t("noneText")}
          </Empty>
        )
      ) : (
        <DataTable
          label={t("title")}
          rows={rows}
          id={({ id }) => id}
          to={({ name }) => inProject(name, "/settings")}
          columns={[
            { key: "name", label: t("common:name"), cell: ({ name }) => name },
            { key: "description", label: t("common:description"), wide: true, cell: ({ description }) => <span className="n-soft">{description}</span> },
            { key: "role", label: t("role"), cell: ({ role }) => (role ? t(`roles.${role}`) : "–") },
            {
              key: "members",
              label: t("members"),
              cell: ({ name }) => {
                const found = people.get(name);
                return found ? <span title={found.map(({ user }) => user).join(", ")}>{t("people", { count: found.length })}</span> : <Skeleton height={12} width={48} />;
              },
            },
            {
              key: "cost",
              label: t("costMonth"),
              numeric: true,
              cell: ({ name }) => (cost.data ? money(spent.get(name) ?? 0, cost.data.currency) : "–"),
            },
            { key: "created", label: t("common:created"), wide: true, cell: ({ created_at }) => <Moment iso={created_at} /> },
          ]}
        />
      )}
    </Page>
  );
}
