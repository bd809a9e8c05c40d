/** Figures side by side, each with its name above: what one wants to know first. */
import type { CSSProperties, ReactNode } from "react";
import classes from "./Figures.module.css";

/** `least`: the width in px that each has at least. */
export function Figures({ least = 112, children }: { least?: number; children: ReactNode }) {
  return (
    <div className={classes.figures} style={{ "--least": `${least}px` } as CSSProperties}>
      {children}
    </div>
  );
}

export function Figure({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className={classes.figure}>
      <span>{name}</span>
      <strong>{children}</strong>
    </div>
  );
}
