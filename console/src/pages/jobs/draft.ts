/**
 * A job being written. Its YAML is the one truth: the form shows what the YAML says, and a change in the form
 * is a change of the one place in the YAML that it is about, so that comments and order stay.
 */
import type { Document } from "yaml";
import type { Problem, Schemas } from "@/api/client";
import type { EditorError } from "@/ui/CodeEditor";

type Yaml = typeof import("yaml");
export type Path = (string | number)[];

/** Names that the server reads, too; the form writes the one that the YAML has already. */
const ALIASES: Record<string, string[]> = {
  name: ["display_name"],
  commands: ["run", "command", "entrypoint"],
  env: ["envs", "environment_variables"],
  tags: ["labels"],
  cpu: ["cpus"],
  disk: ["disk_size"],
  gpu: ["accelerators"],
  replicas: ["nodes", "num_nodes", "instance_count"],
  processes_per_replica: ["process_count_per_instance", "nproc_per_node"],
};

export class Draft {
  /** What the YAML says, or null where it is no mapping. */
  readonly value: Record<string, unknown> | null;
  /** Where it is no YAML, or no mapping. */
  readonly errors: EditorError[];
  private readonly document: Document.Parsed;
  private readonly lines: number[];

  constructor(
    private readonly yaml: Yaml,
    readonly text: string,
    notMapping: string,
  ) {
    this.lines = [0];
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.lines.push(at + 1);
    this.document = yaml.parseDocument(text, { prettyErrors: false });
    this.errors = this.document.errors.map((error) => ({ line: this.line(error.pos[0]), message: error.message }));
    let value: unknown = null;
    if (!this.errors.length) {
      try {
        value = this.document.toJS({ maxAliasCount: 100 }) ?? {};
      } catch (error) {
        this.errors.push({ line: 1, message: String(error) });
      }
    }
    const mapping = typeof value === "object" && value !== null && !Array.isArray(value);
    if (!mapping && !this.errors.length) this.errors.push({ line: 1, message: notMapping });
    this.value = mapping ? (value as Record<string, unknown>) : null;
  }

