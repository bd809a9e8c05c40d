import type { ReactNode } from "react";
import { useId } from "react";
import classes from "./Home.module.css";

/** A part of the page, with its name, a figure beside it, and where there is more. */
export function Section({ title, aside, more, children }: { title: string; aside?: ReactNode; more?: ReactNode; children: ReactNode }) {
  const id = useId();
  return (
    <section aria-labelledby={id} className={classes.section}>
      <header className={classes.head}>
        <h2 id={id} className={classes.title}>
          {title}
        </h2>
        {aside && <span className={classes.aside}>{aside}</span>}
        {more && <span className={classes.more}>{more}</span>}
      </header>
      {children}
    </section>
  );
}
