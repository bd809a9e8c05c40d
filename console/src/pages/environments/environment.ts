/** What the pages of environments share. */
import { api, ask, type Schemas } from "@/api/client";

export type Environment = Schemas["Environment"];
export type Use = Schemas["EnvironmentUse"];

export const ENVIRONMENT_STATES = ["ready", "building", "resolving", "pending", "failed"] as const;

export const isWorking = (one: Environment) => one.state === "resolving" || one.state === "building";

export const LIMIT = 200;
export const listKey = (project: string) => ["environments", project, "list"] as const;
export const environmentKey = (project: string, name: string) => ["environment", project, name] as const;

export const listEnvironments = (project: string) =>
  ask(api.GET("/api/v1/projects/{project}/environments", { params: { path: { project }, query: { limit: LIMIT } } }));

export const getEnvironment = (project: string, environment: string) =>
  ask(api.GET("/api/v1/projects/{project}/environments/{environment}", { params: { path: { project, environment } } }));

export const buildEnvironment = (project: string, environment: string, upgrade: boolean) =>
  ask(api.POST("/api/v1/projects/{project}/environments/{environment}/build", { params: { path: { project, environment }, query: { upgrade } } }));

export const deleteEnvironment = (project: string, environment: string) =>
  ask(api.DELETE("/api/v1/projects/{project}/environments/{environment}", { params: { path: { project, environment } } }));

export const usesOf = (project: string, environment: string) =>
  ask(api.GET("/api/v1/projects/{project}/environments/{environment}/uses", { params: { path: { project, environment } } }));
