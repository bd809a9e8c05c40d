/** What goes on: work that runs or waits, runs, endpoints and spending, of one project or of all. */
import { Button, SegmentedControl } from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, Navigate } from "react-router";
import { inProject } from "@/app/pages";
import { useCurrentProject, useProjects } from "@/app/ProjectSwitch";
import { Cli } from "@/ui/Cli";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Page } from "@/ui/Page";
import { useUrlState } from "@/ui/useUrlState";
import { Endpoints } from "./Endpoints";
import { FirstSteps } from "./FirstSteps";
import classes from "./Home.module.css";
import { RecentRuns } from "./RecentRuns";
import { Spending } from "./Spending";
import { Feed, useOverview } from "./useOverview";
import { WorkList } from "./WorkList";
import { workOf } from "./work";

/** So many projects are watched at once; a hundred would be a hundred times four subscriptions. */
const WATCHED = 12;

export function Home() {
  const { t } = useTranslation("home");
  const projects = useProjects();
  const current = useCurrentProject();
  const [scope, setScope] = useUrlState("scope", "all");
  if (projects.error) {
    return (
      <Page title={t("title")}>
        <Failure error={projects.error} retry={() => void projects.refetch()} />
      </Page>
    );
  }
  if (!projects.data) return <Loading />;
  if (current === null) return <Navigate to="/welcome" replace />;
  const names = projects.data.items.map(({ name }) => name);
  const one = scope === "project" || names.length === 1 ? current : null;
  const shown = one === null ? [current, ...names.filter((name) => name !== current)].slice(0, WATCHED) : [one];
  const role = projects.data.items.find(({ name }) => name === current)?.role;
  return (
    <Page
      title={t("title")}
      facts={
        names.length > 1 && (
          <SegmentedControl
            aria-label={t("scope")}
            value={scope === "project" ? "project" : "all"}
            onChange={setScope}
            data={[
              { value: "all", label: t("allProjects") },
              { value: "project", label: current },
            ]}
          />
        )
      }
      actions={
        role !== "viewer" && (
          <Button component={Link} to={inProject(current, "/jobs/new")} leftSection={<IconPlayerPlay size={14} />}>
            {t("newJob")}
          </Button>
        )
      }
      cli={<Cli words={["nacre", "run", "train.py"]} />}
    >
      {shown.map((name) => (
        <Feed key={name} project={name} />
      ))}
      {names.length > WATCHED && one === null && <p className={classes.note}>{t("someProjects", { count: WATCHED })}</p>}
      <FirstSteps project={current} />
      <Overview projects={shown} one={one} />
    </Page>
  );
}

function Overview({ projects, one }: { projects: string[]; one: string | null }) {
  const { jobs, instances, endpoints, runs } = useOverview(projects);
  const [again, setAgain] = useState(0);
  const error = jobs.error ?? instances.error ?? endpoints.error ?? runs.error;
  const several = projects.length > 1;
  const work = jobs.items && instances.items && workOf(jobs.items, instances.items);
  // A job has its run from the start: while it waits, there is nothing to see of that.
  const waits = new Set(work?.filter((one) => one.waits).map((one) => `${one.project}/${one.name}`));
  return (
    <div className={classes.grid} key={again}>
      {error !== null && (
        <div className={classes.wide}>
          <Failure error={error} retry={() => setAgain(again + 1)} />
        </div>
      )}
      <div className={classes.main}>
        <WorkList work={work} several={several} />
        <RecentRuns runs={runs.items?.filter((run) => !waits.has(`${run.project}/${run.job}`))} several={several} />
      </div>
      <div className={classes.side}>
        <Spending project={one} />
        <Endpoints endpoints={endpoints.items} several={several} project={projects[0]!} />
      </div>
    </div>
  );
}
