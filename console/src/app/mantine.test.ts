import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

const sources = import.meta.glob<string>("../**/*.{ts,tsx}", { eager: true, query: "?raw", import: "default" });
const styles = new URL("../../node_modules/@mantine/core/styles/", import.meta.url).pathname;
const listed = [...readFileSync(new URL("./mantine.ts", import.meta.url), "utf8").matchAll(/core\/styles\/(\w+)\.layer/g)].map((m) => m[1]!);

/** Parts of other components: nobody imports them. */
const INNER = ["VisuallyHidden", "Paper", "Overlay", "ModalBase", "InlineInput", "FloatingIndicator", "Notification", "Pill", "PillsInput"];

it("has the CSS of the components that are used, and of no others", () => {
  const used = new Set<string>();
  for (const text of Object.values(sources)) {
    for (const match of text.matchAll(/import\s*{([^}]*)}\s*from "@mantine\/core"/g)) {
      for (const word of match[1]!.split(",")) used.add(word.trim().split(" ")[0]!);
    }
  }
  const wanted = [...used, ...INNER].filter((name) => name && existsSync(`${styles}${name}.layer.css`));
  expect([...listed].sort()).toEqual(wanted.sort());
});
