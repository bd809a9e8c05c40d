/** The stretches of a job's life, from the times that it and its attempts have. */
import type { Job } from "./job";

export type Phase = "queued" | "preparing" | "running" | "ended";

export interface Stretch {
  phase: Phase;
  /** Number of the attempt; null while it waits for one. */
  attempt: number | null;
  /** Milliseconds of the epoch. */
  from: number;
  to: number;
  /** Why it ended, of an attempt's last stretch. */
  reason: string | null;
  open: boolean;
}

const at = (iso: string) => new Date(iso).getTime();

export function stretches(job: Job, now: number): Stretch[] {
  const found: Stretch[] = [];
  const add = (phase: Phase, attempt: number | null, from: number, to: number | null, reason: string | null = null) => {
    const until = to ?? Math.max(now, from);
    if (until > from || to === null) found.push({ phase, attempt, from, to: until, reason, open: to === null });
  };
  const over = job.ended_at ? at(job.ended_at) : null;
  let free = at(job.created_at);
  for (const one of job.attempts ?? []) {
    const placed = at(one.created_at);
    const ended = one.ended_at ? at(one.ended_at) : over;
    add("queued", null, free, placed);
    if (one.started_at) {
      add("preparing", one.number, placed, at(one.started_at));
      add("running", one.number, at(one.started_at), ended, one.reason ?? null);
    } else add("preparing", one.number, placed, ended, one.reason ?? null);
    free = ended ?? now;
  }
  const active = (job.attempts ?? []).some((one) => !one.ended_at);
  if (!active || over !== null) {
    if (over === null) add("queued", null, free, null);
    else if (over - free > 1000) add((job.attempts ?? []).length ? "ended" : "queued", null, free, over);
  }
  return found;
}

/** Round numbers of seconds between 0 and `seconds`, about `count` of them. */
export function ticks(seconds: number, count = 5): number[] {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400];
  const step = steps.find((one) => seconds / one <= count) ?? Math.ceil(seconds / count / 86_400) * 86_400;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step);
}
