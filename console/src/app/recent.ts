/** What somebody looked at lately, in this browser: the palette begins with it. */
import type { Noun } from "./pages";

export interface RecentThing {
  to: string;
  label: string;
  noun: Noun;
  project: string;
}

const KEY = "nacre.recent";
const KEPT = 12;
const THING = /^\/p\/([^/]+)\/(instances|environments|data|jobs|runs|models|endpoints)\/([^/]+)$/;
const NO_THINGS = new Set(["new", "compare"]);

/** The thing whose page this is, if it is one's. */
export function thingOf(path: string, title: string): RecentThing | null {
  const found = THING.exec(path);
  if (!found || NO_THINGS.has(found[3]!)) return null;
  const name = decodeURIComponent(found[3]!);
  const said = title.replace(/ · Nacre$/, "");
  return { to: path, label: said && said !== "Nacre" ? said : name, noun: found[2] as Noun, project: decodeURIComponent(found[1]!) };
}

export function recentThings(): RecentThing[] {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]") as RecentThing[];
    return Array.isArray(kept) ? kept.filter((one) => typeof one?.to === "string" && THING.test(one.to)) : [];
  } catch {
    return [];
  }
}

export function remember(thing: RecentThing): void {
  const others = recentThings().filter((one) => one.to !== thing.to);
  localStorage.setItem(KEY, JSON.stringify([thing, ...others].slice(0, KEPT)));
}
