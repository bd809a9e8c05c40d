/** One of the eight steps: how far it is, what it is for, the one thing to do, and the command that does it. */
import { IconCheck, IconX } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { CopyLine } from "@/ui/Cli";
import type { StepName, StepState } from "./progress";
import classes from "./Welcome.module.css";

interface Props {
  name: StepName;
  number: number;
  state: StepState;
  current: boolean;
  optional: boolean;
  text: string;
  /** What is there already, or how it goes. */
  facts?: ReactNode;
  actions?: ReactNode;
  cli?: string;
}

/** Where it is on the page. */
export const stepId = (name: StepName) => `step-${name}`;

export function StepRow({ name, number, state, current, optional, text, facts, actions, cli }: Props) {
  const { t } = useTranslation("welcome");
  return (
    <li id={stepId(name)} className={classes.step} data-state={state} data-current={current || undefined} aria-current={current ? "step" : undefined}>
      <span className={classes.mark} aria-hidden>
        {state === "done" ? <IconCheck size={14} stroke={2.5} /> : state === "failed" ? <IconX size={14} stroke={2.5} /> : number}
      </span>
      <div className={classes.body}>
        <div className={classes.head}>
          <h2 className={classes.title}>{t(`steps.${name}.title`)}</h2>
          <span className={classes.state}>
            {t(`state.${state}`)}
            {optional && state === "todo" && ` · ${t("optional")}`}
          </span>
        </div>
        <p className={classes.text}>{text}</p>
        {facts && <div className={classes.facts}>{facts}</div>}
        {(actions || cli) && (
          <div className={classes.actions}>
            {actions}
            {cli && <CopyLine text={cli} />}
          </div>
        )}
      </div>
    </li>
  );
}
