// @vitest-environment jsdom
import "@/test/setup";
import { describe, expect, it } from "vitest";
import { moved, percent, shares } from "./ConfusionMatrix";

describe("shares", () => {
  it("are of the row, and a class without samples has none", () => {
    expect(shares([[3, 1], [0, 0]])).toEqual([[0.75, 0.25], [0, 0]]);
  });
});

describe("percent", () => {
  it("never says that nothing is there where something is", () => {
    expect([0, 0.0004, 0.001, 0.9731, 0.9999, 1].map(percent)).toEqual(["0", "<0.1", "0.1", "97.3", "100", "100"]);
  });
});

describe("arrow keys", () => {
  it("stay within the matrix", () => {
    expect(moved([0, 0], "ArrowUp", 3)).toEqual([0, 0]);
    expect(moved([0, 0], "ArrowDown", 3)).toEqual([1, 0]);
    expect(moved([1, 2], "ArrowRight", 3)).toEqual([1, 2]);
    expect(moved([1, 2], "ArrowLeft", 3)).toEqual([1, 1]);
    expect(moved([1, 2], "Tab", 3)).toBeNull();
  });
});
