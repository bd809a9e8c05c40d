/** Completing names in a filter. Pure. */
import { quoted } from "./columns";

/** The name that is being written before the cursor; null inside of a text or where no name can stand. */
export function tokenAt(text: string, cursor: number): { start: number; text: string } | null {
  const before = text.slice(0, cursor);
  let quote = "";
  let start = 0;
  for (let at = 0; at < before.length; at += 1) {
    const letter = before[at]!;
    if (quote) {
      if (letter === quote) quote = "";
    } else if (letter === "'" || letter === '"' || letter === "`") quote = letter;
    else if (/[\s()<>=!,]/.test(letter)) start = at + 1;
  }
  if (quote === "'") return null;
  return { start, text: before.slice(start) };
}

const plain = (text: string) => text.replaceAll("`", "").replaceAll('"', "").toLowerCase();

/** Names that fit what was written, as the grammar wants them; nothing where it stands there already. */
export function complete(written: string, names: readonly string[], most = 12): string[] {
  const wanted = plain(written);
  const fitting = names.filter((name) => name.toLowerCase().includes(wanted));
  if (fitting.length === 1 && fitting[0]!.toLowerCase() === wanted) return [];
  if (names.some((name) => name.toLowerCase() === wanted) && wanted) return [];
  return fitting
    .sort((a, b) => Number(b.toLowerCase().startsWith(wanted)) - Number(a.toLowerCase().startsWith(wanted)))
    .slice(0, most)
    .map((name) => {
      const dot = name.indexOf(".");
      return `${name.slice(0, dot + 1)}${quoted(name.slice(dot + 1))}`;
    });
}
