/** An endpoint's scaling and settings as text in a form, and the changes that a PATCH takes. Pure. */
import type { Schemas } from "@/api/client";
import { sizeText } from "@/pages/jobs/draft";
import { sameSchedules, scheduleBody, type ScheduleDraft, scheduleDraft, scheduleWords } from "./schedules";

type Endpoint = Pick<Schemas["Endpoint"], "scaling" | "settings">;

/** How a field is written: a share in percent, a size with its unit, origins one a line. */
type Kind = "number" | "percent" | "size" | "name" | "lines";

interface Field {
  kind: Kind;
  /** Where it is in the PATCH. */
  path: readonly string[];
  /** The option of `nacre endpoint set`; without one there is none. */
  option?: string;
  /** Empty is null: the server's own default. */
  empty?: boolean;
}

export const FIELDS = {
  min_replicas: { kind: "number", path: ["scaling", "min_replicas"], option: "--min" },
  max_replicas: { kind: "number", path: ["scaling", "max_replicas"], option: "--max" },
  target: { kind: "number", path: ["scaling", "target"], option: "--target" },
  idle_s: { kind: "number", path: ["scaling", "idle_s"], option: "--idle" },
  max_batch: { kind: "number", path: ["settings", "max_batch"], option: "--max-batch", empty: true },
  concurrency: { kind: "number", path: ["settings", "concurrency"], option: "--concurrency", empty: true },
  queue: { kind: "number", path: ["settings", "queue"], option: "--queue", empty: true },
  timeout_s: { kind: "number", path: ["settings", "timeout_s"], option: "--timeout", empty: true },
  memory_bytes: { kind: "size", path: ["settings", "memory_bytes"], option: "--memory", empty: true },
  max_request_bytes: { kind: "size", path: ["settings", "max_request_bytes"], option: "--max-request", empty: true },
  max_response_bytes: { kind: "size", path: ["settings", "max_response_bytes"], option: "--max-response", empty: true },
  access_log: { kind: "percent", path: ["settings", "access_log"], option: "--access-log" },
  cors_origins: { kind: "lines", path: ["settings", "cors_origins"], option: "--cors" },
  capture_dataset: { kind: "name", path: ["settings", "capture", "dataset"], option: "--capture" },
  capture_share: { kind: "percent", path: ["settings", "capture", "share"], option: "--capture-share" },
  capture_budget: { kind: "size", path: ["settings", "capture", "budget_bytes"], option: "--capture-budget" },
  window_s: { kind: "number", path: ["settings", "rollback", "window_s"] },
  min_requests: { kind: "number", path: ["settings", "rollback", "min_requests"] },
  error_rate: { kind: "percent", path: ["settings", "rollback", "error_rate"], option: "--error-rate" },
  latency_factor: { kind: "number", path: ["settings", "rollback", "latency_factor"], option: "--latency-factor" },
} as const satisfies Record<string, Field>;

export type FieldName = keyof typeof FIELDS;
export type SettingsDraft = Record<FieldName, string> & { rollback: boolean; schedules: ScheduleDraft[] };

export const GROUPS = {
  scaling: ["min_replicas", "max_replicas", "target", "idle_s"],
  calls: ["max_batch", "concurrency", "queue", "timeout_s", "memory_bytes", "max_request_bytes", "max_response_bytes", "access_log", "cors_origins"],
  capture: ["capture_dataset", "capture_share", "capture_budget"],
  rollback: ["error_rate", "latency_factor", "min_requests", "window_s"],
} as const satisfies Record<string, readonly FieldName[]>;

