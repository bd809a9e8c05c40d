/** A name and, where there is one, a word that marks it. */
import type { ReactNode } from "react";
import classes from "./Tagged.module.css";

export function Tagged({ tag, children }: { tag: string | false | null | undefined; children: ReactNode }) {
  return (
    <span className={classes.name}>
      {children}
      {tag && <span className={classes.tag}>{tag}</span>}
    </span>
  );
}
