import { describe, expect, it } from "vitest";
import { factsOf, nameOf, wanted } from "./eventWords";

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
    const event = { verb: "jobs.end", detail: { name: "train-1", state: "failed", reason: null, sizes: [1, 2] } } as unknown as Parameters<typeof factsOf>[0];
    expect(factsOf(event)).toBe("state: failed, sizes: [1,2]");
    expect(nameOf(event)).toBe("train-1");
  });

  it("calls a model by its name, and bytes by their unit", () => {
    const of = (verb: string, detail: object) => ({ verb, detail }) as Parameters<typeof factsOf>[0];
    const registered = of("models.register", { model: "digits", version: 2 });
    expect([nameOf(registered), factsOf(registered)]).toEqual(["digits", "version: 2"]);
    const deployed = of("endpoints.deploy", { model: "digits" });
    expect([nameOf(deployed), factsOf(deployed)]).toEqual([undefined, "model: digits"]);
    expect(factsOf(of("data.create", { size: 370_090 }))).toBe("size: 361 KiB");
  });
});
