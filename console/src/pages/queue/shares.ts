/** What projects hold against what they may, and changes of quotas. Pure. */
import type { Schemas } from "@/api/client";
import { sizeText } from "@/pages/jobs/draft";

export type Share = Schemas["Share"];
export type Quota = Schemas["Quota"];

export interface Totals {
  cpu: number;
  memory: number;
  gpu: number;
}

/** What all machines that answer have. */
export function totals(nodes: readonly Pick<Schemas["Node"], "cpu" | "memory" | "gpus" | "alive">[]): Totals {
  const found = { cpu: 0, memory: 0, gpu: 0 };
  for (const node of nodes) {
    if (node.alive === false) continue;
    found.cpu += node.cpu;
    found.memory += node.memory;
    found.gpu += node.gpus?.length ?? 0;
  }
  return found;
}

export interface Meter {
  held: number;
  /** The quota, or where there is none what the machines have; null: neither is known. */
  most: number | null;
  /** Whether `most` is a quota. */
  limited: boolean;
  /** From 0 to 1, of `most`. */
  part: number;
  /** More than a quota that was lowered since, or all of it. */
  full: boolean;
}

export function meter(held: number, quota: number | null | undefined, total: number | null): Meter {
  const limited = quota !== null && quota !== undefined;
  const most = limited ? quota : total;
  const part = most ? Math.min(1, held / most) : held > 0 || limited ? 1 : 0;
  return { held, most, limited, part, full: limited && held >= most! };
}

/** The parts of a share's bar, from 0 to 1: what it holds now, and where its recent use was. */
export function shareBar({ share, recent_share: recent }: Pick<Share, "share" | "recent_share">): { now: number; recent: number } {
  const part = (value: number) => Math.min(1, Math.max(0, value));
  return { now: part(share), recent: part(recent) };
}

/** What is written in the form of a quota; empty: no limit. */
export interface QuotaDraft {
  cpu: string;
  memory: string;
  gpu: string;
  running_jobs: string;
  weight: string;
  priority: Quota["priority"] & string;
}

const text = (value: number | null | undefined) => (value === null || value === undefined ? "" : String(value));

export function draftOf(quota: Quota | null | undefined): QuotaDraft {
  return {
    cpu: text(quota?.cpu),
    memory: quota?.memory === null || quota?.memory === undefined ? "" : sizeText(quota.memory),
    gpu: text(quota?.gpu),
    running_jobs: text(quota?.running_jobs),
    weight: text(quota?.weight ?? 1),
    priority: quota?.priority ?? "normal",
  };
}

const NUMBERS = ["cpu", "gpu", "running_jobs"] as const;

/** The fields that are others than before, as the API takes them; null takes a limit away. */
export function changed(before: QuotaDraft, after: QuotaDraft): Partial<Schemas["QuotaUpdate"]> {
  const found: Record<string, unknown> = {};
  for (const name of NUMBERS) if (after[name].trim() !== before[name]) found[name] = after[name].trim() === "" ? null : Number(after[name]);
  if (after.memory.trim() !== before.memory) found.memory = after.memory.trim() === "" ? null : after.memory.trim();
  if (after.weight.trim() !== before.weight) found.weight = Number(after.weight.trim() || 1);
  if (after.priority !== before.priority) found.priority = after.priority;
  return found as Partial<Schemas["QuotaUpdate"]>;
}

/** The command line that makes the same change. */
export function words(project: string, change: Partial<Schemas["QuotaUpdate"]>): string[] {
  const options = Object.entries(change).flatMap(([name, value]) => [`--${name.replaceAll("_", "-")}`, value === null ? "none" : String(value)]);
  return ["nacre", "quota", "set", project, ...options];
}
