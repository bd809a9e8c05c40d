import { describe, expect, it } from "vitest";
import { DIGITS, handwritten, randoms } from "./digits.fixture";
import { bounds, centreOfMass, drawn, type Grey, normalised, rasterised, resized, styleOf, uprighted } from "./ink";

const line = [[[0, 0], [0, 100]] as const];
const used = (image: Grey, least = 0.05) => {
  const rows = new Set<number>();
  const columns = new Set<number>();
  image.values.forEach((value, at) => {
    if (value < least) return;
    rows.add(Math.floor(at / image.width));
    columns.add(at % image.width);
  });
  return { rows: rows.size, columns: columns.size };
};
const mean = (image: Grey) => image.values.reduce((sum, value) => sum + value, 0) / image.values.length;

describe("a drawing as MNIST", () => {
  it("fills a box of 20, its ink balanced in the middle, wherever it was drawn", () => {
    const random = randoms(1);
    for (const way of Object.values(DIGITS).flat()) {
      const image = drawn(handwritten(way, random), 28, 28);
      const { rows, columns } = used(image);
      expect(Math.max(rows, columns)).toBeGreaterThanOrEqual(19);
      expect(Math.max(rows, columns)).toBeLessThanOrEqual(22);
      const [x, y] = centreOfMass(image)!;
      expect(Math.abs(x - 14) + Math.abs(y - 14)).toBeLessThan(0.3);
      expect(Math.max(...image.values)).toBe(1);
    }
  });
  it("has the ink of the data", () => {
    const random = randoms(2);
    const images = Object.values(DIGITS).flat().map((way) => drawn(handwritten(way, random), 28, 28));
    expect(images.reduce((sum, image) => sum + mean(image), 0) / images.length).toBeCloseTo(0.133, 1);
  });
});

describe("a drawing as scikit-learn's digits", () => {
  it("fills the height and has the same ink, whatever the digit", () => {
    const random = randoms(3);
    for (const way of Object.values(DIGITS).flat()) {
      const image = drawn(handwritten(way, random), 8, 8);
      expect(used(image).rows).toBe(8);
      expect(used(image, 0.15).columns).toBeLessThanOrEqual(6);
      expect(mean(image)).toBeCloseTo(0.3, 1);
    }
  });
  it("is the same where it is drawn larger or elsewhere", () => {
    const small = DIGITS[3]![0]!;
    const large = small.map((stroke) => stroke.map(([x, y]) => [3 * x + 40, 3 * y - 7] as const));
    const [one, other] = [drawn(large, 8, 8).values, drawn(small, 8, 8).values];
    one.forEach((value, at) => expect(Math.abs(value - other[at]!)).toBeLessThan(0.07));
  });
});

describe("slanted writing", () => {
  it("is set upright by a share, and what is level stays", () => {
    const slanted = [[[30, 0], [0, 60]] as const];
    expect(uprighted(slanted, 1)).toEqual([[[15, 0], [15, 60]]]);
    expect(uprighted(slanted, 0.5)).toEqual([[[22.5, 0], [7.5, 60]]]);
    const level = [[[0, 5], [50, 5]] as const];
    expect(uprighted(level, 1)).toEqual(level);
    expect(uprighted([[[1, 1]]], 1)).toEqual([[[1, 1]]]);
  });
});

describe("what is hardly a drawing", () => {
  it("is an empty image, a dot or a line", () => {
    expect(mean(drawn([], 28, 28))).toBe(0);
    expect(bounds([[]])).toBeNull();
    expect(mean(drawn([[[5, 5]]], 28, 28))).toBeGreaterThan(0);
    expect(used(drawn(line, 28, 28)).rows).toBeGreaterThan(18);
    expect(used(drawn([[[0, 3], [90, 3]]], 8, 8)).columns).toBeGreaterThanOrEqual(5);
  });
});

describe("pixels", () => {
  it("are shares of ink", () => {
    const image = rasterised([[[0, 2], [4, 2]]], 4, 4, 2);
    expect([...image.values]).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
    expect(styleOf(8, 8).ink).not.toBeNull();
  });
  it("are resized by the area that each covers", () => {
    const image = { width: 3, height: 1, values: Float32Array.from([0, 1, 0.5]) };
    expect([...resized(image, 1, 1).values][0]).toBeCloseTo(0.5);
    expect([...resized({ width: 2, height: 1, values: Float32Array.from([0, 1]) }, 4, 1).values]).toEqual([0, 0, 1, 1]);
  });
});

describe("a photograph of a digit", () => {
  it("is cut out and put where a drawing of it would be", () => {
    const values = new Float32Array(100 * 100);
    for (let y = 60; y < 95; y += 1) for (let x = 10; x < 17; x += 1) values[y * 100 + x] = 1;
    const image = normalised({ width: 100, height: 100, values }, 28, 28);
    expect(used(image)).toEqual({ rows: 20, columns: 4 });
    const [x, y] = centreOfMass(image)!;
    expect([x, y]).toEqual([14, 14]);
  });
});
