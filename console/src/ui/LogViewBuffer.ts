/**
 * The lines of a log as a terminal would show them: colours, progress bars that go back to the start of their
 * line, blocks of bars that go up some lines. Text comes in pieces that may end anywhere.
 *
 * A plain line is a string, a slice of the piece it came in; only lines with colours are more.
 */
import { escapeAt, restyled } from "./ansi";

/** From the end of the run before, up to `end`, in `style`. */
export interface Run {
  end: number;
  style: number;
}

interface Styled {
  text: string;
  runs: Run[];
}

type Line = string | Styled;

const MAX_LINES = 500_000;
const MAX_CHARS = 128 * 2 ** 20;
/** How far up a program may go: a block of progress bars, not a full screen. */
const MAX_UP = 100;

// Everything below a blank but the tab, and what are control characters above ASCII.
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;

export class LogBuffer {
  private lines: Line[] = [];
  private row = 0;
  private column = 0;
  private style = 0;
  private pending = "";
  private chars = 0;
  /** How many lines were let go at the beginning, because there are too many. */
  dropped = 0;
  /** The lowest index of a line that changed since somebody set this to infinity. */
  touched = Number.POSITIVE_INFINITY;

  constructor(
    private readonly maxLines = MAX_LINES,
    private readonly maxChars = MAX_CHARS,
  ) {}

  /** Lines that there are; the one after a final newline is none. */
  get length(): number {
    const last = this.lines.at(-1);
    return last === "" && this.lines.length - 1 === this.row ? this.lines.length - 1 : this.lines.length;
  }

  text(index: number): string {
    const line = this.lines[index] ?? "";
    return typeof line === "string" ? line : line.text;
  }

  /** The styles of a line; null where it is plain. */
  runs(index: number): Run[] | null {
    const line = this.lines[index];
    return line === undefined || typeof line === "string" ? null : line.runs;
  }

  clear(): void {
    this.lines = [];
    this.row = this.column = this.style = this.chars = this.dropped = 0;
    this.pending = "";
    this.touched = 0;
  }

  /** All of it as plain text. */
  plain(): string {
    const found: string[] = [];
    for (let i = 0; i < this.length; i += 1) found.push(this.text(i));
    return found.length ? `${found.join("\n")}\n` : "";
  }

  /** Add what came next. */
  push(piece: string): void {
    const text = this.pending + piece;
    this.pending = "";
    this.chars += piece.length;
    if (!this.lines.length) this.lines.push("");
    let at = 0;
    while (at < text.length) {
      CONTROL.lastIndex = at;
      const found = CONTROL.exec(text);
      const stop = found ? found.index : text.length;
      if (stop > at) this.write(text.slice(at, stop));
      if (!found) break;
      at = stop + 1;
      const code = text.charCodeAt(stop);
      if (code === 10) this.down();
      else if (code === 13) this.column = 0;
      else if (code === 8) this.column = Math.max(0, this.column - 1);
      else if (code === 27) {
        const escape = escapeAt(text, stop);
        if (escape === null) {
          this.pending = text.slice(stop);
          break;
        }
        at = escape.end;
        if (escape.final) this.control(escape.final, escape.parameters);
      }
    }
    this.trim();
  }

  private touch(index: number): void {
    if (index < this.touched) this.touched = index;
  }

  private down(): void {
    this.touch(this.row);
    this.row += 1;
    this.column = 0;
    if (this.row >= this.lines.length) this.lines.push("");
  }

  private write(text: string): void {
    this.touch(this.row);
    const line = this.lines[this.row]!;
    const from = this.column;
    this.column = from + text.length;
    if (typeof line === "string" && this.style === 0) {
      this.lines[this.row] = line === "" && from === 0 ? text : over(line, from, text);
      return;
    }
    const before: Styled = typeof line === "string" ? { text: line, runs: line ? [{ end: line.length, style: 0 }] : [] } : line;
    this.lines[this.row] = { text: over(before.text, from, text), runs: painted(before.runs, from, this.column, this.style) };
  }

