/** Words that several parts of a job's page say. */
import { useTranslation } from "react-i18next";

/** A reason's words; one without words is said as it is. */
export function useReason(): (reason: string) => string {
  const { t } = useTranslation("jobs");
  return (reason) => t(`reasons.${reason}`, { defaultValue: reason });
}

const NOT_ITS_FAULT = ["gang_stopped", "preempted", "resized", "cancelled_by_user", "node_lost"];

/** How an attempt or a replica is, in the words of all states: one that ended, how it ended. */
export function stateOf({ state, reason }: { state: string; reason?: string | null | undefined }): string {
  if (state !== "ended" || !reason) return state;
  return reason === "succeeded" ? "succeeded" : NOT_ITS_FAULT.includes(reason) ? "stopped" : "failed";
}

/** A part of a GPU or a count of them: `0.5`, `2`. */
export const amount = (value: number) => String(Math.round(100 * value) / 100);

/** Which devices, and how much of each where that is not all: `0, 1 (50 %)`. */
export function devices(gpus: Record<string, number> | undefined): string {
  const parts = Object.entries(gpus ?? {}).sort(([a], [b]) => Number(a) - Number(b));
  return parts.map(([index, part]) => (part < 1 ? `${index} (${Math.round(100 * part)} %)` : index)).join(", ") || "–";
}

/** To the second; with its day where that is not today. */
export function moment(iso: string, language: string): string {
  const day = new Date(iso).toDateString() === new Date().toDateString() ? {} : ({ month: "short", day: "numeric" } as const);
  return new Intl.DateTimeFormat(language, { ...day, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(new Date(iso));
}
