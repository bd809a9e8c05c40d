import classes from "./Layers.module.css";

const CURVES = 26;

/** Growth lines, as of mother-of-pearl. */
export function Layers() {
  return (
    <svg className={classes.layers} viewBox="0 0 600 900" preserveAspectRatio="xMidYMid slice" aria-hidden>
      {Array.from({ length: CURVES }, (_, i) => (
        <path key={i} d={curve(i)} className={i % 6 === 2 ? classes.bright : undefined} />
      ))}
    </svg>
  );
}

function curve(i: number): string {
  const y = 930 - i * 30 - i * i * 0.35;
  const lift = 70 + i * 7;
  return `M-40 ${y} C 120 ${y - lift}, 220 ${y + lift * 0.45}, 360 ${y - lift * 0.3} S 560 ${y - lift * 1.15}, 660 ${y - lift * 0.55}`;
}