  private line(offset: number): number {
    let low = 0;
    let high = this.lines.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.lines[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  }

  /** The path as the YAML spells it: `env` may be `envs` there. */
  private spelled(path: Path): Path {
    let place: unknown = this.value;
    return path.map((part) => {
      const names = typeof part === "string" ? [part, ...(ALIASES[part] ?? [])] : [part];
      const here = typeof place === "object" && place !== null ? (place as Record<string | number, unknown>) : {};
      const found = names.find((name) => name in here) ?? part;
      place = here[found];
      return found;
    });
  }

  /** What is there; undefined where nothing is. */
  get(...path: Path): unknown {
    let place: unknown = this.value;
    for (const part of this.spelled(path)) {
      if (typeof place !== "object" || place === null) return undefined;
      place = (place as Record<string | number, unknown>)[part];
    }
    return place;
  }

  string(...path: Path): string {
    const found = this.get(...path);
    return found === undefined || found === null || typeof found === "object" ? "" : String(found);
  }

  /** The YAML with another value in one place; undefined, null, "" and what is empty take the place away. */
  with(path: Path, value: unknown): string {
    if (this.value === null) return this.text;
    const document = this.document.clone() as Document;
    const spelled = this.spelled(path);
    if (isEmpty(value)) {
      if (!document.hasIn(spelled)) return this.text;
      document.deleteIn(spelled);
      // A mapping that this left empty goes, too.
      for (let end = spelled.length - 1; end > 0; end -= 1) {
        const parent: unknown = document.getIn(spelled.slice(0, end));
        if (!this.yaml.isCollection(parent) || parent.items.length) break;
        document.deleteIn(spelled.slice(0, end));
      }
    } else {
      if (!this.yaml.isMap(document.contents)) document.contents = document.createNode({}) as never;
      const before: unknown = document.getIn(spelled, true);
      // A scalar keeps its comment when only its value changes.
      if (this.yaml.isScalar(before) && typeof value !== "object") before.value = value;
      else {
        const node = document.createNode(value);
        if (this.yaml.isCollection(before) && this.yaml.isCollection(node)) {
          node.comment = before.comment;
          node.commentBefore = before.commentBefore;
        }
        this.parents(document, spelled);
        document.setIn(spelled, node);
      }
    }
    if (this.yaml.isMap(document.contents) && !document.contents.items.length && !document.comment && !document.commentBefore) return "";
    return document.toString({ lineWidth: 0, flowCollectionPadding: false });
  }

  /** Whatever stands where a mapping has to be makes room for one. */
  private parents(document: Document, path: Path): void {
    for (let end = 1; end < path.length; end += 1) {
      const parent: unknown = document.getIn(path.slice(0, end));
      if (!this.yaml.isCollection(parent)) document.setIn(path.slice(0, end), document.createNode({}));
    }
  }

  /** The line of a field of the server's problem, such as `resources.memory`; of its nearest parent else. */
  lineOf(field: string): number {
    const parts: Path = field.split(".");
    for (let end = parts.length; end > 0; end -= 1) {
      const spelled = this.spelled(parts.slice(0, end));
      const last = spelled.at(-1)!;
      const parent: unknown = end === 1 ? this.document.contents : this.document.getIn(spelled.slice(0, -1), true);
      if (this.yaml.isMap(parent)) {
        const pair = parent.items.find((item) => this.yaml.isScalar(item.key) && String(item.key.value) === String(last));
        if (pair && this.yaml.isScalar(pair.key) && pair.key.range) return this.line(pair.key.range[0]);
      }
      if (this.yaml.isSeq(parent)) {
        const item: unknown = parent.items[Number(last)];
        if (this.yaml.isNode(item) && item.range) return this.line(item.range[0]);
      }
    }
    return 1;
  }
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === "object" && Object.keys(value).length === 0;
}

export interface FieldError {
  field: string;
  message: string;
}

/** What the server said about which fields. */
export function fieldErrors(problem: Problem): FieldError[] {
  const extra = problem.extra.extra as { fields?: FieldError[] } | undefined;
  return (extra?.fields ?? []).filter((one) => typeof one.field === "string" && typeof one.message === "string");
}

/** The names under which the form knows a field: `commands` for `run`, too. */
export function fieldOf(field: string): string {
  const [first = "", ...rest] = field.split(".");
  const known = Object.entries(ALIASES).find(([, names]) => names.includes(first));
  return [known ? known[0] : first, ...rest].join(".");
}

/** What does an earlier job again: the same code, versions of data, packages, commands and resources. */
export function again(job: Schemas["Job"], newest: boolean): Record<string, unknown> {
  const { spec, record } = job;
  const lock = newest ? null : (record?.lock_digest ?? spec.environment_lock);
  const inputs = Object.fromEntries(
    Object.entries(spec.inputs ?? {}).map(([name, input]) => {
      const path = record?.inputs?.[name] ?? input.path;
      const rest = { ...(input.as ? { as: input.as } : {}), ...(input.type !== "uri_folder" ? { type: input.type } : {}), ...(input.mode !== "ro_mount" ? { mode: input.mode } : {}) };
      return [name, Object.keys(rest).length ? { path, ...rest } : path];
    }),
  );
  const all: Record<string, unknown> = {
    description: spec.description,
    experiment_name: spec.experiment_name,
    commands: spec.commands,
    code: record?.code ?? spec.code,
    workdir: spec.workdir === "." ? null : spec.workdir,
    environment: spec.environment,
    environment_lock: lock,
    inputs,
    env: spec.env,
    secrets: spec.secrets,
    replicas: String(spec.replicas ?? 1) === "1" ? null : spec.replicas,
    processes_per_replica: (spec.processes_per_replica ?? 1) === 1 ? null : spec.processes_per_replica,
    distribution: distribution(spec.distribution),
    resume_from: spec.resume_from,
    instance_type: spec.instance_type,
    resources: spec.instance_type ? null : shape(spec.resources),
    max_duration: spec.max_duration,
    max_restarts: spec.max_restarts || null,
    priority: spec.priority === "normal" ? null : spec.priority,
    spot: spec.spot || null,
    stop_duration: spec.stop_duration === 10 ? null : spec.stop_duration,
    capture: spec.capture === "on" ? null : spec.capture,
    tags: spec.tags,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => !isEmpty(value)));
}

/** How processes find each other, as the YAML says it: a word, or a mapping. */
export function distributionOf(draft: Draft): { type: string; launch: string | null; servers: number | null; word: boolean } {
  const said = draft.get("distribution");
  const text = (value: unknown) => (typeof value === "string" && value ? value : null);
  if (typeof said !== "object" || said === null) return { type: text(said)?.toLowerCase() ?? "none", launch: null, servers: null, word: true };
  const { type, launch, parameter_server_count: servers } = said as Record<string, unknown>;
  return { type: text(type)?.toLowerCase() ?? "none", launch: text(launch), servers: typeof servers === "number" ? servers : null, word: false };
}

function distribution(of: Schemas["JobSpec"]["distribution"]): unknown {
  if (!of || of.type === "none") return null;
  const rest = { ...(of.launch ? { launch: of.launch } : {}), ...(of.parameter_server_count ? { parameter_server_count: of.parameter_server_count } : {}) };
  return Object.keys(rest).length ? { type: of.type, ...rest } : of.type;
}

const DEFAULTS = { cpu: 1, memory: 2 * 2 ** 30, gpu: 0, disk: 20 * 2 ** 30, shm_size: 2 ** 30 } as const;

function shape(resources: Schemas["Resources"] | undefined): Record<string, unknown> {
  const sizes = ["memory", "disk", "shm_size"];
  return Object.fromEntries(
    Object.entries(resources ?? {})
      .filter(([key, value]) => value !== null && DEFAULTS[key as keyof typeof DEFAULTS] !== value)
      .map(([key, value]) => [key, sizes.includes(key) ? sizeText(value as number) : value]),
  );
}

/** Bytes as they are written in a job: `4GB`. */
export function sizeText(bytes: number): string {
  for (const [unit, size] of [["GB", 2 ** 30], ["MB", 2 ** 20], ["KB", 2 ** 10]] as const) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}
