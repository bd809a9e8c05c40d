/** The command line that submits what the form says. Pure. */
import { distributionOf, type Draft } from "./draft";

export const FROM_FILE = ["nacre", "run", "-f", "job.yaml"];

/** Fields that `nacre run` has an option for, by their place in the job. */
const OPTIONS: [path: string[], option: string][] = [
  [["name"], "--name"],
  [["description"], "--message"],
  [["experiment_name"], "--experiment"],
  [["environment"], "--environment"],
  [["resources", "cpu"], "--cpu"],
  [["resources", "memory"], "--memory"],
  [["resources", "gpu"], "--gpu"],
  [["instance_type"], "--type"],
  [["max_duration"], "--max-duration"],
  [["max_restarts"], "--max-restarts"],
  [["replicas"], "--replicas"],
  [["processes_per_replica"], "--processes"],
  [["resume_from"], "--resume"],
  [["priority"], "--priority"],
];
/** What is said in another way below; with any other field, only a file says it all. */
const OTHERS = ["commands", "inputs", "env", "secrets", "resources", "distribution", "spot", "capture"];
const ALL = new Set([...OPTIONS.map(([[first]]) => first!), ...OTHERS]);

const isMapping = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
const isPlain = (value: unknown): value is string | number => typeof value === "string" || typeof value === "number";

/** The words of a command that no shell has to read; null: it has to. */
export function plainWords(command: string): string[] | null {
  const text = command.trim();
  return /^[\w./:@%+=, -]+$/.test(text) && !/^\w+=/.test(text) ? text.split(/ +/) : null;
}

/** `nacre run` with options where they say all of it, else from a file. `known`: the names of the draft's fields. */
export function runLine(draft: Draft, known: (field: string) => string): string[] {
  const value = draft.value;
  if (!value || Object.keys(value).some((field) => value[field] !== null && !ALL.has(known(field)))) return FROM_FILE;
  const found = command(draft);
  if (!found) return FROM_FILE;
  const words: string[] = [];
  for (const [path, option] of OPTIONS) {
    const said = draft.get(...path);
    if (said === undefined || said === null) continue;
    if (!isPlain(said)) return FROM_FILE;
    words.push(option, String(said));
  }
  const resources = draft.get("resources");
  if (isMapping(resources) && Object.keys(resources).some((field) => !["cpu", "memory", "gpu"].includes(known(field)))) return FROM_FILE;
  const more = [distribution(draft), inputs(draft.get("inputs")), pairs(draft.get("env")), secrets(draft.get("secrets")), switches(draft)];
  if (more.some((one) => one === null)) return FROM_FILE;
  const [first, ...rest] = found;
  return ["nacre", "run", ...words, ...more.flatMap((one) => one!), first!, ...(rest.length ? ["--", ...rest] : [])];
}

/** The one command: a script's name where its program is the usual one. */
function command(draft: Draft): string[] | null {
  const said = draft.get("commands");
  const all = Array.isArray(said) ? said : [said];
  if (all.length !== 1 || typeof all[0] !== "string") return null;
  const words = plainWords(all[0]);
  if (!words?.[0]) return null;
  const [program, script, ...rest] = words;
  if ((program === "python" && script?.endsWith(".py")) || (program === "sh" && script?.endsWith(".sh"))) return [script!, ...rest];
  // By itself, such a name would be run by its usual program.
  return /\.(py|sh)$/.test(program!) || program!.startsWith("-") ? null : words;
}

function distribution(draft: Draft): string[] | null {
  const said = draft.get("distribution");
  if (isMapping(said) && Object.keys(said).some((field) => field !== "type")) return null;
  const { type } = distributionOf(draft);
  return type === "none" ? [] : ["--distribution", type];
}

function inputs(said: unknown): string[] | null {
  if (said === undefined || said === null) return [];
  if (!isMapping(said)) return null;
  const words: string[] = [];
  for (const [name, input] of Object.entries(said)) {
    const { path, as, ...rest } = isMapping(input) ? input : { path: input };
    if (!isPlain(path) || Object.keys(rest).length || !(as === undefined || as === null || isPlain(as))) return null;
    words.push("--data", `${name}=${path}${as ? `,as=${as}` : ""}`);
  }
  return words;
}

function pairs(said: unknown): string[] | null {
  if (said === undefined || said === null) return [];
  if (!isMapping(said) || Object.values(said).some((value) => !isPlain(value))) return null;
  return Object.entries(said).flatMap(([name, value]) => ["--env", `${name}=${String(value)}`]);
}

function secrets(said: unknown): string[] | null {
  if (said === undefined || said === null) return [];
  if (!Array.isArray(said) || said.some((name) => typeof name !== "string")) return null;
  return said.flatMap((name) => ["--secret", String(name)]);
}

function switches(draft: Draft): string[] | null {
  const [spot, capture] = [draft.get("spot"), draft.get("capture")];
  return [...(spot === true ? ["--spot"] : []), ...(capture === "off" || capture === false ? ["--no-capture"] : [])];
}
