import { describe, expect, it } from "vitest";
import { mainMetric, sparkline, workOf } from "./work";

const job = (name: string, state: string, created_at: string, more: object = {}) =>
  ({ id: name, project: "vision", name, state, created_at, user: "ada", price_per_hour: 1, ...more }) as Parameters<typeof workOf>[0][number];
const instance = job as unknown as (...words: Parameters<typeof job>) => Parameters<typeof workOf>[1][number];

describe("workOf", () => {
  it("has what runs first, then what waits longest", () => {
    const jobs = [
      job("new-waits", "queued", "2026-01-01T03", { message: "8 GPUs are wanted, 4 are there" }),
      job("old-waits", "queued", "2026-01-01T01"),
      job("runs", "running", "2026-01-01T00", { started_at: "2026-01-01T02" }),
      job("over", "succeeded", "2026-01-01T04"),
    ];
    const work = workOf(jobs, [instance("lab", "running", "2026-01-01T00", { started_at: "2026-01-01T05" }), instance("old", "stopped", "2026-01-01T00")]);
    expect(work.map(({ name }) => name)).toEqual(["lab", "runs", "old-waits", "new-waits"]);
    expect(work.map(({ waits }) => waits)).toEqual([false, false, true, true]);
    expect(work.at(-1)).toMatchObject({ message: "8 GPUs are wanted, 4 are there", to: "/p/vision/jobs/new-waits" });
    expect(work[0]).toMatchObject({ kind: "instance", to: "/p/vision/instances/lab", since: "2026-01-01T05" });
  });
});

describe("mainMetric", () => {
  it.each([
    [["loss", "val_accuracy", "lr"], "val_accuracy"],
    [["train/loss", "val/loss"], "val/loss"],
    [["lr", "macro_f1", "loss"], "macro_f1"],
    [["system/gpu", "lr"], "lr"],
    [["system/cpu"], null],
    [[], null],
  ])("of %j is %s", (keys, found) => expect(mainMetric(keys)).toBe(found));
});

describe("sparkline", () => {
  it("spans the box, the greatest value at the top", () => {
    expect(sparkline([0, 1, 0.5], 24, 14)).toBe("M2.0,12.0 L12.0,2.0 L22.0,7.0");
  });
  it("breaks at gaps, and is flat where nothing changes", () => {
    expect(sparkline([1, null, 1, 1], 20, 10)).toBe("M2.0,5.0 M12.7,5.0 L18.0,5.0");
    expect(sparkline([1], 20, 10)).toBe("");
    expect(sparkline([null, Number.NaN], 20, 10)).toBe("");
  });
});
