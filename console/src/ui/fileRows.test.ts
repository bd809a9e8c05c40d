import { describe, expect, it } from "vitest";
import { above, allFolders, matching, openAtFirst, rowsOf, treeOf } from "./fileRows";

const FILES = [
  { path: "train/cat/10.png", size: 5 },
  { path: "train/cat/2.png", size: 7 },
  { path: "train/dog/1.png", size: 1 },
  { path: "readme.md", size: 3 },
];

describe("the rows of a tree", () => {
  it("have folders first, and numbers in order", () => {
    const rows = rowsOf(treeOf(FILES), new Set(["train", "train/cat"]));
    expect(rows.map((row) => `${row.level} ${row.path}`)).toEqual([
      "1 train", "2 train/cat", "3 train/cat/2.png", "3 train/cat/10.png", "2 train/dog", "1 readme.md",
    ]);
  });

  it("count what is in a folder and below", () => {
    const [train] = rowsOf(treeOf(FILES), new Set());
    expect(train).toMatchObject({ count: 3, size: 13, folder: true, open: false, place: 1, siblings: 2 });
  });

  it("show the way to what is selected, and enter lone folders", () => {
    expect(openAtFirst(treeOf(FILES), "train/dog/1.png")).toEqual(new Set(["train", "train/dog"]));
    expect(openAtFirst(treeOf([{ path: "a/b/c.txt" }, { path: "a/b/d.txt" }]), null)).toEqual(new Set(["a", "a/b"]));
    expect(openAtFirst(treeOf(FILES), null)).toEqual(new Set());
  });

  it("keep a file and a folder apart whose names begin alike", () => {
    const rows = rowsOf(treeOf([{ path: "a.b/c" }, { path: "a" }]), new Set(["a.b"]));
    expect(rows.map((row) => row.path)).toEqual(["a.b", "a.b/c", "a"]);
  });
});

describe("searching", () => {
  it("wants every word somewhere in the path", () => {
    expect(matching(FILES, "cat 1").map((file) => file.path)).toEqual(["train/cat/10.png"]);
    expect(matching(FILES, "  ")).toBe(FILES);
  });

  it("opens every folder of what it found", () => {
    expect(allFolders(treeOf(matching(FILES, "dog")))).toEqual(new Set(["train", "train/dog"]));
  });

  it("knows the folders above", () => {
    expect(above("a/b/c")).toEqual(["a", "a/b"]);
    expect(above("c")).toEqual([]);
  });
});
