/** The typed client of /api/v1; `schema.d.ts` is generated from docs/reference/openapi.json at build. */
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

/** What every error of the API looks like (application/problem+json), plus what went wrong on the way. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly extra: Record<string, unknown> = {},
  ) {
    super(detail);
  }
}

/** Cookies are sent by the browser; this header proves that a script of the console made the request. */
export const CONSOLE_HEADERS = { "X-Nacre-Console": "1" };

export const api = createClient<paths>({ baseUrl: "", credentials: "same-origin", headers: CONSOLE_HEADERS });

export function problemOf(status: number, body: unknown): Problem {
  const said = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const detail = typeof said.detail === "string" ? said.detail : typeof body === "string" && body ? body : "";
  const code = typeof said.code === "string" ? said.code : status ? `http_${status}` : "unreachable";
  return new Problem(status, code, detail || `HTTP ${status}`, said);
}

const signedOut = new Set<() => void>();

/** Call when the server says that nobody is signed in (401). */
export function onSignedOut(tell: () => void): () => void {
  signedOut.add(tell);
  return () => signedOut.delete(tell);
}

/** The live connection was told so. */
export function tellSignedOut(): void {
  for (const tell of signedOut) tell();
}

type Answered<T> = { data?: T; error?: unknown; response: Response };

/**
 * The body of an answer.
 *
 *     const jobs = await ask(api.GET("/api/v1/projects/{project}/jobs", { params: { path: { project } } }));
 *
 * @throws Problem where the server refused, or could not be reached (status 0).
 */
export async function ask<T>(request: Promise<Answered<T>>): Promise<T> {
  let answer: Answered<T>;
  try {
    answer = await request;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", String(error));
  }
  if (!answer.response.ok) {
    if (answer.response.status === 401) for (const tell of signedOut) tell();
    throw problemOf(answer.response.status, answer.error);
  }
  return answer.data as T;
}

/** A plain `fetch` of the API for bytes and streams, with the same headers and errors. */
export async function fetchApi(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, {
      ...init,
      credentials: "same-origin",
      headers: { ...CONSOLE_HEADERS, ...(init.headers as Record<string, string> | undefined) },
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable", String(error));
  }
  if (!response.ok) {
    if (response.status === 401) for (const tell of signedOut) tell();
    const text = await response.text();
    let body: unknown = text;
    try {
      body = JSON.parse(text);
    } catch {
      /* not JSON: the text is what was said */
    }
    throw problemOf(response.status, body);
  }
  return response;
}
