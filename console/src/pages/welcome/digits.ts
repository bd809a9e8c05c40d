/** The ready-made path, done in place: what its buttons ask of the server. */
import { pushFolder } from "@/api/blobs";
import { api, ask, Problem, type Schemas } from "@/api/client";
import type { Lists } from "./progress";
import { belonging } from "./progress";
import { SAMPLE } from "./sample/sample";

export const MODEL = "digits";
export const ENDPOINT = "digits";
export const ENVIRONMENT = "sklearn";
const WAIT_S = 20;

/** The things of the path that its later steps build on. */
export function digitsThings(lists: Lists) {
  const own = belonging(lists, "digits");
  return {
    environment: own.environments[0] ?? null,
    job: own.jobs.find(({ state }) => state === "succeeded") ?? own.jobs[0] ?? null,
    version: own.models[0]?.latest ?? null,
    endpoint: own.endpoints[0] ?? null,
    hasData: own.data.length > 0,
  };
}

export function buildEnvironment(project: string): Promise<unknown> {
  const path = { project, environment: ENVIRONMENT };
  return ask(api.POST("/api/v1/projects/{project}/environments/{environment}/build", { params: { path, query: {} } }));
}

/** Send the script and submit the job. Without the sample data it takes scikit-learn's own. */
export async function train(project: string, withData: boolean): Promise<Schemas["Job"]> {
  const { STARTERS } = await import("./starters");
  const starter = STARTERS.find((one) => one.name === "digits")!;
  const { manifest } = await pushFolder(project, [{ path: starter.file, data: new Blob([starter.code]) }]);
  const body: Partial<Schemas["JobSpec"]> = {
    code: manifest,
    commands: [`python ${starter.file}`],
    environment: starter.environment,
    tags: { starter: starter.name },
    inputs: withData ? { digits: { path: SAMPLE.training, type: "uri_folder", mode: "ro_mount" } } : {},
  };
  return ask(api.POST("/api/v1/projects/{project}/jobs", { params: { path: { project } }, body: body as Schemas["JobSpec"] }));
}

/** The model of a job's run as the next version, once it is converted. */
export async function register(project: string, run: string): Promise<Schemas["ModelVersion"]> {
  const made = await ask(
    api.POST("/api/v1/projects/{project}/models/{model}/versions", {
      params: { path: { project, model: MODEL } },
      body: { run, path: "model.joblib" } as Schemas["ModelRegister"],
    }),
  );
  return converted(project, made);
}

/** The version when its conversion has ended well.
 *
 * @throws Problem it did not; the sentence says why. */
export async function converted(project: string, version: Schemas["ModelVersion"]): Promise<Schemas["ModelVersion"]> {
  let found = version;
  while (found.conversion === "pending" || found.conversion === "converting") {
    const path = { project, model: found.model, version: String(found.number) };
    const query = { wait_s: WAIT_S, unless: found.conversion };
    found = await ask(api.GET("/api/v1/projects/{project}/models/{model}/versions/{version}", { params: { path, query } }));
  }
  if (found.conversion !== "ready") throw new Problem(409, "conversion_failed", found.message ?? found.conversion);
  return found;
}

/** Measure it on the digits that were held out. */
export function evaluate(project: string, version: Schemas["ModelVersion"]): Promise<Schemas["Evaluation"]> {
  const path = { project, model: version.model, version: String(version.number) };
  return ask(
    api.POST("/api/v1/projects/{project}/models/{model}/versions/{version}/evaluations", {
      params: { path },
      body: { data: SAMPLE.held },
    }),
  );
}

export function deploy(project: string, version: Schemas["ModelVersion"], type: string): Promise<Schemas["Endpoint"]> {
  const body = { model: version.model, version: String(version.number), type, runtime: "auto" as const, shadow: 0 };
  return ask(api.PUT("/api/v1/projects/{project}/endpoints/{endpoint}", { params: { path: { project, endpoint: ENDPOINT } }, body }));
}

/** What an endpoint runs on: `cpu.small` where there is one, else the cheapest that there is room for. */
export function typeOf(types: Schemas["InstanceType"][]): Schemas["InstanceType"] | null {
  const known = types.find(({ name }) => name === "cpu.small");
  if (known) return known;
  return [...types].sort((a, b) => Number(b.available) - Number(a.available) || a.price_per_hour - b.price_per_hour)[0] ?? null;
}
