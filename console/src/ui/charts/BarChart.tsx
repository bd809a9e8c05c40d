/** Bars with their names and values: a list, so that it reads as one. */
import { number } from "../format";
import classes from "./BarChart.module.css";

export interface Bar {
  label: string;
  value: number;
  color?: string;
}

export function BarChart({ label, rows, format = number }: { label: string; rows: Bar[]; format?: (value: number) => string }) {
  const most = Math.max(0, ...rows.map((row) => Math.abs(row.value)).filter(Number.isFinite));
  return (
    <ul className={classes.chart} aria-label={label}>
      {rows.map((row) => (
        <li key={row.label} className={classes.row}>
          <span className={classes.label} title={row.label}>
            {row.label}
          </span>
          <span className={classes.track} aria-hidden>
            <span
              className={classes.bar}
              style={{ width: `${most > 0 ? (100 * Math.abs(row.value)) / most : 0}%`, background: row.color ?? "var(--n-accent)" }}
            />
          </span>
          <span className={classes.value}>{format(row.value)}</span>
        </li>
      ))}
    </ul>
  );
}
