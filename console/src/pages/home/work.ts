/** What goes on: jobs and instances of several projects as one list, and the figure that a run is known by. */
import type { Schemas } from "@/api/client";
import { inProject } from "@/app/pages";

type Job = Schemas["Job"];
type Instance = Schemas["Instance"];

export interface Work {
  id: string;
  kind: "job" | "instance";
  project: string;
  name: string;
  to: string;
  state: string;
  /** It holds nothing yet: it waits. */
  waits: boolean;
  /** Why, in the server's words. */
  message: string | null;
  user: string;
  /** When it began to run, or, while it waits, to wait. */
  since: string;
  pricePerHour: number;
  cost: number;
  currency: string;
}

const OVER = new Set(["stopped", "failed", "succeeded", "cancelled"]);

const of = (kind: Work["kind"], one: Job | Instance, noun: string): Work => ({
  id: one.id,
  kind,
  project: one.project,
  name: one.name,
  to: inProject(one.project, `/${noun}/${encodeURIComponent(one.name)}`),
  state: one.state,
  waits: one.state === "queued",
  message: one.message ?? null,
  user: one.user,
  since: (one.state !== "queued" && one.started_at) || one.created_at,
  pricePerHour: one.price_per_hour,
  cost: one.cost ?? 0,
  currency: one.currency ?? "USD",
});

/** What has not ended: what runs first, the newest before; then what waits, the longest before. */
export function workOf(jobs: Job[], instances: Instance[]): Work[] {
  const all = [...jobs.map((job) => of("job", job, "jobs")), ...instances.map((one) => of("instance", one, "instances"))];
  return all
    .filter(({ state }) => !OVER.has(state))
    .sort((a, b) => Number(a.waits) - Number(b.waits) || (a.waits ? 1 : -1) * a.since.localeCompare(b.since));
}

/** Figures that say most of a run, the best first. */
const TELLING = [/val.*acc|acc.*val/, /acc|f1|auc|map|bleu|r2|score/, /val.*(loss|error)/, /loss|error|perplexity|rmse|mae/];

/** The metric that a run is known by; null where it has none. System metrics tell nothing of the model. */
export function mainMetric(keys: string[]): string | null {
  const own = keys.filter((key) => !key.startsWith("system/")).sort((a, b) => a.length - b.length || a.localeCompare(b));
  for (const pattern of TELLING) {
    const found = own.find((key) => pattern.test(key.toLowerCase()));
    if (found) return found;
  }
  return own[0] ?? null;
}

/** Points of a line in a box of this size, as `M0,10 L5,2 …`; gaps where there is no value. */
export function sparkline(values: (number | null)[], width: number, height: number, pad = 2): string {
  const known = values.filter((value): value is number => value !== null && Number.isFinite(value));
  if (known.length < 2) return "";
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (at: number) => pad + (at * (width - 2 * pad)) / (values.length - 1);
  const y = (value: number) => (high === low ? height / 2 : pad + ((high - value) * (height - 2 * pad)) / (high - low));
  let pen = "M";
  const parts: string[] = [];
  values.forEach((value, at) => {
    if (value === null || !Number.isFinite(value)) {
      pen = "M";
      return;
    }
    parts.push(`${pen}${x(at).toFixed(1)},${y(value).toFixed(1)}`);
    pen = "L";
  });
  return parts.join(" ");
}
