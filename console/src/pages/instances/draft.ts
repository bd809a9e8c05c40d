/** A new instance as the form has it, and the command that makes the same. */
import type { Schemas } from "@/api/client";

export interface Mount {
  /** Below `/data`. */
  name: string;
  /** `digits@3`, or `digits` for the latest. */
  path: string;
}

export interface Draft {
  name: string;
  type: string;
  environment: string;
  mounts: Mount[];
  idle: string;
  secrets: string[];
  start: boolean;
}

export const IDLE = { "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14_400, "8h": 28_800, "24h": 86_400 } as const;
export type Idle = keyof typeof IDLE;
export const DEFAULT_IDLE: Idle = "1h";

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

export type Wrong = Partial<Record<"name" | "mounts", "badName" | "badMount" | "twice">>;

/** What the server would refuse. */
export function wrongOf(draft: Draft): Wrong {
  const wrong: Wrong = {};
  if (draft.name && !NAME.test(draft.name)) wrong.name = "badName";
  const names = draft.mounts.map((one) => one.name);
  if (draft.mounts.some((one) => !NAME.test(one.name) || !one.path)) wrong.mounts = "badMount";
  else if (new Set(names).size !== names.length) wrong.mounts = "twice";
  return wrong;
}

export function bodyOf(draft: Draft): Schemas["InstanceCreate"] {
  return {
    app: "jupyterlab",
    type: draft.type,
    environment: draft.environment,
    name: draft.name || null,
    data: Object.fromEntries(draft.mounts.map((one) => [one.name, { path: one.path }])) as never,
    idle_timeout: IDLE[draft.idle as Idle],
    secrets: draft.secrets,
    start: draft.start,
    runs: [],
    temporary: false,
  };
}

/** `nacre instance create …`; what is the command's own default is left out. */
export function wordsOf(draft: Draft): string[] {
  const words = ["nacre", "instance", "create"];
  if (draft.name) words.push(draft.name);
  words.push("--type", draft.type, "--env", draft.environment);
  for (const { name, path } of draft.mounts) words.push("--data", path.split("@")[0] === name ? path : `${name}=${path}`);
  if (draft.idle !== DEFAULT_IDLE) words.push("--idle-timeout", draft.idle);
  for (const secret of draft.secrets) words.push("--secret", secret);
  if (!draft.start) words.push("--no-start");
  return words;
}

/** The name under which a dataset is mounted: its own, or with a number where that is taken. */
export function mountName(dataset: string, mounts: Mount[]): string {
  const taken = new Set(mounts.map((one) => one.name));
  let name = dataset;
  for (let number = 2; taken.has(name); number += 1) name = `${dataset}-${String(number)}`;
  return name;
}
