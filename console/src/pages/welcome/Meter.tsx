import { useTranslation } from "react-i18next";
import { STEPS, type StepName, type StepState } from "./progress";
import classes from "./Welcome.module.css";

/** How many of the eight are done, as a bar and in words. */
export function Meter({ states }: { states: Record<StepName, StepState> }) {
  const { t } = useTranslation("welcome");
  const done = STEPS.filter((step) => states[step] === "done").length;
  return (
    <span className={classes.meter}>
      <span className={classes.bar} aria-hidden>
        {STEPS.map((step) => (
          <span key={step} data-state={states[step]} />
        ))}
      </span>
      {t("done", { count: done, of: STEPS.length })}
    </span>
  );
}
