import { describe, expect, it } from "vitest";
import { factsOf, wanted } from "./eventWords";

const nothing = { verb: "", user: "", subject: "", before: "" };

describe("wanted", () => {
  it("leaves out what is empty or no time", () => {
    expect(wanted(nothing)).toEqual({});
    expect(wanted({ ...nothing, verb: " jobs ", before: "soon" })).toEqual({ verb: "jobs" });
  });

  it("takes a day with all of it", () => {
    const end = new Date(2026, 2, 2).toISOString();
    expect(wanted({ ...nothing, before: "2026-03-01" })).toEqual({ before: end });
    expect(wanted({ ...nothing, before: "2026-03-01T10:00:00Z" })).toEqual({ before: "2026-03-01T10:00:00.000Z" });
  });
});

describe("factsOf", () => {
  it("leaves out what the subject says", () => {
    const event = { detail: { name: "train-1", state: "failed", reason: null, sizes: [1, 2] } } as unknown as Parameters<typeof factsOf>[0];
    expect(factsOf(event)).toBe("state: failed, sizes: [1,2]");
  });
});
