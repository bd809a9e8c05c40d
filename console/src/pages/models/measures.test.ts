import { describe, expect, it } from "vitest";
import type { Evaluation, Version } from "./data";
import { best, confusedMost, dataOf, measured, perClass } from "./measures";

const evaluation = (data: string, accuracy: number | null, state = "succeeded") =>
  ({ data, accuracy, state }) as unknown as Evaluation;
const version = (number: number, ...evaluations: Evaluation[]) => ({ number, evaluations }) as unknown as Version;

const versions = [
  version(3, evaluation("a@1", null, "running"), evaluation("a@1", 0.9)),
  version(2, evaluation("a@1", 0.95), evaluation("a@1", 0.1), evaluation("b@1", 0.2)),
  version(1, evaluation("b@1", null, "failed")),
];

describe("evaluations side by side", () => {
  it("take the newest that succeeded", () => {
    expect(versions.map((one) => measured(one, "a@1")?.accuracy)).toEqual([0.9, 0.95, undefined]);
  });
  it("are of the data that most versions share", () => {
    expect(dataOf(versions)).toEqual(["a@1", "b@1"]);
  });
  it("mark a best one only where there is another", () => {
    expect(best(versions, "a@1", "accuracy")).toBe(0.95);
    expect(best(versions, "b@1", "accuracy")).toBeNull();
  });
});

describe("classes", () => {
  const one = {
    labels: ["cat", "dog", "owl"],
    confusion: [[5, 1, 0], [3, 4, 0], [0, 2, 9]],
    per_class: { dog: { precision: 0.5, recall: 0.6, f1: 0.55, support: 7 }, cat: { support: 6 } },
  } as unknown as Evaluation;
  it("are in the order of the labels", () => {
    expect(perClass(one).map((row) => [row.label, row.support, row.f1])).toEqual([["cat", 6, 0], ["dog", 7, 0.55]]);
  });
  it("that are mixed up most come first", () => {
    expect(confusedMost(one, 2)).toEqual([
      { truth: "dog", called: "cat", count: 3 },
      { truth: "owl", called: "dog", count: 2 },
    ]);
  });
});
