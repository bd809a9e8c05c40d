/** Sums of cost lines, as the page shows them and as CSV. */
import type { Schemas } from "@/api/client";

export type Line = Schemas["CostLine"];
export const KEYS = ["kind", "project", "user"] as const;
export type Key = (typeof KEYS)[number];

export interface Group {
  name: string;
  seconds: number;
  cost: number;
}

/** One sum per value of the key, the dearest first. */
export function groups(lines: Line[], key: Key): Group[] {
  const sums = new Map<string, Group>();
  for (const line of lines) {
    const name = line[key] ?? "";
    const sum = sums.get(name) ?? { name, seconds: 0, cost: 0 };
    sums.set(name, { name, seconds: sum.seconds + line.seconds, cost: sum.cost + line.cost });
  }
  return [...sums.values()].sort((a, b) => b.cost - a.cost || a.name.localeCompare(b.name));
}

export interface Day {
  day: string;
  /** Micros by the value of the key. */
  parts: Map<string, number>;
  total: number;
}

/** One entry per day of `days`, also where nothing was used. */
export function byDay(lines: Line[], key: Key, days: string[]): Day[] {
  const found = new Map(days.map((day) => [day, { day, parts: new Map<string, number>(), total: 0 }]));
  for (const line of lines) {
    const entry = found.get(line.day ?? "");
    if (!entry) continue;
    const name = line[key] ?? "";
    entry.parts.set(name, (entry.parts.get(name) ?? 0) + line.cost);
    entry.total += line.cost;
  }
  return [...found.values()];
}

/** A step of 1, 2 or 5 times a power of ten, so that about `count` of them reach `most`. */
export function niceStep(most: number, count = 4): number {
  const rough = Math.max(1, most / count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10;
  return step * power;
}

const COLUMNS = ["day", "project", "user", "kind", "name", "id", "seconds", "cost_micros", "cost", "currency"];

/** RFC 4180; a cell that a spreadsheet would take for a formula begins with an apostrophe. */
export function csv(lines: Line[], currency: string): string {
  const rows = lines.map((line) => [
    line.day ?? "",
    line.project ?? "",
    line.user ?? "",
    line.kind ?? "",
    line.subject_name ?? "",
    line.subject ?? "",
    String(line.seconds),
    String(line.cost),
    (line.cost / 1e6).toFixed(6),
    currency,
  ]);
  return [COLUMNS, ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");
}

function cell(text: string): string {
  const safe = /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
