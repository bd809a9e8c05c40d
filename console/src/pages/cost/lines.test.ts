import { describe, expect, it } from "vitest";
import { byDay, csv, groups, type Line, niceStep } from "./lines";

const line = (given: Partial<Line>): Line => ({ seconds: 1, cost: 10, ...given });

const LINES = [
  line({ day: "2026-03-01", kind: "job", project: "a", user: "ada" }),
  line({ day: "2026-03-01", kind: "instance", project: "a", user: "bob", cost: 30 }),
  line({ day: "2026-03-02", kind: "job", project: "b", user: "ada", cost: 5, seconds: 0.5 }),
];

describe("groups", () => {
  it("add up, the dearest first", () => {
    expect(groups(LINES, "kind")).toEqual([
      { name: "instance", seconds: 1, cost: 30 },
      { name: "job", seconds: 1.5, cost: 15 },
    ]);
    for (const key of ["project", "user"] as const) {
      expect(groups(LINES, key).reduce((sum, one) => sum + one.cost, 0)).toBe(45);
    }
  });
});

describe("byDay", () => {
  it("has every day, in order, and nothing of others", () => {
    const days = byDay(LINES, "kind", ["2026-03-01", "2026-03-02", "2026-03-03"]);
    expect(days.map((one) => one.total)).toEqual([40, 5, 0]);
    expect(Object.fromEntries(days[0]!.parts)).toEqual({ job: 10, instance: 30 });
    expect(byDay(LINES, "kind", ["2026-03-02"]).map((one) => one.total)).toEqual([5]);
  });
});

describe("niceStep", () => {
  it.each([
    [0, 1],
    [4, 1],
    [7, 2],
    [1_234_567, 500_000],
    [4_000_000, 1_000_000],
  ])("for %d is %d", (most, step) => {
    expect(niceStep(most)).toBe(step);
  });
});

describe("csv", () => {
  it("has whole micros and the amount", () => {
    const [head, first] = csv([line({ day: "2026-03-01", cost: 1_234_567, subject_name: "train", subject: "job_1" })], "USD").split("\r\n");
    expect(head).toBe("day,project,user,kind,name,id,seconds,cost_micros,cost,currency");
    expect(first).toBe("2026-03-01,,,,train,job_1,1,1234567,1.234567,USD");
  });

  it("quotes, and gives a spreadsheet no formulas", () => {
    const [, first] = csv([line({ subject_name: '=1+"2",3' })], "USD").split("\r\n");
    expect(first).toContain(`"'=1+""2"",3"`);
    expect(csv([line({ cost: -5 })], "USD")).toContain(",-5,-0.000005,");
  });
});
