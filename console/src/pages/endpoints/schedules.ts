/** Hours of the week with other bounds of scaling, as text in a form. Pure. */
import type { Schemas } from "@/api/client";

export interface ScheduleDraft {
  /** 0 is Monday. */
  days: number[];
  from: string;
  to: string;
  least: string;
  most: string;
}

const WORDS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
export const WEEK = [0, 1, 2, 3, 4, 5, 6];
export const NEW: ScheduleDraft = { days: [0, 1, 2, 3, 4], from: "08:00", to: "20:00", least: "1", most: "2" };

export function scheduleDraft(one: Schemas["Schedule"]): ScheduleDraft {
  const days = [...(one.days ?? WEEK)].sort((a, b) => a - b);
  return { days, from: one.from_time, to: one.to_time, least: String(one.min_replicas), most: String(one.max_replicas) };
}

/** What the API takes. What is no number goes as it is: the server says what is wrong with it. */
export function scheduleBody(one: ScheduleDraft): Record<string, unknown> {
  const number = (text: string) => (text.trim() && Number.isFinite(Number(text)) ? Number(text) : text);
  const days = [...one.days].sort((a, b) => a - b);
  return { days, from_time: one.from, to_time: one.to, min_replicas: number(one.least), max_replicas: number(one.most) };
}

export const sameSchedules = (one: ScheduleDraft[], other: ScheduleDraft[]) =>
  JSON.stringify(one.map(scheduleBody)) === JSON.stringify(other.map(scheduleBody));

/** As `nacre endpoint set --schedule` takes it: `mon,tue 08:00-20:00 2..8`. */
export function scheduleWords({ days, from, to, least, most }: ScheduleDraft): string {
  const named = days.length === WEEK.length ? "" : `${[...days].sort((a, b) => a - b).map((one) => WORDS[one]).join(",")} `;
  return `${named}${from}-${to} ${least.trim()}..${most.trim()}`;
}
