import { describe, expect, it } from "vitest";
import { appended, banded, type Curve, curveOf, empty, groupLines, halved, runLines, smoothed } from "./curves";

const curve = (run: string, y: (number | null)[], more: Partial<Curve> = {}): Curve => ({
  ...empty(run, "loss"),
  x: y.map((_, at) => at),
  mean: y,
  min: y,
  max: y,
  n: y.map(() => 1),
  count: y.length,
  ...more,
});
const points = (first: number, values: (number | null)[], count: number) => ({
  step: values.map((_, at) => first + at),
  time_ms: values.map((_, at) => 1000 + 10 * (first + at)),
  value: values,
  count,
});
const steps = { kind: "step", startMs: 0, range: null } as const;

describe("smoothing", () => {
  it("is the plain EMA without its bias", () => {
    const w = 0.6;
    const values = [1, 2, 4, 8];
    let [m, left] = [0, 1];
    const expected = values.map((v) => {
      m = w * m + (1 - w) * v;
      left *= w;
      return m / (1 - left);
    });
    expect(smoothed(values, [1, 1, 1, 1], w)).toEqual(expected);
    expect(expected[0]).toBeCloseTo(1);
  });

  it("leaves a constant as it is, passes over gaps, and does nothing at zero", () => {
    for (const value of smoothed([3, 3, null, 3], [1, 1, 1, 1], 0.9)) if (value !== null) expect(value).toBeCloseTo(3);
    expect(smoothed([3, null], [1, 1], 0.9)[1]).toBeNull();
    expect(smoothed([3, 5], [1, 1], 0)).toEqual([3, 5]);
  });

  it("counts an entry of fewer points for less", () => {
    const [, whole] = smoothed([0, 1], [10, 10], 0.5);
    const [, part] = smoothed([0, 1], [10, 1], 0.5);
    expect(part).toBeLessThan(whole!);
    // Ten single points weigh as much as one entry of ten.
    const ten = smoothed([0, ...Array<number>(10).fill(1)], [10, ...Array<number>(10).fill(1)], 0.5);
    expect(ten.at(-1)).toBeCloseTo(whole!);
  });
});

describe("live points", () => {
  it("come after the end, on the axis in use", () => {
    const before = curve("a", [5, 4]);
    const after = appended(before, points(2, [3, null], 4), steps, 100);
    expect(after.x).toEqual([0, 1, 2, 3]);
    expect(after.mean).toEqual([5, 4, 3, null]);
    expect([after.count, after.exact, before.x.length]).toEqual([4, true, 2]);
    const relative = appended(empty("a", "loss"), points(0, [1, 2], 2), { kind: "relative", startMs: 1000, range: null }, 100);
    expect(relative.x).toEqual([0, 10]);
  });

  it("outside of the zoom are counted, not drawn", () => {
    const after = appended(curve("a", [1]), points(1, [2, 3, 4], 4), { ...steps, range: [0, 2] }, 100);
    expect([after.x, after.count]).toEqual([[0, 1, 2], 4]);
  });

  it("never make more than twice as many entries as pixels, and lose no spike", () => {
    let grown = curve("a", []);
    for (let step = 0; step < 1000; step += 1) {
      grown = appended(grown, points(step, [step === 500 ? 99 : step % 2], step + 1), steps, 50);
    }
    expect(grown.x.length).toBeLessThanOrEqual(100);
    expect(grown.n.reduce((a, b) => a + b)).toBe(1000);
    expect(Math.max(...grown.max.map((v) => v ?? 0))).toBe(99);
    expect(grown.exact).toBe(false);
    const sum = grown.mean.reduce((total: number, value, at) => total + value! * grown.n[at]!, 0);
    expect(sum).toBeCloseTo(500 + 99);
    expect([...grown.x].sort((a, b) => a - b)).toEqual(grown.x);
  });

  it("halve with the weights of what they stand for", () => {
    const half = halved(curve("a", [1, 4, null], { n: [3, 1, 2] }));
    expect([half.x, half.mean, half.n]).toEqual([[0.25, 2], [1.75, null], [4, 2]]);
    expect([half.min, half.max]).toEqual([[1, null], [4, null]]);
  });
});

describe("lines", () => {
  const of = (run: string) => ({ id: run, label: `run ${run}`, color: "#000000" });

  it("have a band where an entry stands for several points, and the raw line when smoothed", () => {
    const binned = curve("a", [1, 2, 3], { exact: false, min: [0, 1, 2], max: [2, 3, 4] });
    expect(runLines([binned], of, 0)[0]).toMatchObject({ y: [1, 2, 3], lower: [0, 1, 2], upper: [2, 3, 4] });
    const smooth = runLines([binned], of, 0.5)[0]!;
    expect(smooth.faint).toEqual([1, 2, 3]);
    expect(smooth.lower).toBeUndefined();
  });

  it("of a group are the mean of its runs in their band", () => {
    const group = (run: string) => ({ id: run[0]!, label: run[0]!, color: "#000000" });
    const found = groupLines([curve("a1", [1, 3]), curve("a2", [3, null]), curve("b1", [7, 7])], group, 0, 100);
    expect(found.map((one) => one.id)).toEqual(["a", "b"]);
    expect(found[0]).toMatchObject({ x: [0, 1], y: [2, 3], lower: [1, 3], upper: [3, 3] });
    expect(found[1]!.lower).toBeUndefined();
  });

  it("of different steps meet in bins in which each run counts once", () => {
    const dense = { x: Array.from({ length: 100 }, (_, at) => at), y: Array<number>(100).fill(0) };
    const sparse = { x: [5, 95], y: [10, 10] };
    const band = banded([dense, sparse], 10);
    expect(band.x.length).toBe(10);
    expect([band.mean[0], band.mean[4], band.mean[9]]).toEqual([5, 0, 5]);
    expect([band.min[0], band.max[0]]).toEqual([0, 10]);
  });

  it("of nothing are nothing", () => {
    expect(banded([], 10).x).toEqual([]);
    expect(groupLines([], of, 0, 10)).toEqual([]);
  });
});

describe("a series of the server", () => {
  it("becomes a curve without entries that have no place", () => {
    const found = curveOf({
      run: "a", key: "k", x: [0, null, 2], mean: [1, 2, 3], min: [1, 2, 3], max: [1, 2, 3], last: [1, 2, 3],
      n: [1, 1, 1], exact: true, count: 3, cursor: "c",
    });
    expect([found.x, found.mean, found.n]).toEqual([[0, 2], [1, 3], [1, 1]]);
  });
});
