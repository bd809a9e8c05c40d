/** The phases of a job, of its attempts and their replicas, from the times that they have. Pure. */
import type { Schemas } from "@/api/client";
import type { Job } from "./job";

export type Attempt = Schemas["Attempt"];
export type Replica = Schemas["Replica"];

/** In the order in which they come. `waiting`: prepared, until all of the gang are. */
export const PHASES = ["queued", "backing_off", "preparing", "waiting", "running", "ending"] as const;
export type Phase = (typeof PHASES)[number];

export interface Stretch {
  phase: Phase;
  /** Milliseconds of the epoch. */
  from: number;
  to: number;
  /** It goes on. */
  open: boolean;
}

/** A line of the chart. */
export interface Row {
  key: string;
  /** Number of the attempt; null: the job's own, while it has none. */
  attempt: number | null;
  /** Of a gang's replica; null: the attempt is one replica. */
  rank: number | null;
  stretches: Stretch[];
}

const at = (iso: string) => new Date(iso).getTime();
const time = (iso: string | null | undefined) => (iso ? at(iso) : null);

export const isGang = (attempt: Attempt) => (attempt.replicas?.length ?? 0) > 1;

/** Gathers stretches one after the other: none begins before the one before it ended, whatever clocks say. */
class Line {
  readonly stretches: Stretch[] = [];
  private end = -Infinity;

  constructor(private readonly now: number) {}

  /** `to` null: it goes on. What takes no time is left out. */
  add(phase: Phase, from: number, to: number | null): void {
    const start = Math.max(from, this.end);
    const until = Math.max(start, to ?? this.now);
    this.end = until;
    if (until > start || to === null) this.stretches.push({ phase, from: start, to: until, open: to === null });
  }
}

function work(placed: number, its: Pick<Replica, "ready_at" | "started_at" | "ended_at">, over: number | null, now: number): Stretch[] {
  const line = new Line(now);
  const [ready, started] = [time(its.ready_at), time(its.started_at)];
  const ended = time(its.ended_at) ?? over;
  line.add("preparing", placed, ready ?? started ?? ended);
  if (ready !== null) line.add("waiting", ready, started ?? ended);
  if (started !== null) line.add("running", started, ended);
  return line.stretches;
}

/** The job's own line first, then those of each attempt: of its replicas where it has several. */
export function rows(job: Job, now: number): Row[] {
  const attempts = job.attempts ?? [];
  const over = time(job.ended_at);
  const line = new Line(now);
  const found: Row[] = [];
  let free = at(job.created_at);
  for (const one of attempts) {
    const placed = at(one.created_at);
    const ended = time(one.ended_at) ?? over;
    line.add("queued", free, placed);
    if (isGang(one)) {
      for (const its of one.replicas ?? []) {
        found.push({ key: `${one.number}.${its.rank}`, attempt: one.number, rank: its.rank, stretches: work(placed, its, ended, now) });
      }
    } else {
      const its = { ...one, ready_at: one.replicas?.[0]?.ready_at ?? null };
      found.push({ key: String(one.number), attempt: one.number, rank: null, stretches: work(placed, its, ended, now) });
    }
    free = ended ?? now;
  }
  const active = attempts.some((one) => !one.ended_at);
  if (over !== null) {
    if (over - free > 1000) line.add(attempts.length ? "ending" : "queued", free, over);
  } else if (!active) {
    const again = time(job.retry_at) ?? 0;
    if (again > free) line.add("backing_off", free, again > now ? null : again);
    if (again <= now) line.add("queued", Math.max(free, again), null);
  }
  return [{ key: "job", attempt: null, rank: null, stretches: line.stretches }, ...found];
}

/** Seconds that the job waited for each of its attempts, by its number. */
export function waits(job: Job): Map<number, number> {
  const found = new Map<number, number>();
  let free = at(job.created_at);
  for (const one of job.attempts ?? []) {
    const placed = at(one.created_at);
    found.set(one.number, Math.max(0, placed - free) / 1000);
    free = time(one.ended_at) ?? placed;
  }
  return found;
}

/** From the first to the last moment of the lines, those of one attempt only where it is given. */
export function span(all: readonly Row[], attempt: number | null = null): [from: number, to: number] {
  const shown = all.filter((row) => attempt === null || row.attempt === attempt).flatMap((row) => row.stretches);
  const from = Math.min(...shown.map((one) => one.from));
  const to = Math.max(...shown.map((one) => one.to));
  return Number.isFinite(from) ? [from, Math.max(to, from + 1)] : [0, 1];
}

/** Where a stretch is drawn in the part of time that is shown, in percent; null: outside of it. */
export function bar(one: Stretch, [from, to]: readonly [number, number]): { left: number; width: number } | null {
  const [start, end] = [Math.max(one.from, from), Math.min(one.to, to)];
  if (end < start || (end === start && one.to > one.from)) return null;
  const percent = (ms: number) => (100 * ms) / (to - from);
  return { left: percent(start - from), width: percent(end - start) };
}

/** Round numbers of seconds between 0 and `seconds`, about `count` of them. */
export function ticks(seconds: number, count = 5): number[] {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400];
  const step = steps.find((one) => seconds / one <= count) ?? Math.ceil(seconds / count / 86_400) * 86_400;
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, i) => i * step);
}
