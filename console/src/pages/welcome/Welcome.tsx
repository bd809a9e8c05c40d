/** First steps: from an account to a model that answers, on real states of the project. */
import { Anchor, SegmentedControl, Stack } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { PROJECTS, useCurrentProject, useProjects } from "@/app/ProjectSwitch";
import { useUser } from "@/app/session";
import { NewProject } from "@/pages/projects/NewProject";
import { Failure } from "@/ui/Failure";
import { Loading } from "@/ui/Loading";
import { Page } from "@/ui/Page";
import { useUrlState } from "@/ui/useUrlState";
import { DigitsSteps } from "./DigitsSteps";
import { OwnSteps } from "./OwnSteps";
import { Meter } from "./Meter";
import { nextStep, progress, type Way } from "./progress";
import { StepRow, stepId } from "./StepRow";
import { useProgress } from "./useProgress";
import classes from "./Welcome.module.css";

export function Welcome() {
  const { t } = useTranslation(["welcome", "home"]);
  const [chosen, setWay] = useUrlState("path", "digits");
  const way: Way = chosen === "own" ? "own" : "digits";
  const user = useUser();
  const project = useCurrentProject();
  const projects = useProjects();
  const role = projects.data?.items.find((one) => one.name === project)?.role ?? null;
  const { lists, error, again } = useProgress(project);
  const client = useQueryClient();
  const go = useNavigate();

  if (projects.error || (error && !lists)) {
    return (
      <Page title={t("title")}>
        <Failure error={projects.error ?? error} retry={() => (projects.error ? void projects.refetch() : again())} />
      </Page>
    );
  }
  if (!projects.data || !lists) return <Loading />;
  const states = progress(lists, way);
  const next = nextStep(states);
  return (
    <Page title={t("title")}>
      <p className={classes.intro}>{t("intro")}</p>
      {project === null ? (
        <Stack gap="md">
          <ol className={classes.steps}>
            <StepRow
              name="account"
              number={1}
              state="todo"
              current
              optional={false}
              text={t("noProject", { user: user.name })}
              actions={
                <NewProject
                  onMade={async () => {
                    await client.invalidateQueries({ queryKey: PROJECTS });
                    void go("/welcome");
                  }}
                />
              }
              cli="nacre project create NAME"
            />
          </ol>
        </Stack>
      ) : (
        <>
          <div className={classes.top}>
            <SegmentedControl
              aria-label={t("path")}
              value={way}
              onChange={setWay}
              data={[
                { value: "digits", label: t("ways.digits") },
                { value: "own", label: t("ways.own") },
              ]}
            />
            <Meter states={states} />
            {next !== null && (
              <Anchor size="sm" href={`#${stepId(next)}`}>
                {t("home:steps.next", { step: t(`steps.${next}.title`) })}
              </Anchor>
            )}
          </div>
          <p className={classes.intro}>{next === null ? t("all") : t(`waysText.${way}`)}</p>
          <ol className={classes.steps}>
            {way === "digits" ? (
              <DigitsSteps project={project} role={role} lists={lists} states={states} next={next} again={again} />
            ) : (
              <OwnSteps project={project} role={role} lists={lists} states={states} next={next} />
            )}
          </ol>
        </>
      )}
    </Page>
  );
}
