/** How events are asked for and read. */
import type { Schemas } from "@/api/client";
import { bytes } from "@/ui/format";

/** What the filter offers; any verb may stand in the URL. */
export const NOUNS = ["jobs", "instances", "data", "environments", "experiments", "runs", "models", "evaluations", "endpoints", "members", "invitations", "secrets", "projects"] as const;

export interface Asked {
  verb: string;
  user: string;
  subject: string;
  /** A day (`2026-03-01`, up to its end in local time) or a moment. */
  before: string;
}

/** The parameters of `events.list`: without what is empty. */
export function wanted({ verb, user, subject, before }: Asked): Partial<Asked> {
  const moment = /^\d{4}-\d{2}-\d{2}$/.test(before) ? new Date(`${before}T24:00:00`) : new Date(before);
  const given = {
    verb: verb.trim(),
    user: user.trim(),
    subject: subject.trim(),
    before: Number.isNaN(moment.getTime()) ? "" : moment.toISOString(),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value));
}

/** What the detail calls the subject, in the order in which they are looked for. */
const NAMES = ["name", "user"];

function namesOf(verb: string): string[] {
  return verb.startsWith("models.") ? [...NAMES, "model"] : NAMES;
}

/** What the subject is called, where the event says it; its id stands in `subject`. */
export function nameOf({ verb, detail }: Schemas["Event"]): string | undefined {
  const facts = (detail ?? {}) as Record<string, unknown>;
  return namesOf(verb)
    .map((key) => facts[key])
    .find((one): one is string => typeof one === "string" && one !== "");
}

/** The facts of an event beside its subject, in one line. */
export function factsOf({ verb, detail }: Schemas["Event"]): string {
  const names = namesOf(verb);
  return Object.entries((detail ?? {}) as Record<string, unknown>)
    .filter(([key, value]) => !names.includes(key) && value !== null && value !== "")
    .map(([key, value]) => `${key}: ${said(key, value)}`)
    .join(", ");
}

function said(key: string, value: unknown): string {
  if (key === "size" && typeof value === "number") return bytes(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