/** What capture begins with, as the API has it by default. */
const CAPTURE = { share: 0.01, budget_bytes: 100 * 2 ** 20 };
const NAMES = Object.keys(FIELDS) as FieldName[];
const SIZE = /^(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?$/i;

const field = (name: FieldName): Field => FIELDS[name];
/** Without the dust of binary fractions: 7 percent, not 7.000000000000001. */
const neat = (value: number) => Number(value.toPrecision(12));

function written(kind: Kind, value: unknown): string {
  if (value === null || value === undefined) return "";
  if (kind === "percent") return String(neat((value as number) * 100));
  if (kind === "size") return sizeText(value as number);
  if (kind === "lines") return (value as string[]).join("\n");
  return String(value);
}

/** What the API takes. What cannot be read goes as it is: the server says what is wrong with it. */
function read(name: FieldName, text: string): unknown {
  const { kind, empty } = field(name);
  const word = text.trim();
  if (kind === "lines") return text.split(/[\s,]+/).filter(Boolean);
  if (kind === "name") return word;
  if (word === "") return empty ? null : word;
  if (kind === "size") {
    const match = SIZE.exec(word);
    return match ? Math.trunc(Number(match[1]) * 1024 ** " KMGT".indexOf(match[2]!.toUpperCase() || " ")) : word;
  }
  const value = Number(word);
  if (!Number.isFinite(value)) return word;
  return kind === "percent" ? neat(value / 100) : value;
}

function at(endpoint: Endpoint, path: readonly string[]): unknown {
  return path.reduce<unknown>((from, key) => (from as Record<string, unknown> | null | undefined)?.[key], endpoint);
}

export function draftOf(endpoint: Endpoint): SettingsDraft {
  const texts = Object.fromEntries(NAMES.map((name) => [name, written(field(name).kind, at(endpoint, field(name).path))]));
  if (!endpoint.settings.capture) {
    texts.capture_share = written("percent", CAPTURE.share);
    texts.capture_budget = written("size", CAPTURE.budget_bytes);
  }
  const schedules = endpoint.scaling.schedules.map(scheduleDraft);
  return { ...(texts as Record<FieldName, string>), rollback: endpoint.settings.rollback.enabled, schedules };
}

/** The fields that differ. Those of capture are one thing: without a dataset none of them means anything. */
export function differing(before: SettingsDraft, after: SettingsDraft): FieldName[] {
  const off = before.capture_dataset === "" && after.capture_dataset.trim() === "";
  return NAMES.filter((name) => {
    if (off && name.startsWith("capture_")) return false;
    return JSON.stringify(read(name, before[name])) !== JSON.stringify(read(name, after[name]));
  });
}

/** The body of the PATCH: what differs, and nothing else; null where nothing does. */
export function changes(before: SettingsDraft, after: SettingsDraft): Record<string, unknown> | null {
  const names = differing(before, after);
  const found: Record<string, Record<string, unknown>> = {};
  const put = (path: readonly string[], value: unknown) => {
    let into: Record<string, unknown> = found;
    for (const key of path.slice(0, -1)) into = (into[key] ??= {}) as Record<string, unknown>;
    into[path.at(-1)!] = value;
  };
  for (const name of names.filter((one) => !one.startsWith("capture_"))) put(field(name).path, read(name, after[name]));
  if (names.some((one) => one.startsWith("capture_"))) {
    if (after.capture_dataset.trim() === "") put(["settings", "capture"], null);
    else for (const name of GROUPS.capture) put(field(name).path, read(name, after[name]));
  }
  if (!sameSchedules(before.schedules, after.schedules)) put(["scaling", "schedules"], after.schedules.map(scheduleBody));
  if (before.rollback !== after.rollback) put(["settings", "rollback", "enabled"], after.rollback);
  return Object.keys(found).length ? found : null;
}

/** The command that does the same; null where something of it has no option. */
export function words(endpoint: string, before: SettingsDraft, after: SettingsDraft): string[] | null {
  const names = differing(before, after);
  const captured = names.some((one) => one.startsWith("capture_"));
  const found = ["nacre", "endpoint", "set", endpoint];
  for (const name of names.filter((one) => !one.startsWith("capture_"))) {
    const { option, kind } = field(name);
    const value = read(name, after[name]);
    if (!option) return null;
    if (value === null) found.push("--default", name);
    else if (kind === "lines") for (const one of (value as string[]).length ? (value as string[]) : [""]) found.push(option, one);
    else if (name === "idle_s") found.push(option, `${String(value)}s`);
    else found.push(option, kind === "size" ? after[name].trim() : String(value));
  }
  if (captured && after.capture_dataset.trim() === "") found.push("--default", "capture");
  else if (captured) {
    found.push("--capture", after.capture_dataset.trim(), "--capture-share", String(read("capture_share", after.capture_share)));
    found.push("--capture-budget", after.capture_budget.trim());
  }
  if (!sameSchedules(before.schedules, after.schedules)) {
    const each = after.schedules.map(scheduleWords);
    for (const one of each.length ? each : [""]) found.push("--schedule", one);
  }
  if (before.rollback !== after.rollback) found.push(after.rollback ? "--rollback" : "--no-rollback");
  return found.length > 4 ? found : null;
}

/** Which field the server means by `settings.capture.share`. */
export function nameOf(path: string): FieldName | null {
  return NAMES.find((name) => path === field(name).path.join(".") || path.startsWith(`${field(name).path.join(".")}.`)) ?? null;
}
