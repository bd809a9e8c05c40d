/** Which charts there are, in sections by what stands before the first `/` of their key. Pure. */
import type { ChartSettings } from "./settings";

export interface Section {
  /** `pinned:` is what was pinned; empty: keys without a prefix. */
  name: string;
  keys: string[];
}

export const PINNED = "pinned:";

/** Whether a key fits: a pattern with `*` and `?` as a whole, other text anywhere; case does not count. */
export function matcher(pattern: string): (key: string) => boolean {
  const wanted = pattern.trim().toLowerCase();
  if (!wanted) return () => true;
  if (!/[*?]/.test(wanted)) return (key) => key.toLowerCase().includes(wanted);
  const escaped = wanted.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  const expression = new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
  return (key) => expression.test(key.toLowerCase());
}

const order = new Intl.Collator("en", { numeric: true });

export function sections(keys: Iterable<string>, { find, pinned, hidden }: Pick<ChartSettings, "find" | "pinned" | "hidden">): Section[] {
  const fits = matcher(find);
  const away = new Set(hidden);
  const shown = [...new Set(keys)].filter((key) => fits(key) && !away.has(key)).sort(order.compare);
  const there = new Set(shown);
  const first = pinned.filter((key) => there.has(key));
  const found = new Map<string, string[]>();
  for (const key of shown) {
    if (first.includes(key)) continue;
    const slash = key.indexOf("/");
    const name = slash > 0 ? key.slice(0, slash) : "";
    found.set(name, [...(found.get(name) ?? []), key]);
  }
  const rest = [...found].map(([name, its]) => ({ name, keys: its })).sort((a, b) => rank(a.name) - rank(b.name) || order.compare(a.name, b.name));
  return first.length > 0 ? [{ name: PINNED, keys: first }, ...rest] : rest;
}

const FIRST = ["", "train", "val", "validation", "eval", "test"];

/** What trainings call their own stands first, what the machine did last. */
function rank(name: string): number {
  const at = FIRST.indexOf(name);
  return at >= 0 ? at : name === "system" ? FIRST.length + 1 : FIRST.length;
}
