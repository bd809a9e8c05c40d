/** How events are asked for and read. */
import type { Schemas } from "@/api/client";

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

/** The facts of an event beside its subject, in one line. */
export function factsOf({ detail }: Schemas["Event"]): string {
  return Object.entries((detail ?? {}) as Record<string, unknown>)
    .filter(([key, value]) => key !== "name" && key !== "user" && value !== null && value !== "")
    .map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
    .join(", ");
}
