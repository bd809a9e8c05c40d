/** What the pages of jobs share. */
import { api, ask, type Schemas } from "@/api/client";
import { bytes } from "@/ui/format";
import { accrued } from "@/ui/ticking";
import { amount } from "./words";

export type Job = Schemas["Job"];

const FINAL = ["succeeded", "failed", "cancelled"];
export const JOB_STATES = ["queued", "preparing", "starting", "running", "stopping", ...FINAL] as const;

export const hasEnded = (job: Job) => FINAL.includes(job.state);

/** Seconds from its first start to its end, or to now. */
export function ranFor(job: Job, now: number): number | null {
  if (!job.started_at) return null;
  const end = job.ended_at ? new Date(job.ended_at).getTime() : now;
  return Math.max(0, (end - new Date(job.started_at).getTime()) / 1000);
}

/** Whether something of it is allocated now, which costs. */
export const isAllocated = (job: Job) => ["preparing", "starting", "running", "stopping"].includes(job.state);

/** What it has cost by now; `asOf` is when the server said `job.cost`. */
export function costNow(job: Job, asOf: number, now: number): number {
  return isAllocated(job) ? accrued(job, asOf, now) : job.cost;
}

interface Asked {
  /** Or `1..4`. */
  replicas?: number | string | undefined;
  cpu?: number | undefined;
  memory?: number | undefined;
  gpu?: number | undefined;
  gpu_name?: string | null | undefined;
}

/** What something asks for: `2 CPU, 4.0 GiB, 1 H100`; of several replicas `4 × (…)`. */
export function asks({ replicas = 1, cpu = 1, memory, gpu, gpu_name }: Asked): string {
  const parts = [`${amount(cpu)} CPU`, bytes(memory)];
  if (gpu) parts.push(`${amount(gpu)} ${gpu_name ?? "GPU"}`);
  const each = parts.join(", ");
  return String(replicas) === "1" ? each : `${String(replicas).replace("..", "–")} × (${each})`;
}

export const asksFor = (job: Job): string => asks({ ...(job.record?.hardware as Asked | undefined), replicas: job.spec.replicas });

/** How many replicas it wants, where that is not one: `2`, `1..4`. */
export const replicasOf = (spec: Job["spec"]): string | null => (String(spec.replicas ?? 1) === "1" ? null : String(spec.replicas));

/** As many replicas as any of its attempts had, or as it asks for at most. */
export function mostReplicas(job: Job): number {
  const most = Number(String(job.spec.replicas ?? 1).split("..").at(-1));
  return Math.max(most, ...(job.attempts ?? []).map((one) => one.replicas?.length ?? 0));
}

export const jobKey = (project: string, name: string) => ["job", project, name] as const;

export const getJob = (project: string, job: string) =>
  ask(api.GET("/api/v1/projects/{project}/jobs/{job}", { params: { path: { project, job } } }));
