/** How the work of a job really was kept apart from the machine, as its launchers reported it. Pure. */
import type { Replica } from "./timeline";

/** Values are the launcher's words (`cgroup`, `rlimit`, `watched`, `not enforced`); null: no limit was asked for. */
export interface Held {
  sandbox?: string;
  level?: string;
  /** Sentences: what is not stopped. */
  missing?: string[];
  uid?: number | null;
  memory?: string | null;
  processes?: string | null;
  cpu?: string | null;
  disk?: string | null;
  network?: string;
  seccomp?: boolean;
  [more: string]: unknown;
}

export interface HeldGroup {
  ranks: number[];
  held: Held;
}

/** Replicas that were held alike, together; those that have not reported are left out. */
export function held(replicas: readonly Pick<Replica, "rank" | "isolation">[]): HeldGroup[] {
  const found = new Map<string, HeldGroup>();
  for (const { rank, isolation } of replicas) {
    if (!isolation) continue;
    const same = JSON.stringify(Object.entries(isolation).sort(([a], [b]) => (a < b ? -1 : 1)));
    const there = found.get(same);
    if (there) there.ranks.push(rank);
    else found.set(same, { ranks: [rank], held: isolation });
  }
  return [...found.values()];
}

const LEVELS = ["full", "partial", "reduced"] as const;
export type Level = (typeof LEVELS)[number];

/** What the launcher summed up; of older ones: full is the sandbox, the filter and the kernel's own limits, reduced no sandbox. */
export function levelOf({ level, sandbox = "none", memory, processes, seccomp }: Held): Level {
  const told = LEVELS.find((one) => one === level);
  if (told) return told;
  if (sandbox === "none") return "reduced";
  const kernels = [memory, processes].every((how) => how === null || how === undefined || how === "cgroup");
  return kernels && seccomp ? "full" : "partial";
}

/** Numbers in order, neighbours as one: `0–2, 5`. */
export function ranges(ranks: readonly number[]): string {
  const sorted = [...ranks].sort((a, b) => a - b);
  const parts: [number, number][] = [];
  for (const rank of sorted) {
    const last = parts.at(-1);
    if (last && rank <= last[1] + 1) last[1] = rank;
    else parts.push([rank, rank]);
  }
  return parts.map(([from, to]) => (from === to ? String(from) : to === from + 1 ? `${from}, ${to}` : `${from}–${to}`)).join(", ");
}
