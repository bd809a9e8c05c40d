import { describe, expect, it } from "vitest";
import { type Check, clockApart, counts, inOrder } from "./checks";

const check = (name: string, state: Check["state"]): Check => ({ name, state, message: "" });
const CHECKS = [check("a", "ok"), check("b", "warning"), check("c", "problem"), check("d", "ok"), check("e", "warning")];

describe("checks", () => {
  it("are shown worst first, and otherwise as they came", () => {
    expect(inOrder(CHECKS).map((one) => one.name)).toEqual(["c", "b", "e", "a", "d"]);
    expect(CHECKS[0]!.name).toBe("a");
  });

  it("are counted", () => {
    expect(counts(CHECKS)).toEqual({ ok: 2, warning: 2, problem: 1 });
  });
});

describe("clockApart", () => {
  const at = Date.parse("2026-03-01T12:00:00Z");
  it.each([
    [at - 300, at + 900, 0],
    [at + 4_000, at + 4_500, 0],
    [at + 60_000, at + 61_000, 60],
    [at - 61_000, at - 60_000, -60],
  ])("from %d to %d is %d s", (started, ended, apart) => {
    expect(clockApart("2026-03-01T12:00:00Z", started, ended)).toBe(apart);
  });
});
