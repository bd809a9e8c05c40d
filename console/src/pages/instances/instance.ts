/** What the pages of instances share. */
import { api, ask, type Schemas } from "@/api/client";
import { useMay } from "@/app/project";
import { useUser } from "@/app/session";
import { accrued } from "@/ui/ticking";

export type Instance = Schemas["Instance"];
export type InstanceType = Schemas["InstanceType"];

export const INSTANCE_STATES = ["running", "starting", "queued", "stopping", "stopped", "failed"] as const;

export const isAtRest = (one: Instance) => one.state === "stopped" || one.state === "failed";
export const isTensorBoard = (one: Instance) => one.app === "tensorboard";
export const appOf = (one: Instance) => (isTensorBoard(one) ? "TensorBoard" : "JupyterLab");

/** Whether something of it is allocated now, which costs. */
export const isAllocated = (one: Instance) => ["starting", "running", "stopping"].includes(one.state);

/** What it has cost by now; `asOf` is when the server said `one.cost`. */
export function costNow(one: Instance, asOf: number, now: number): number {
  return isAllocated(one) ? accrued(one, asOf, now) : (one.cost ?? 0);
}

/** Seconds until it stops by itself, unless somebody works in it; null where it does not run. */
export function idleLeft(one: Instance, asOf: number, now: number): number | null {
  if (one.state !== "running" || one.idle_s === null || one.idle_s === undefined) return null;
  return Math.max(0, one.idle_timeout - one.idle_s - Math.max(0, now - asOf) / 1000);
}

/** `59:08`, `2:00:00`: a time that ticks, always as wide. */
export function clock(seconds: number): string {
  const whole = Math.ceil(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : String(part))).join(":");
}

/** Whether one may open it: a token that acts as its user is inside. */
export function useMayOpen(one: Instance | undefined): boolean {
  const user = useUser();
  const isOwner = useMay("owner");
  const isEditor = useMay("editor");
  return one !== undefined && isEditor && (isOwner || one.user === user.name);
}

export const LIMIT = 200;
export const listKey = (project: string) => ["instances", project, "list"] as const;
export const instanceKey = (project: string, name: string) => ["instance", project, name] as const;

export const listInstances = (project: string) =>
  ask(api.GET("/api/v1/projects/{project}/instances", { params: { path: { project }, query: { limit: LIMIT } } }));

export const getInstance = (project: string, instance: string) =>
  ask(api.GET("/api/v1/projects/{project}/instances/{instance}", { params: { path: { project, instance } } }));

export const startInstance = (project: string, instance: string) =>
  ask(api.POST("/api/v1/projects/{project}/instances/{instance}/start", { params: { path: { project, instance } } }));

export const stopInstance = (project: string, instance: string) =>
  ask(api.POST("/api/v1/projects/{project}/instances/{instance}/stop", { params: { path: { project, instance } } }));

export const deleteInstance = (project: string, instance: string) =>
  ask(api.DELETE("/api/v1/projects/{project}/instances/{instance}", { params: { path: { project, instance } } }));

export const openInstance = (project: string, instance: string) =>
  ask(api.POST("/api/v1/projects/{project}/instances/{instance}/open", { params: { path: { project, instance } } }));

export const listTypes = () => ask(api.GET("/api/v1/instance-types"));
