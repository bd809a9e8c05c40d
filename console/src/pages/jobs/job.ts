/** What the pages of jobs share. */
import { api, ask, type Schemas } from "@/api/client";
import { bytes } from "@/ui/format";
import { accrued } from "@/ui/ticking";

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

/** What it asks for: `2 CPU, 4 GiB, 1 H100`. */
export function asksFor(job: Job): string {
  const hardware = (job.record?.hardware ?? {}) as { cpu?: number; memory?: number; gpu?: number; gpu_name?: string | null };
  const parts = [`${hardware.cpu ?? 1} CPU`, bytes(hardware.memory)];
  if (hardware.gpu) parts.push(`${hardware.gpu} ${hardware.gpu_name ?? "GPU"}`);
  return parts.join(", ");
}

export const jobKey = (project: string, name: string) => ["job", project, name] as const;

export const getJob = (project: string, job: string) =>
  ask(api.GET("/api/v1/projects/{project}/jobs/{job}", { params: { path: { project, job } } }));
