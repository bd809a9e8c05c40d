// @vitest-environment jsdom
import { beforeEach, expect, it } from "vitest";
import { keepDraft, keptDraft } from "./kept";

const file = (text: string | null) => ({ path: "a.py", text, data: text === null ? new Blob(["x"]) : null, executable: false });

beforeEach(() => window.history.replaceState({ idx: 3, key: "k" }, ""));

it("keeps a draft beside what the router has there, and forgets it", () => {
  const draft = { text: "commands: [ls]\n", files: [file("print(1)\n")] };
  keepDraft(draft);
  expect(keptDraft()).toEqual(draft);
  expect(window.history.state).toMatchObject({ idx: 3, key: "k" });
  keepDraft(null);
  expect(keptDraft()).toBeNull();
  expect(window.history.state).toEqual({ idx: 3, key: "k" });
});

it("keeps no half of a draft, and no earlier one in its place", () => {
  keepDraft({ text: "a", files: [] });
  keepDraft({ text: "b", files: [file(null)] });
  expect(keptDraft()).toBeNull();
  keepDraft({ text: "x".repeat(300_000), files: [] });
  expect(keptDraft()).toBeNull();
});
