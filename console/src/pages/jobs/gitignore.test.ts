import { describe, expect, it } from "vitest";
import { ignorer } from "./gitignore";

const out = (text: string, path: string) => ignorer([[".gitignore", text]])(path);

describe("what is ignored", () => {
  it.each([
    ["*.pyc", "a/b.pyc", true],
    ["*.pyc", "a/b.py", false],
    ["data/", "data/x.csv", true],
    ["data/", "src/data/x.csv", true],
    ["data/", "data", false],
    ["/data", "src/data/x", false],
    ["/data", "data/x", true],
    ["a/*.txt", "a/b.txt", true],
    ["a/*.txt", "a/c/b.txt", false],
    ["a/**/b", "a/x/y/b", true],
    ["a/**/b", "a/b", true],
    ["**/logs", "x/logs/1.txt", true],
    ["logs/**", "logs/a/b", true],
    ["# note\n\n  \n", "x", false],
    ["\\#x", "#x", true],
    ["file?.txt", "file1.txt", true],
    ["file[0-9].txt", "filea.txt", false],
    ["file[!0-9].txt", "filea.txt", true],
    ["*.log\n!keep.log", "keep.log", false],
    ["*.log\n!keep.log", "other.log", true],
    ["out/\n!out/keep", "out/keep", true],
    ["a.b", "aXb", false],
    ["trailing   ", "trailing", true],
    ["[", "x", false],
  ])("%j: %s → %s", (text, path, expected) => {
    expect(out(text, path)).toBe(expected);
  });

  it("is decided by the deepest file, and in one folder by .nacreignore", () => {
    const ignored = ignorer([
      [".gitignore", "*.bin"],
      ["models/.gitignore", "!*.bin"],
      [".nacreignore", "!small.bin\nnotes"],
    ]);
    expect(ignored("a.bin")).toBe(true);
    expect(ignored("models/a.bin")).toBe(false);
    expect(ignored("small.bin")).toBe(false);
    expect(ignored("notes")).toBe(true);
    expect(ignored("other/models.txt")).toBe(false);
  });
});
