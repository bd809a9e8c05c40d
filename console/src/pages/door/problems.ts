/** What a refusal means for the fields of a form at the door. */
import { Problem } from "@/api/client";

export type Field = "name" | "password" | "email" | "invitation";

export interface Refusal {
  /** The field that it is about; none: the form as a whole. */
  field?: Field;
  /** A key of `door`; none: the server's own words. */
  key?: "wrong" | "slow" | "taken" | "reserved" | "badName" | "shortPassword" | "badInvitation";
  /** Seconds to wait. */
  count?: number;
  detail: string;
}

const FIELDS: readonly string[] = ["name", "password", "email", "invitation"];

export function refusals(error: unknown, signingUp: boolean): Refusal[] {
  if (!(error instanceof Problem)) return [{ detail: String(error) }];
  const detail = error.detail;
  const extra = (error.extra.extra ?? {}) as Record<string, unknown>;
  if (error.status === 429) return [{ key: "slow", count: Number(extra.retry_after_s ?? 1), detail }];
  if (error.status === 401) return [{ key: "wrong", detail }];
  if (error.status === 409) return [{ key: "taken", field: "name", detail }];
  if (error.status === 403 && signingUp && detail.includes("unknown, used or expired")) {
    return [{ key: "badInvitation", field: "invitation", detail }];
  }
  if (error.status === 422) {
    const fields = (extra.fields ?? []) as { field: string; message: string }[];
    const found = fields.filter((one) => FIELDS.includes(one.field)).map((one) => ofField(one.field as Field, one.message));
    if (found.length) return found;
  }
  return [{ detail }];
}

function ofField(field: Field, detail: string): Refusal {
  if (field === "name") return { field, detail, key: detail === "reserved" ? "reserved" : "badName" };
  if (field === "password" && detail.includes("at least 8")) return { field, detail, key: "shortPassword" };
  return { field, detail };
}

/** Where to go after signing in: an address of this console, never of another site. */
export function safeBack(back: string | null, otherwise = "/"): string {
  if (!back || !/^\/(?![/\\])/.test(back) || /^\/sign-(in|up)/.test(back)) return otherwise;
  return back;
}
