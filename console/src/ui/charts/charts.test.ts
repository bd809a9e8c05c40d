import { describe, expect, it } from "vitest";
import { align, layers, nearest, union, type LineSeries } from "./align";
import { decades, level, marks, place } from "./axes";
import { colorOf, colorsOf, PALETTE } from "./colors";
import { valuesAt } from "./tooltip";

function linear(hex: string): [number, number, number] {
  const parts = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255);
  return parts.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)) as [number, number, number];
}

/** Where differences are as eyes see them (Ottosson). */
function oklab(hex: string): number[] {
  const [r, g, b] = linear(hex);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function luminance(hex: string): number {
  const [r, g, b] = linear(hex);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const contrast = (a: string, b: string) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high! + 0.05) / (low! + 0.05);
};

const line = (id: string, x: number[], y: (number | null)[], more: Partial<LineSeries> = {}): LineSeries => ({ id, label: id, color: "#000000", x, y, ...more });

describe("colours", () => {
  it("can be told from both backgrounds", () => {
    for (const color of PALETTE) {
      expect(contrast(color, "#ffffff"), color).toBeGreaterThanOrEqual(3);
      expect(contrast(color, "#131517"), color).toBeGreaterThanOrEqual(3);
    }
  });

  it("can be told from each other", () => {
    const places = PALETTE.map(oklab);
    for (let a = 0; a < places.length; a += 1) {
      for (let b = 0; b < a; b += 1) {
        const apart = Math.hypot(...places[a]!.map((value, at) => value - places[b]![at]!));
        expect(apart, `${PALETTE[a]!} ${PALETTE[b]!}`).toBeGreaterThan(0.08);
      }
    }
  });

  it("are the same for the same id and spread over ids", () => {
    const ids = Array.from({ length: 400 }, (_, at) => `run-${at}`);
    expect(ids.map(colorOf)).toEqual(ids.map(colorOf));
    expect(new Set(ids.map(colorOf)).size).toBe(PALETTE.length);
  });

  it("differ among what is drawn together, and stay when something is added", () => {
    const ids = Array.from({ length: PALETTE.length }, (_, at) => `r${at}`);
    const few = colorsOf(ids.slice(0, 12));
    expect(new Set(few.values()).size).toBe(12);
    const all = colorsOf(["new", ...ids.slice(0, 12)], few);
    for (const [id, color] of few) expect(all.get(id)).toBe(color);
    expect(new Set(all.values()).size).toBe(13);
    expect(new Set(colorsOf(ids).values()).size).toBe(PALETTE.length);
    expect(colorsOf([...ids, "a", "b"]).size).toBe(PALETTE.length + 2);
  });

  it("are the run's own where nothing is in the way", () => {
    expect(colorsOf(["x"]).get("x")).toBe(colorOf("x"));
  });
});

describe("alignment", () => {
  it("puts series of different x over one x, without making gaps", () => {
    const series = [line("a", [0, 2, 4], [1, null, 3]), line("b", [1, 2], [5, 6])];
    expect(align(series, layers(series))).toEqual([
      [0, 1, 2, 4],
      [1, undefined, null, 3],
      [undefined, 5, 6, undefined],
    ]);
  });

  it("draws bands under faint lines under lines", () => {
    const series = [line("a", [0], [1], { lower: [0], upper: [2] }), line("b", [0], [1], { faint: [3] })];
    expect(layers(series).map((one) => one.part)).toEqual(["upper", "lower", "faint", "y", "y"]);
    expect(align(series, layers(series)).slice(1)).toEqual([[2], [0], [3], [1], [1]]);
  });

  it("takes the last of several points of one x", () => {
    const series = [line("a", [1, 1, 2], [7, 8, 9])];
    expect(align(series, layers(series))).toEqual([[1, 2], [8, 9]]);
  });

  it("leaves out what a logarithm lacks", () => {
    const series = [line("a", [0, 1, 2], [4, 0, -1])];
    expect(align(series, layers(series), { logX: true, logY: true })).toEqual([[1, 2], [null, null]]);
  });

  it("joins x in order", () => {
    expect(union([[1, 5], [0, 5, 9], []])).toEqual([0, 1, 5, 9]);
    expect(union([])).toEqual([]);
  });

  it("finds the nearest place", () => {
    expect([0, 2.9, 3.1, 100].map((x) => nearest([1, 2, 4], x))).toEqual([0, 1, 2, 2]);
    expect(nearest([], 1)).toBe(-1);
  });
});

describe("tooltip", () => {
  it("sorts by value, leaves out gaps and what is too far away", () => {
    const series = [line("a", [0, 10], [1, 2]), line("b", [0, 10], [5, 6]), line("c", [10], [null]), line("d", [99], [1])];
    expect(valuesAt(series, 9, 3).map((one) => [one.label, one.value])).toEqual([["b", 6], ["a", 2]]);
  });
});

describe("axes", () => {
  it("read as steps, durations and times", () => {
    expect(marks("step", "en", [0, 500, 20_000])).toEqual(["0", "500", "20K"]);
    expect(marks("relative", "en", [0, 30_000, 90_000])).toEqual(["0", "30s", "1m 30s"]);
    const noon = new Date(2026, 0, 2, 12, 0).getTime();
    expect(marks("time", "en", [noon, noon + 60_000])).toEqual(["12:00", "12:01"]);
    expect(place("step", "en", 12_345)).toBe("12345");
    expect(marks("relative", "en", [-7_200_000, -500, 0])).toEqual(["-2h", "-500ms", "0"]);
    expect([0.000001, 0.0000125, 1e12, 0.25, null].map(level)).toEqual(["1e-6", "1.25e-5", "1e+12", "0.25", ""]);
    expect(decades([0.1, 0.2, 0.5, 1, 2, 10])).toEqual([0.1, null, null, 1, null, 10]);
    expect(decades([2, 3, 10, 20])).toEqual([2, 3, 10, 20]);
  });
});
