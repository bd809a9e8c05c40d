/** How far a project is on the eight steps: what exists in it, not what somebody clicked. */
import type { Schemas } from "@/api/client";
import { SAMPLE } from "./sample/sample";

export const STEPS = ["account", "instance", "environment", "data", "code", "train", "evaluate", "deploy"] as const;
export type StepName = (typeof STEPS)[number];

/** `busy`: it works on it; `failed`: the last try did not get there. */
export type StepState = "done" | "busy" | "failed" | "todo";

/** `digits`: the ready-made one. `own`: with one's own data. */
export type Way = "digits" | "own";

export interface Lists {
  instances: Schemas["Instance"][];
  environments: Schemas["Environment"][];
  data: Schemas["Dataset"][];
  jobs: Schemas["Job"][];
  models: Schemas["Model"][];
  endpoints: Schemas["Endpoint"][];
}
export const EMPTY: Lists = { instances: [], environments: [], data: [], jobs: [], models: [], endpoints: [] };

/** A work that is done well at least once is done; else its latest try tells. */
function state<T>(tries: T[], of: (one: T) => StepState): StepState {
  const states = tries.map(of);
  return states.includes("done") ? "done" : (states[0] ?? "todo");
}

const RUNNING = new Set(["queued", "preparing", "starting", "running", "stopping"]);
const jobState = ({ state }: Schemas["Job"]): StepState => (state === "succeeded" ? "done" : RUNNING.has(state) ? "busy" : "failed");

const environmentState = ({ state }: Schemas["Environment"]): StepState =>
  state === "ready" ? "done" : state === "resolving" || state === "building" ? "busy" : state === "failed" ? "failed" : "todo";

const endpointState = ({ state }: Schemas["Endpoint"]): StepState =>
  state === "ready" || state === "updating" ? "done" : state === "failed" ? "failed" : "busy";

/** Of an evaluation; before it, of what it needs: a model in its ONNX form. */
function modelState({ latest }: Schemas["Model"]): StepState {
  const states = (latest?.evaluations ?? []).map(({ state }) => state);
  if (states.includes("succeeded")) return "done";
  if (states[0]) return states[0] === "running" ? "busy" : "failed";
  if (latest?.conversion === "failed") return "failed";
  return latest?.conversion === "pending" || latest?.conversion === "converting" ? "busy" : "todo";
}

/** What belongs to a way: everything, or what the ready-made path makes. */
export function belonging(lists: Lists, way: Way): Lists {
  const tasks = lists.jobs.filter((job) => job.kind === "task");
  if (way === "own") return { ...lists, jobs: tasks };
  return {
    instances: lists.instances,
    environments: lists.environments.filter(({ name }) => name === "sklearn"),
    data: lists.data.filter(({ name }) => name === SAMPLE.training || name === SAMPLE.held),
    jobs: tasks.filter(({ spec }) => spec.tags?.starter === "digits" || Object.values(spec.inputs ?? {}).some(({ path }) => path.split("@")[0] === SAMPLE.training)),
    models: lists.models.filter(({ name }) => name === "digits"),
    endpoints: lists.endpoints.filter(({ model }) => model === "digits"),
  };
}

/** Jobs, versions and so on are listed newest first. */
export function progress(lists: Lists, way: Way): Record<StepName, StepState> {
  const own = belonging(lists, way);
  const withCode = own.jobs.some(({ spec }) => spec.code) || (way === "own" && own.instances.length > 0);
  return {
    account: "done",
    instance: own.instances.length ? "done" : "todo",
    environment: state(own.environments, environmentState),
    data: own.data.length >= (way === "digits" ? 2 : 1) ? "done" : "todo",
    code: withCode ? "done" : "todo",
    train: state(own.jobs, jobState),
    evaluate: state(own.models, modelState),
    deploy: state(own.endpoints, endpointState),
  };
}

/** Steps that one can leave out: an instance is for notebooks; an environment is built when a job needs it. */
export const OPTIONAL: ReadonlySet<StepName> = new Set(["instance", "environment"]);

/** The first step that is not done and cannot be left out; null when all are. */
export function nextStep(states: Record<StepName, StepState>): StepName | null {
  return STEPS.find((step) => states[step] !== "done" && !OPTIONAL.has(step)) ?? null;
}
