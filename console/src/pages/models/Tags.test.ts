import { describe, expect, it } from "vitest";
import { parseTag, tagChange } from "./Tags";

describe("tags", () => {
  it("that went are null, and those that stayed are not told", () => {
    expect(tagChange({ a: "1", b: "2", c: "3" }, { b: "2", c: "4", d: "5" })).toEqual({ a: null, c: "4", d: "5" });
  });
  it("are a key, an equals sign and anything", () => {
    expect([parseTag("team=homes"), parseTag(" a = b=c "), parseTag("=x"), parseTag("word"), parseTag("k=")]).toEqual([
      ["team", "homes"],
      ["a", "b=c"],
      null,
      null,
      ["k", ""],
    ]);
  });
});
