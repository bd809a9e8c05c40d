/** Search in a log that grows: only what is new, or changed, is looked through again. */
import type { LogBuffer } from "./LogViewBuffer";

export interface Match {
  /** Index of the line, and of the match within it. */
  line: number;
  from: number;
  to: number;
}

export const MOST_MATCHES = 20_000;

export class LogSearch {
  matches: Match[] = [];
  private scanned = 0;
  private dropped = 0;
  private readonly needle: string;

  constructor(
    private readonly buffer: LogBuffer,
    text: string,
  ) {
    this.needle = text.toLowerCase();
    this.dropped = buffer.dropped;
    this.update();
  }

  /** Look at what changed since. */
  update(): void {
    if (!this.needle) return;
    const { buffer } = this;
    const from = buffer.dropped === this.dropped ? Math.min(this.scanned, buffer.touched) : 0;
    this.dropped = buffer.dropped;
    buffer.touched = Number.POSITIVE_INFINITY;
    if (from < this.scanned) {
      const kept = this.matches.findIndex((match) => match.line >= from);
      if (kept >= 0) this.matches = this.matches.slice(0, kept);
    }
    const found: Match[] = [];
    for (let line = from; line < buffer.length; line += 1) {
      if (this.matches.length + found.length >= MOST_MATCHES) break;
      const text = buffer.text(line).toLowerCase();
      for (let at = text.indexOf(this.needle); at >= 0; at = text.indexOf(this.needle, at + this.needle.length)) {
        found.push({ line, from: at, to: at + this.needle.length });
        if (this.matches.length + found.length >= MOST_MATCHES) break;
      }
    }
    this.scanned = buffer.length;
    if (found.length) this.matches = [...this.matches, ...found];
  }

  /** Those of one line. */
  of(line: number): Match[] {
    let low = 0;
    let high = this.matches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.matches[middle]!.line < line) low = middle + 1;
      else high = middle;
    }
    const found: Match[] = [];
    for (let i = low; this.matches[i]?.line === line; i += 1) found.push(this.matches[i]!);
    return found;
  }
}
