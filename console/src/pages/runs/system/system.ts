/** Which charts a run's system metrics make: a line for each replica and device in each. Pure. */
import type { Schemas } from "@/api/client";

export const PREFIX = "system/";

/** What a chart shows. `other`: a key that nothing is known of. */
export const FAMILIES = ["cpu", "memory", "gpu", "gpuMemory", "gpuPower", "disk", "diskRate", "network", "processes", "other"] as const;
export type Family = (typeof FAMILIES)[number];

/** How values are written: of `bytes` and `rate` (a second) the key's are in MB of 1,000,000 bytes, as MLflow's. */
export type Unit = "percent" | "bytes" | "rate" | "watts" | "count";

export interface SystemLine {
  key: string;
  /** Of the replica; null: the run is of one. */
  rank: number | null;
  /** Of a GPU: its place among the replica's. */
  device: number | null;
  /** Of what goes two ways. */
  way: "read" | "write" | "receive" | "transmit" | null;
}

export interface SystemChart {
  family: Family;
  unit: Unit;
  /** Of `other`: the key's name. */
  name: string;
  lines: SystemLine[];
}

const KEY = /^system\/(?:(\d+)\/)?([^/]+)$/;

interface Known {
  family: Family;
  unit: Unit;
  device: number | null;
  way: SystemLine["way"];
}

function known(name: string): Known | null {
  const one = (family: Family, unit: Unit, device: number | null = null, way: SystemLine["way"] = null): Known => ({ family, unit, device, way });
  if (name === "cpu_utilization_percentage") return one("cpu", "percent");
  if (name === "system_memory_usage_megabytes") return one("memory", "bytes");
  if (name === "disk_usage_megabytes") return one("disk", "bytes");
  if (name === "processes" || name === "process_count") return one("processes", "count");
  const gpu = /^gpu_(\d+)_(utilization_percentage|memory_usage_megabytes|power_usage_watts)$/.exec(name);
  if (gpu) {
    const device = Number(gpu[1]);
    if (gpu[2]!.startsWith("util")) return one("gpu", "percent", device);
    return gpu[2]!.startsWith("memory") ? one("gpuMemory", "bytes", device) : one("gpuPower", "watts", device);
  }
  const traffic = /^(disk|network)_(read|write|receive|transmit)_megabytes(_per_second)?$/.exec(name);
  if (traffic) return one(traffic[1] === "disk" ? "diskRate" : "network", traffic[3] ? "rate" : "bytes", null, traffic[2] as SystemLine["way"]);
  return null;
}

/** Said already by another key of the same thing. */
const REPEATED = /^(system_memory_usage|gpu_\d+_memory_usage|gpu_\d+_power_usage|disk_usage)_percentage$/;

/** A run's system metric; null: the key is another's. */
export function parse(key: string): { rank: number | null; name: string } | null {
  const found = KEY.exec(key);
  return found ? { rank: found[1] === undefined ? null : Number(found[1]), name: found[2]! } : null;
}

export const isSystem = (key: string) => parse(key) !== null;

const order = (a: SystemLine, b: SystemLine) =>
  (a.rank ?? -1) - (b.rank ?? -1) || (a.device ?? -1) - (b.device ?? -1) || (a.way ?? "").localeCompare(b.way ?? "");

/** The charts of some keys, in the order of `FAMILIES`; of `ranks` only, where some are given. */
export function charts(keys: Iterable<string>, ranks: ReadonlySet<number> | null = null): SystemChart[] {
  const found = new Map<string, SystemChart>();
  for (const key of keys) {
    const said = parse(key);
    if (!said || REPEATED.test(said.name) || (ranks && said.rank !== null && !ranks.has(said.rank))) continue;
    const is = known(said.name) ?? { family: "other" as const, unit: "count" as const, device: null, way: null };
    const id = is.family === "other" ? said.name : is.family;
    const chart = found.get(id) ?? { family: is.family, unit: is.unit, name: said.name, lines: [] };
    chart.lines.push({ key, rank: said.rank, device: is.device, way: is.way });
    found.set(id, chart);
  }
  for (const chart of found.values()) chart.lines.sort(order);
  return [...found.values()].sort((a, b) => FAMILIES.indexOf(a.family) - FAMILIES.indexOf(b.family) || a.name.localeCompare(b.name));
}

/** The ranks that the keys are of, in order. */
export function ranksOf(keys: Iterable<string>): number[] {
  const found = new Set<number>();
  for (const key of keys) {
    const rank = parse(key)?.rank;
    if (rank !== null && rank !== undefined) found.add(rank);
  }
  return [...found].sort((a, b) => a - b);
}

const MB = 1_000_000;
const STEPS = [
  { name: "B", size: 1 },
  { name: "KiB", size: 2 ** 10 },
  { name: "MiB", size: 2 ** 20 },
  { name: "GiB", size: 2 ** 30 },
  { name: "TiB", size: 2 ** 40 },
] as const;

export interface Scale {
  /** What the values are in: `GiB`, `MiB/s`, `%`. */
  name: string;
  /** From the key's values. */
  factor: number;
}

/** How a chart's values are written, so that the greatest has few digits. `most`: in the key's own unit. */
export function scaleOf(unit: Unit, most: number): Scale {
  if (unit === "percent") return { name: "%", factor: 1 };
  if (unit === "watts") return { name: "W", factor: 1 };
  if (unit === "count") return { name: "", factor: 1 };
  const step = [...STEPS].reverse().find((one) => most * MB >= one.size) ?? STEPS[0];
  return { name: unit === "rate" ? `${step.name}/s` : step.name, factor: MB / step.size };
}

/** What a job's replica may have at most, in the unit of the family's keys (of the processor: percent of what it asked for); null: nothing is known. */
export function limitOf(family: Family, job: Schemas["Job"] | null | undefined): number | null {
  const hardware = (job?.record?.hardware ?? {}) as { memory?: number; disk?: number };
  if (family === "memory") return hardware.memory ? hardware.memory / MB : null;
  if (family === "disk") return hardware.disk ? hardware.disk / MB : null;
  return family === "cpu" ? 100 : null;
}
