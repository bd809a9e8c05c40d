import classes from "./Share.module.css";

const words = (share: number) => (share > 0 && share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`);

/** A part of a whole as a bar and in percent. */
export function Share({ part, whole }: { part: number; whole: number }) {
  const share = whole > 0 ? part / whole : 0;
  return (
    <span className={classes.share}>
      <span className={classes.track} aria-hidden>
        <span className={classes.bar} style={{ width: `${100 * share}%` }} />
      </span>
      <span className={classes.number}>{words(share)}</span>
    </span>
  );
}
