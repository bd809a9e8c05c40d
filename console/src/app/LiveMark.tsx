import { useTranslation } from "react-i18next";
import { useLiveState } from "@/api/live";
import classes from "./LiveMark.module.css";

/** "live" or "reconnecting"; nothing while nothing is watched. */
export function LiveMark() {
  const { t } = useTranslation("status");
  const state = useLiveState();
  return (
    <span className={classes.mark} data-state={state} role="status" data-testid="live">
      {state !== "idle" && (
        <>
          <span className={classes.dot} aria-hidden />
          {t(`connection.${state}`)}
        </>
      )}
    </span>
  );
}
