import { describe, expect, it } from "vitest";
import { bodyOf, type Draft, sourceOf, wordsOf, wrongLines } from "./draft";

const draft: Draft = { name: "mine", source: "requirements", text: { requirements: "six\n", pyproject: "[project]", lock: "" }, python: "" };

describe("a new environment", () => {
  it("has exactly one source", () => {
    expect(bodyOf(draft)).toEqual({ name: "mine", requirements: "six\n", pyproject: null, lock: null, python: null });
    expect(bodyOf({ ...draft, source: "pyproject", python: "3.12" })).toEqual({
      name: "mine",
      requirements: null,
      pyproject: "[project]",
      lock: null,
      python: "3.12",
    });
  });

  it("is a command", () => {
    expect(wordsOf(draft).join(" ")).toBe("nacre env create mine -r requirements.txt");
    expect(wordsOf({ ...draft, source: "lock", python: "3.12" }).join(" ")).toBe("nacre env create mine --lock uv.lock --python 3.12");
  });

  it.each([
    ["requirements.txt", "six\n", "requirements"],
    ["requirements.txt", "six==1 \\\n  --hash=sha256:a", "lock"],
    ["pyproject.toml", "[project]", "pyproject"],
    ["uv.lock", "", "lock"],
    ["pylock.toml", "", "lock"],
    ["deps.toml", "[project]\nname='x'", "pyproject"],
  ])("knows %s", (name, text, source) => expect(sourceOf(name, text)).toBe(source));

  it("says which lines cannot be had", () => {
    expect(wrongLines("six\n# -e .\n-e .\n./here\ngit+https://x/y\nname @ git+ssh://x\n-r other.txt\n--extra-index-url https://x\n")).toEqual([
      { line: 3, kind: "folder" },
      { line: 4, kind: "folder" },
      { line: 5, kind: "git" },
      { line: 6, kind: "git" },
      { line: 7, kind: "file" },
    ]);
  });
});
