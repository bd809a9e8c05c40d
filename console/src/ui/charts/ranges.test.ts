import { expect, it } from "vitest";
import { ofPlaces, ofValues, type Range } from "./ranges";

const room = (low: number, high: number): Range => [low - 1, high + 1];

it("puts a single place in the middle of its axis", () => {
  expect(ofPlaces([7], "step", false)).toEqual([6.5, 7.5]);
  expect(ofPlaces([0, 4], "step", false)).toEqual([0, 4]);
  expect(ofPlaces([1000], "time", false)).toEqual([500, 1500]);
  expect(ofPlaces([8], "step", true)).toEqual([4, 16]);
  expect(ofPlaces([], "step", false)).toEqual([0, 1]);
});

it("shows what is constant at its height, and zeros at the bottom", () => {
  expect(ofValues(50, 50, room)).toEqual([45, 55]);
  expect(ofValues(-50, -50, room)).toEqual([-55, -45]);
  expect(ofValues(0, 0, room)).toEqual([0, 1]);
  expect(ofValues(2, 3, room)).toEqual([1, 4]);
  expect(ofValues(null, null, room)).toEqual([0, 1]);
});
