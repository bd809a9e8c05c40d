import { describe, expect, it } from "vitest";
import { EMPTY, type Lists, nextStep, progress } from "./progress";

const job = (state: string, more: object = {}) => ({ kind: "task", state, spec: { code: "c0de", ...more } }) as Lists["jobs"][number];
const model = (conversion: string, ...evaluations: string[]) =>
  ({ name: "digits", latest: { conversion, evaluations: evaluations.map((state) => ({ state })) } }) as Lists["models"][number];
const named = (name: string, more: object = {}) => ({ name, ...more }) as never;
const of = (lists: Partial<Lists>, way: "digits" | "own" = "own") => progress({ ...EMPTY, ...lists }, way);

describe("progress", () => {
  it("begins with the account", () => {
    const states = of({});
    expect(states.account).toBe("done");
    expect(Object.values(states).filter((one) => one === "done")).toHaveLength(1);
    expect(nextStep(states)).toBe("data");
  });

  it("is done by any success, else as the latest try", () => {
    expect(of({ jobs: [job("failed"), job("succeeded")] }).train).toBe("done");
    expect(of({ jobs: [job("running"), job("failed")] }).train).toBe("busy");
    expect(of({ jobs: [job("failed"), job("cancelled")] }).train).toBe("failed");
    expect(of({ jobs: [{ ...job("succeeded"), kind: "convert" }] }).train).toBe("todo");
  });

  it("of an evaluation waits for the conversion", () => {
    expect(of({ models: [model("converting")] }).evaluate).toBe("busy");
    expect(of({ models: [model("ready")] }).evaluate).toBe("todo");
    expect(of({ models: [model("failed")] }).evaluate).toBe("failed");
    expect(of({ models: [model("ready", "running")] }).evaluate).toBe("busy");
    expect(of({ models: [model("ready", "failed", "succeeded")] }).evaluate).toBe("done");
  });

  it("of the ready-made path counts what belongs to it", () => {
    const lists = {
      data: [named("cats")],
      jobs: [job("succeeded")],
      models: [named("cats")],
      environments: [named("pytorch", { state: "ready" })],
    };
    expect(of(lists).data).toBe("done");
    const none = of(lists, "digits");
    expect([none.data, none.code, none.train, none.environment]).toEqual(["todo", "todo", "todo", "todo"]);
    expect(of({ data: [named("digits"), named("digits-test")] }, "digits").data).toBe("done");
    expect(of({ data: [named("digits")] }, "digits").data).toBe("todo");
    expect(of({ jobs: [job("running", { tags: { starter: "digits" } })] }, "digits").train).toBe("busy");
    expect(of({ jobs: [job("running", { inputs: { digits: { path: "digits@1" } } })] }, "digits").train).toBe("busy");
  });
});

describe("nextStep", () => {
  it("leaves out what can be left out, and ends", () => {
    const done = of({
      data: [named("cats")],
      jobs: [job("succeeded")],
      models: [model("ready", "succeeded")],
      endpoints: [named("cats", { state: "ready" })],
    });
    expect(done.instance).toBe("todo");
    expect(nextStep(done)).toBeNull();
    expect(nextStep({ ...done, train: "busy" })).toBe("train");
  });
});
