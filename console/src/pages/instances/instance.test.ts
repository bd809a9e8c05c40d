import { describe, expect, it } from "vitest";
import { clock, costNow, idleLeft, type Instance } from "./instance";

const lab = { state: "running", idle_timeout: 3600, idle_s: 600, price_per_hour: 360_000, cost: 1000 } as Instance;

describe("an instance", () => {
  it("counts down from what the server last said", () => {
    expect(idleLeft(lab, 0, 0)).toBe(3000);
    expect(idleLeft(lab, 0, 60_000)).toBe(2940);
    expect(idleLeft(lab, 0, 10_000_000)).toBe(0);
    expect(idleLeft(lab, 5000, 0)).toBe(3000);
    expect(idleLeft({ ...lab, state: "stopped" }, 0, 0)).toBeNull();
    expect(idleLeft({ ...lab, idle_s: null }, 0, 0)).toBeNull();
  });

  it("costs while something is allocated", () => {
    expect(costNow(lab, 0, 36_000)).toBe(1000 + 3600);
    expect(costNow({ ...lab, state: "queued" }, 0, 36_000)).toBe(1000);
    expect(costNow({ ...lab, state: "stopped" }, 0, 36_000)).toBe(1000);
  });

  it.each([
    [0, "0:00"],
    [0.2, "0:01"],
    [59, "0:59"],
    [600, "10:00"],
    [3599.5, "1:00:00"],
    [7205, "2:00:05"],
  ])("shows %d seconds as %s", (seconds, text) => expect(clock(seconds)).toBe(text));
});
