/** The columns of the table of runs: what they are called in the address and in the server's grammar. Pure. */
import type { Schemas } from "@/api/client";

export type ColumnKind = "attributes" | "params" | "metrics" | "tags";

export interface RunColumn {
  /** `metrics.val/loss`, `attributes.created`. */
  id: string;
  kind: ColumnKind;
  key: string;
  pinned: boolean;
}

/** Attributes that can be shown, with what the server sorts them by. */
export const ATTRIBUTES: Record<string, string | null> = {
  state: "status",
  created: "start_time",
  duration: null,
  user: "user_id",
  experiment: null,
  job: null,
  id: "run_id",
};

const WIDTHS: Record<string, number> = { state: 112, created: 112, duration: 88, user: 112, experiment: 132, job: 160, id: 96 };

export function widthOf(column: RunColumn): number {
  if (column.kind === "attributes") return WIDTHS[column.key] ?? 120;
  return Math.min(220, Math.max(104, 40 + 7 * column.key.length));
}

/** A column of its name in the address; `!` before it says that it is pinned. Null: there is no such column. */
export function parseColumn(text: string): RunColumn | null {
  const pinned = text.startsWith("!");
  const id = pinned ? text.slice(1) : text;
  const dot = id.indexOf(".");
  const kind = id.slice(0, dot);
  const key = id.slice(dot + 1);
  if (dot < 0 || !key || !["attributes", "params", "metrics", "tags"].includes(kind)) return null;
  if (kind === "attributes" && !(key in ATTRIBUTES)) return null;
  return { id, kind: kind as ColumnKind, key, pinned };
}

export const writeColumn = (column: RunColumn) => (column.pinned ? `!${column.id}` : column.id);

/** Pinned columns first, each once; those that are no columns are left out. */
export function parseColumns(texts: readonly string[]): RunColumn[] {
  const found = new Map<string, RunColumn>();
  for (const text of texts) {
    const column = parseColumn(text);
    if (column && !found.has(column.id)) found.set(column.id, column);
  }
  const all = [...found.values()];
  return [...all.filter((one) => one.pinned), ...all.filter((one) => !one.pinned)];
}

/** Whether a key is what one looks at first: how good a run was. */
export const telling = (key: string) => Number(/loss|acc|error|score|reward|f1|auc|perplexity|^lr$|learning_rate|batch/.test(key)) + Number(/^val|^eval|^test/.test(key));

/** What is shown before anybody chose: what most runs have, the machine's metrics left out. */
export function usualColumns(known: readonly Schemas["RunColumn"][]): RunColumn[] {
  const of = (kind: "params" | "metrics", most: number) =>
    known
      .filter((one) => one.kind === kind && !one.key.startsWith("system/"))
      .sort((a, b) => b.runs - a.runs || telling(b.key) - telling(a.key) || a.key.length - b.key.length || (a.key < b.key ? -1 : 1))
      .slice(0, most)
      .map((one) => `${kind}.${one.key}`);
  return parseColumns([...of("metrics", 6), ...of("params", 8), "attributes.created", "attributes.duration", "attributes.user", "attributes.experiment"]);
}

/** A key as it stands in filters and orders. */
export function quoted(key: string): string {
  if (/^[A-Za-z_][\w.]*$/.test(key)) return key;
  return key.includes("`") ? `"${key.replaceAll('"', '""')}"` : `\`${key}\``;
}

/** What the server sorts by; null: by this column it cannot. */
export function sortable(column: RunColumn): string | null {
  if (column.kind === "attributes") return ATTRIBUTES[column.key] ? `attributes.${ATTRIBUTES[column.key]!}` : null;
  return `${column.kind}.${quoted(column.key)}`;
}

export interface Order {
  /** Id of a column, or `name`. */
  column: string;
  descending: boolean;
}

/** Whether the first click sorts great values first: not names, and not what is to be small. */
export function fallsFirst(id: string): boolean {
  return id !== "name" && !/(^|[^a-z])(loss|error|err|mse|rmse|mae|perplexity|latency)([^a-z]|$)/i.test(id);
}

/** `-metrics.loss`: falling. */
export function parseOrder(text: string): Order | null {
  const descending = text.startsWith("-");
  const column = descending ? text.slice(1) : text;
  return column === "name" || parseColumn(column) ? { column, descending } : null;
}

export const writeOrder = (order: Order | null) => (order ? `${order.descending ? "-" : ""}${order.column}` : "");

export function orderBy(order: Order | null): string[] {
  if (!order) return [];
  const column = parseColumn(order.column);
  const by = order.column === "name" ? "attributes.run_name" : column && sortable(column);
  return by ? [`${by} ${order.descending ? "DESC" : "ASC"}`] : [];
}

/** The filter that the server gets. Words without a comparison are looked for in names. */
export function filterOf(text: string): string {
  const wanted = text.trim();
  if (!wanted || /[=<>]|\b(i?like|in|is)\b|^(metric|param|tag|attribute|dataset)s?\./i.test(wanted)) return wanted;
  return `attributes.run_name ILIKE '%${wanted.replaceAll("'", "''")}%'`;
}

/** What of a row's key is asked for; without columns of the kind, none. */
export const wantedColumns = (columns: readonly RunColumn[]) =>
  columns.filter((one) => one.kind !== "attributes").map((one) => one.id);
