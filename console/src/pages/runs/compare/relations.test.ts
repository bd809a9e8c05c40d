import { describe, expect, it } from "vitest";
import type { RunRecord } from "../facts";
import { choices, dimension, nameOf, valueOf } from "./relations";

const run = (id: string, params: Record<string, string>, metrics: Record<string, number | string>) =>
  ({ id, params, metrics: Object.fromEntries(Object.entries(metrics).map(([key, last]) => [key, { last }])) }) as unknown as RunRecord;

const runs = [
  run("a", { lr: "0.1", opt: "adam", same: "1" }, { "val/loss": 0.3, time: 5 }),
  run("b", { lr: "0.0001", opt: "sgd", same: "1" }, { "val/loss": "NaN", time: 6 }),
  run("c", { lr: "0.01", same: "1" }, { "val/loss": 0.2, time: 7 }),
];

describe("relations", () => {
  it("read numbers, texts and what is missing", () => {
    expect(runs.map((one) => valueOf(one, "params.lr"))).toEqual([0.1, 0.0001, 0.01]);
    expect(runs.map((one) => valueOf(one, "params.opt"))).toEqual(["adam", "sgd", null]);
    expect(runs.map((one) => valueOf(one, "metrics.val/loss"))).toEqual([0.3, null, 0.2]);
  });

  it("have axes of numbers, of powers of ten, and of texts", () => {
    expect(dimension(runs, "params.lr")).toEqual({ id: "params.lr", categories: null, log: true });
    expect(dimension(runs, "metrics.time").log).toBe(false);
    expect(dimension(runs, "params.opt").categories).toEqual(["adam", "sgd"]);
  });

  it("offer what differs, what tells how good a run is first", () => {
    expect(choices(runs)).toEqual({ params: ["params.lr", "params.opt"], metrics: ["metrics.val/loss", "metrics.time"] });
    expect(nameOf("metrics.a.b")).toBe("a.b");
  });
});