  private control(final: string, parameters: string): void {
    const count = Math.max(1, Number.parseInt(parameters, 10) || 1);
    if (final === "m") this.style = restyled(this.style, parameters);
    else if (final === "K") this.erase(parameters);
    else if (final === "A" || final === "F") {
      this.row = Math.max(0, this.lines.length - MAX_UP, this.row - count);
      if (final === "F") this.column = 0;
    } else if (final === "B" || final === "E") {
      for (let i = 0; i < Math.min(count, MAX_UP); i += 1) {
        const { column } = this;
        this.down();
        if (final === "B") this.column = column;
      }
    } else if (final === "C") this.column = Math.min(this.column + count, this.text(this.row).length + 512);
    else if (final === "D") this.column = Math.max(0, this.column - count);
    else if (final === "G") this.column = Math.min(count - 1, this.text(this.row).length + 512);
  }

  /** `ESC [ K`: 0 from here to the end of the line, 1 up to here, 2 all of it. */
  private erase(parameters: string): void {
    this.touch(this.row);
    const line = this.lines[this.row]!;
    const text = this.text(this.row);
    const from = parameters === "" || parameters === "0" ? this.column : 0;
    const to = parameters === "1" ? Math.min(this.column + 1, text.length) : text.length;
    if (from >= to) return;
    const rest = to < text.length;
    const after = text.slice(0, from) + (rest ? " ".repeat(to - from) + text.slice(to) : "");
    if (typeof line === "string") this.lines[this.row] = after;
    else {
      const runs = painted(line.runs, from, to, 0);
      this.lines[this.row] = { text: after, runs: rest ? runs : clipped(runs, from) };
    }
  }

  private trim(): void {
    if (this.lines.length <= this.maxLines && this.chars <= this.maxChars) return;
    // A tenth at once, so that this is rare.
    const most = Math.min(this.maxLines, Math.floor((this.lines.length * this.maxChars) / this.chars));
    const gone = Math.min(this.row, this.lines.length - Math.floor(most * 0.9));
    if (gone <= 0) return;
    for (let i = 0; i < gone; i += 1) this.chars -= this.text(i).length + 1;
    this.lines = this.lines.slice(gone);
    this.row -= gone;
    this.dropped += gone;
    this.chars = Math.max(this.chars, 0);
    this.touched = 0;
  }
}

/** `line` with `text` written over it from a column on. */
function over(line: string, from: number, text: string): string {
  if (from === line.length) return line + text;
  if (from > line.length) return line + " ".repeat(from - line.length) + text;
  return line.slice(0, from) + text + line.slice(from + text.length);
}

/** The runs after `from` … `to` got a style. */
function painted(runs: Run[], from: number, to: number, style: number): Run[] {
  const last = runs.at(-1);
  if (!last || last.end <= from) {
    // At the end, as nearly always.
    const after = last && last.end < from ? [...runs, { end: from, style: 0 }] : !last && from > 0 ? [{ end: from, style: 0 }] : runs;
    const end = after.at(-1);
    if (end && end.style === style) return [...after.slice(0, -1), { end: to, style }];
    return [...after, { end: to, style }];
  }
  const found: Run[] = [];
  const add = (end: number, kind: number) => {
    const before = found.at(-1);
    if (end <= (before?.end ?? 0)) return;
    if (before?.style === kind) before.end = end;
    else found.push({ end, style: kind });
  };
  for (const run of runs) add(Math.min(run.end, from), run.style);
  add(to, style);
  for (const run of runs) if (run.end > to) add(run.end, run.style);
  return found;
}

function clipped(runs: Run[], length: number): Run[] {
  return runs.filter((_, i) => (runs[i - 1]?.end ?? 0) < length).map((run) => ({ end: Math.min(run.end, length), style: run.style }));
}

/**
 * How many of the bytes end with a whole character of UTF-8; of what is none, all. The rest is left for the
 * bytes that come next.
 */
export function wholeText(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return bytes.length;
    if (byte >= 0xc0) {
      const needed = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
      return back >= needed ? bytes.length : bytes.length - back;
    }
  }
  return bytes.length;
}
