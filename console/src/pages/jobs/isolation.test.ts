import { describe, expect, it } from "vitest";
import { held, levelOf, ranges } from "./isolation";

const FULL = { sandbox: "bwrap-root", uid: 70001, memory: "cgroup", processes: "cgroup", cpu: "cgroup", disk: "watched", network: "none", seccomp: true };

describe("isolation", () => {
  it("puts replicas together that were held alike, in whatever order the words came", () => {
    const turned = Object.fromEntries(Object.entries(FULL).reverse());
    const found = held([
      { rank: 0, isolation: FULL },
      { rank: 1, isolation: { ...FULL, memory: "rlimit" } },
      { rank: 2, isolation: turned },
      { rank: 3, isolation: null },
    ]);
    expect(found.map((one) => one.ranks)).toEqual([[0, 2], [1]]);
    expect(held([])).toEqual([]);
  });

  it("is full only where the kernel holds the limits and the calls are filtered", () => {
    expect(levelOf(FULL)).toBe("full");
    expect(levelOf({ ...FULL, processes: null })).toBe("full"); // none was asked for
    expect(levelOf({ ...FULL, memory: "rlimit" })).toBe("partial");
    expect(levelOf({ ...FULL, seccomp: false })).toBe("partial");
    expect(levelOf({ ...FULL, sandbox: "none" })).toBe("reduced");
    expect(levelOf({})).toBe("reduced");
    expect(levelOf({ ...FULL, level: "partial" })).toBe("partial"); // the launcher knows best
  });

  it("names ranks shortly", () => {
    expect(ranges([0])).toBe("0");
    expect(ranges([1, 0])).toBe("0, 1");
    expect(ranges([5, 0, 2, 1])).toBe("0–2, 5");
    expect(ranges([])).toBe("");
  });
});
