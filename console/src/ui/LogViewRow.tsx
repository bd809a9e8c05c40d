/** One line of a log. */
import { memo, useState } from "react";
import { HUES, lookOf } from "./ansi";
import classes from "./LogView.module.css";
import type { Run } from "./LogViewBuffer";
import type { Match } from "./LogViewSearch";

/** A line is shown so far; the rest on demand. A browser takes seconds for a line of a megabyte. */
const SHOWN = 4000;

interface Props {
  index: number;
  start: number;
  line: number;
  text: string;
  runs: Run[] | null;
  matches: Match[];
  current: Match | null;
  selected: boolean;
  measure: ((row: HTMLElement | null) => void) | null;
  select: (line: number) => void;
  name: string;
  more: string;
}

export const LogRow = memo(function LogRow(props: Props) {
  const { index, start, line, text, runs, matches, current, selected, measure, select, name, more } = props;
  const [whole, setWhole] = useState(false);
  const cut = !whole && text.length > SHOWN;
  return (
    <div
      ref={measure}
      data-index={index}
      className={classes.row}
      data-selected={selected || undefined}
      style={{ transform: `translateY(${start}px)` }}
    >
      <button type="button" className={classes.number} data-line={line} onClick={() => select(line)} aria-label={name} aria-pressed={selected} tabIndex={-1} />
      <span className={classes.text}>
        {pieces(cut ? text.slice(0, SHOWN) : text, runs, matches).map((piece) => (
          <span
            key={piece.from}
            className={styled(piece.style)}
            data-match={piece.match ? (piece.match.from === current?.from ? "current" : "one") : undefined}
          >
            {piece.text}
          </span>
        ))}
        {cut && (
          <button type="button" className={classes.more} onClick={() => setWhole(true)}>
            {more}
          </button>
        )}
      </span>
    </div>
  );
}, same);

function same(before: Props, after: Props): boolean {
  return (Object.keys(after) as (keyof Props)[]).every(
    (key) => before[key] === after[key] || (key === "matches" && !before.matches.length && !after.matches.length),
  );
}

interface Piece {
  from: number;
  text: string;
  style: number;
  match: Match | null;
}

/** The line cut where its style changes and where matches begin and end. */
export function pieces(text: string, runs: Run[] | null, matches: Match[]): Piece[] {
  const edges = new Set([0, text.length]);
  for (const run of runs ?? []) edges.add(Math.min(run.end, text.length));
  for (const match of matches) {
    edges.add(Math.min(match.from, text.length));
    edges.add(Math.min(match.to, text.length));
  }
  const sorted = [...edges].sort((a, b) => a - b);
  const found: Piece[] = [];
  for (let i = 0; i + 1 < sorted.length; i += 1) {
    const from = sorted[i]!;
    found.push({
      from,
      text: text.slice(from, sorted[i + 1]!),
      style: runs?.find((run) => run.end > from)?.style ?? 0,
      match: matches.find((match) => match.from <= from && match.to > from) ?? null,
    });
  }
  return found;
}

const COLORS = Object.fromEntries(HUES.map((hue) => [hue, classes[`fg-${hue}`]]));
const BACKGROUNDS = Object.fromEntries(HUES.map((hue) => [hue, classes[`bg-${hue}`]]));

function styled(style: number): string | undefined {
  if (style === 0) return undefined;
  const look = lookOf(style);
  const color = look.dim && look.color === "default" ? "soft" : look.color;
  return [
    color !== "default" && COLORS[color],
    look.background !== "default" && BACKGROUNDS[look.background],
    look.bold && classes.bold,
    look.italic && classes.italic,
    look.underline && classes.underline,
    look.strike && classes.strike,
    look.inverse && classes.inverse,
  ]
    .filter(Boolean)
    .join(" ");
}
