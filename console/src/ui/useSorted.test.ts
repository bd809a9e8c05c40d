import { describe, expect, it } from "vitest";
import { parseSort, sorted } from "./useSorted";

const rows = [{ n: 2, s: "b10" }, { n: null, s: "b9" }, { n: 1, s: "a" }];
const values = { n: (row: (typeof rows)[0]) => row.n, s: (row: (typeof rows)[0]) => row.s };

describe("sorting", () => {
  it("puts what has no value last, either way", () => {
    expect(sorted(rows, values, parseSort("n")).map((row) => row.n)).toEqual([1, 2, null]);
    expect(sorted(rows, values, parseSort("-n")).map((row) => row.n)).toEqual([2, 1, null]);
  });
  it("reads numbers within text", () => {
    expect(sorted(rows, values, parseSort("s")).map((row) => row.s)).toEqual(["a", "b9", "b10"]);
  });
  it("leaves rows alone without a known column", () => {
    expect(sorted(rows, values, parseSort("zzz"))).toBe(rows);
    expect(parseSort("")).toBeNull();
  });
});
