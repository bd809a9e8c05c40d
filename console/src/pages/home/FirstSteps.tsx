/** The way through the eight steps, until it is done or put away. */
import { ActionIcon, Button } from "@mantine/core";
import { useLocalStorage } from "@mantine/hooks";
import { IconX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { nextStep, progress } from "../welcome/progress";
import { Meter } from "../welcome/Meter";
import { useProgress } from "../welcome/useProgress";
import classes from "./Home.module.css";

export function FirstSteps({ project }: { project: string }) {
  const { t } = useTranslation(["home", "welcome"]);
  const [away, setAway] = useLocalStorage({ key: "nacre.first-steps", defaultValue: "", getInitialValueInEffect: false });
  if (away === "away") return null;
  return <Steps project={project} putAway={() => setAway("away")} label={t("steps.away")} />;
}

function Steps({ project, putAway, label }: { project: string; putAway: () => void; label: string }) {
  const { t } = useTranslation(["home", "welcome"]);
  const { lists } = useProgress(project);
  if (!lists) return null;
  const states = progress(lists, "own");
  const next = nextStep(states);
  if (next === null) return null;
  const begun = lists.jobs.length > 0 || lists.data.length > 0;
  return (
    <section className={classes.steps} aria-label={t("welcome:title")}>
      <div className={classes.stepsText}>
        <strong>{begun ? t("steps.next", { step: t(`welcome:steps.${next}.title`) }) : t("steps.begin")}</strong>
        <Meter states={states} />
      </div>
      <Button component={Link} to={begun ? "/welcome" : "/welcome?path=digits"} variant={begun ? "default" : "filled"}>
        {begun ? t("steps.go") : t("steps.start")}
      </Button>
      <ActionIcon onClick={putAway} aria-label={label} title={label}>
        <IconX size={14} />
      </ActionIcon>
    </section>
  );
}
