/** What a machine's GPUs and work amount to. Pure. */
import type { Schemas } from "@/api/client";

export type Work = Schemas["NodeWork"];

export interface WorkRow extends Work {
  /** Replicas of it on this machine; what it holds is that of all of them. */
  replicas: number;
}

/** The replicas of one attempt as one row, in the order in which they came. */
export function together(work: readonly Work[]): WorkRow[] {
  const found = new Map<string, WorkRow>();
  for (const one of work) {
    const key = [one.project, one.kind, one.name, one.since].join("/");
    const row = found.get(key);
    if (!row) {
      found.set(key, { ...one, gpus: { ...one.gpus }, replicas: 1 });
      continue;
    }
    row.replicas += 1;
    row.cpu += one.cpu;
    row.memory += one.memory;
    row.price_per_hour += one.price_per_hour;
    for (const [index, part] of Object.entries(one.gpus ?? {})) row.gpus = { ...row.gpus, [index]: (row.gpus?.[index] ?? 0) + part };
  }
  return [...found.values()];
}

/** The part that is taken of each device, from 0 to 1, in their order. */
export function gpuParts(gpus: readonly string[], used: Record<string, number>): number[] {
  return gpus.map((_, index) => Math.min(1, Math.max(0, used[index] ?? 0)));
}
