import { useTranslation } from "react-i18next";
import classes from "./Status.module.css";

/** The fixed vocabulary: every state of every noun is one of five kinds. */
const KINDS: Record<string, "good" | "bad" | "warn" | "busy" | "idle"> = {
  succeeded: "good",
  ready: "good",
  finished: "good",
  active: "good",
  running: "busy",
  starting: "busy",
  preparing: "busy",
  building: "busy",
  resolving: "busy",
  converting: "busy",
  updating: "busy",
  queued: "warn",
  stopping: "warn",
  draining: "warn",
  pending: "idle",
  stopped: "idle",
  cancelled: "idle",
  killed: "idle",
  none: "idle",
  retired: "idle",
  deleted: "idle",
  ended: "idle",
  disabled: "idle",
  failed: "bad",
  lost: "bad",
};

/** A dot and a word. The word is never only a colour; unknown states are shown as they are. `word`: where a noun has a better one. */
export function Status({ state, title, word }: { state: string; title?: string | null | undefined; word?: string | undefined }) {
  const { t } = useTranslation("status");
  const kind = KINDS[state] ?? "idle";
  return (
    <span className={classes.status} data-kind={kind} data-state={state} title={title ?? undefined}>
      <span className={classes.dot} aria-hidden />
      {word ?? t(state, { defaultValue: state })}
    </span>
  );
}
