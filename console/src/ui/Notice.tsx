/** A sentence that people should see, in a frame of its kind. */
import { IconAlertTriangle, IconInfoCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";
import classes from "./Notice.module.css";

interface Props {
  kind?: "info" | "warn" | "bad";
  title?: string;
  children: ReactNode;
}

export function Notice({ kind = "info", title, children }: Props) {
  const Icon = kind === "info" ? IconInfoCircle : IconAlertTriangle;
  return (
    <div className={classes.notice} data-kind={kind} role={kind === "bad" ? "alert" : "status"}>
      <Icon size={16} aria-hidden />
      <div>
        {title && <p className={classes.title}>{title}</p>}
        {children}
      </div>
    </div>
  );
}
