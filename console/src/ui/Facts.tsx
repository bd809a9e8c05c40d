/** Cards with facts: names on the left, what they are on the right. */
import type { CSSProperties, ReactNode } from "react";
import classes from "./Facts.module.css";

/** Cards side by side where there is room. */
export function Cards({ children }: { children: ReactNode }) {
  return <div className={classes.cards}>{children}</div>;
}

/** Cards below each other, in one place among `Cards`. */
export function CardStack({ children }: { children: ReactNode }) {
  return <div className={classes.stack}>{children}</div>;
}

export function Card({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className={classes.card}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** `names`: the width in px of the names, 104 at most on a phone; or "fit": as wide as the longest. */
export function Facts({ names = 104, children }: { names?: number | "fit"; children: ReactNode }) {
  if (names === "fit") {
    return <dl className={classes.fitting}>{children}</dl>;
  }
  return (
    <dl className={classes.facts} style={{ "--names": `${names}px` } as CSSProperties}>
      {children}
    </dl>
  );
}

export function Fact({ name, children }: { name: ReactNode; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
