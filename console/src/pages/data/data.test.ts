import { describe, expect, it } from "vitest";
import { isFew, percent } from "./Columns";
import { fileUrl, isImage } from "./dataset";
import { firstOf } from "./Files";
import { folderOf, inOrder } from "./Images";
import { doneShare } from "./upload/share";
import type { Progress } from "./upload/Upload";
import { variableOf } from "./UseIt";

const files = (...paths: string[]) => paths.map((path) => ({ path }));

it("a file's address has every name in it quoted", () => {
  expect(fileUrl("p", "d", 3, "a b/c#?%.png")).toBe("/api/v1/projects/p/data/d/versions/3/file/a%20b/c%23%3F%25.png");
});

it("images are those that browsers draw", () => {
  expect(["a.png", "b/C.JPG", "c.webp"].every(isImage)).toBe(true);
  expect(["a.svg", "b.tiff", "png", "a.png.txt"].some(isImage)).toBe(false);
  expect([folderOf("a/b/c.png"), folderOf("c.png")]).toEqual(["a/b", ""]);
});

it("images stand by folder and number", () => {
  const sorted = inOrder(files("b/10.png", "b/9.png", "a/z.png", "1.png", "a/c/2.png")).map((file) => file.path);
  expect(sorted).toEqual(["1.png", "a/z.png", "a/c/2.png", "b/9.png", "b/10.png"]);
});

it("what is shown first explains the rest", () => {
  expect(firstOf(files("a/b", "z.csv", "README.md"))).toBe("README.md");
  expect(firstOf(files("a/b", "z.csv"))).toBe("z.csv");
  expect(firstOf(files("a/b", "a/c"))).toBe("a/b");
  expect(firstOf([])).toBeNull();
});

it("variables are named as the launcher names them", () => {
  expect(variableOf("my-digits.v2")).toBe("NACRE_INPUT_MY_DIGITS_V2");
});

describe("columns", () => {
  const histogram = { edges: [0, 1], counts: [1] };

  it("show few values themselves, many as a histogram", () => {
    expect(isFew({ distinct: 3, histogram })).toBe(true);
    expect(isFew({ distinct: 300, histogram })).toBe(false);
    expect(isFew({ distinct: null, histogram })).toBe(false);
    expect(isFew({ distinct: null, histogram: null })).toBe(true);
  });

  it("have shares that are never rounded to nothing", () => {
    expect([percent(0, 10), percent(1, 100_000), percent(1, 80), percent(1, 2), percent(3, 0)]).toEqual(["0", "<0.1", "1.3", "50", "0"]);
  });
});

it("an upload's share is of its stage", () => {
  const progress = { stage: "hashing", hashed: 5, size: 10, sent: 0, lacking: 0 } as Progress;
  expect(doneShare(progress)).toBe(0.5);
  expect(doneShare({ ...progress, stage: "sending" })).toBe(1);
  expect(doneShare({ ...progress, stage: "sending", sent: 1, lacking: 4 })).toBe(0.25);
  expect(doneShare({ ...progress, stage: "done" })).toBe(1);
});
