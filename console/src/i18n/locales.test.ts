import { describe, expect, it } from "vitest";

const files = import.meta.glob<{ default: object }>("../locales/*/*.json", { eager: true });
const sources = import.meta.glob<string>("../**/*.{ts,tsx}", { eager: true, query: "?raw", import: "default" });

function flat(words: object, prefix = ""): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(words)) {
    if (typeof value === "object" && value !== null) {
      for (const [inner, text] of flat(value as object, `${prefix}${key}.`)) found.set(inner, text);
    } else found.set(prefix + key, String(value));
  }
  return found;
}

/** Without plural forms, of which Chinese has one and English two. */
const bare = (key: string) => key.replace(/_(one|other)$/, "");
const placeholders = (text: string) => [...text.matchAll(/{{\s*(\w+)[^}]*}}/g)].map((m) => m[1]).sort();

const areas = Object.keys(files)
  .filter((path) => path.includes("/en/"))
  .map((path) => path.split("/").at(-1)!.replace(".json", ""));
const wordsOf = (language: string, area: string) => flat(files[`../locales/${language}/${area}.json`]?.default ?? {});

describe.each(areas)("words of %s", (area) => {
  const en = wordsOf("en", area);
  const zh = wordsOf("zh", area);

  it("are complete in both languages", () => {
    expect([...new Set([...zh.keys()].map(bare))].sort()).toEqual([...new Set([...en.keys()].map(bare))].sort());
    for (const [key, text] of [...en, ...zh]) expect(text.trim(), key).not.toBe("");
  });

  it("have the same placeholders", () => {
    const english = new Map([...en].map(([key, text]) => [bare(key), placeholders(text)]));
    for (const [key, text] of zh) expect(placeholders(text), key).toEqual(english.get(bare(key)));
  });

  it("are Chinese in Chinese", () => {
    const same = [...zh].filter(([key, text]) => /[a-z]{4}/.test(text) && en.get(key) === text && / /.test(text));
    expect(same).toEqual([]);
  });
});

describe("keys", () => {
  it("that the code names with their area exist", () => {
    const missing: string[] = [];
    for (const [path, text] of Object.entries(sources)) {
      if (path.includes(".test.")) continue;
      const spaces = [...text.matchAll(/useTranslation\(\s*\[?\s*"(\w+)"/g)].map((m) => m[1]!);
      for (const match of text.matchAll(/\bt\(\s*"([\w.:-]+)"/g)) {
        const key = match[1]!;
        const candidates = key.includes(":") ? [key.split(":")] : [...spaces, "common"].map((area) => [area, key]);
        const there = candidates.some(([area, name]) => {
          const words = wordsOf("en", area!);
          return words.has(name!) || words.has(`${name!}_other`);
        });
        if (!there) missing.push(`${path}: ${key}`);
      }
    }
    expect(missing).toEqual([]);
  });
});
