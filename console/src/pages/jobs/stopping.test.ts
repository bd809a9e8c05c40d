import { describe, expect, it } from "vitest";
import { seconds } from "./stopping";

describe("a duration", () => {
  it("is read as the server reads it", () => {
    expect(["90", "90s", "10m", "1h30m", " 1h 30m ", "1.5h", "2D"].map(seconds)).toEqual([90, 90, 600, 5400, 5400, 5400, 172_800]);
  });

  it("is none where it means nothing", () => {
    expect(["", "0", "0s", "m", "10x", "-5s", "1h-5m", "ten minutes"].map(seconds)).toEqual([null, null, null, null, null, null, null, null]);
  });
});
