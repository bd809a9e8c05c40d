import { describe, expect, it } from "vitest";
import { gpuParts, together, type Work } from "./nodes";

const work = (name: string, gpus: Record<string, number>, since = "2026-01-01T00:00:00Z"): Work => ({
  project: "vision", kind: "job", name, user: "ada", cpu: 2, memory: 100, gpus, price_per_hour: 30, since,
});

describe("work on a machine", () => {
  it("has a gang's replicas in one row, with all that they hold", () => {
    const found = together([work("train", { 0: 1 }), work("other", { 2: 0.5 }), work("train", { 1: 1 })]);
    expect(found.map((one) => [one.name, one.replicas, one.cpu, one.memory, one.price_per_hour, one.gpus])).toEqual([
      ["train", 2, 4, 200, 60, { 0: 1, 1: 1 }],
      ["other", 1, 2, 100, 30, { 2: 0.5 }],
    ]);
  });

  it("adds parts of one device", () => {
    expect(together([work("train", { 0: 0.25 }), work("train", { 0: 0.25 })])[0]!.gpus).toEqual({ 0: 0.5 });
  });

  it("keeps apart what began at another time, and leaves the answer as it was", () => {
    const given = [work("train", { 0: 1 }), work("train", { 0: 1 }, "2026-01-01T01:00:00Z")];
    expect(together(given)).toHaveLength(2);
    together([given[0]!, given[0]!]);
    expect(given[0]!.cpu).toBe(2);
    expect(given[0]!.gpus).toEqual({ 0: 1 });
  });
});

describe("devices", () => {
  it("are taken in part, in whole, or not", () => {
    expect(gpuParts(["H100", "H100", "H100"], { 0: 1, 2: 0.25 })).toEqual([1, 0, 0.25]);
    expect(gpuParts(["H100"], { 0: 1.0000001 })).toEqual([1]);
    expect(gpuParts([], { 0: 1 })).toEqual([]);
  });
});
