import { describe, expect, it } from "vitest";
import { dayOf, daysOf, midnight, periodOf } from "./period";

const NOW = new Date("2026-03-05T23:59:00Z");
const words = ({ since, until }: { since: Date; until: Date }) => [since.toISOString(), until.toISOString()];

describe("periodOf", () => {
  it("knows this month and the last one, also over a new year", () => {
    expect(words(periodOf("month", NOW))).toEqual(["2026-03-01T00:00:00.000Z", "2026-04-01T00:00:00.000Z"]);
    expect(words(periodOf("last", new Date("2026-01-31T12:00:00Z")))).toEqual([
      "2025-12-01T00:00:00.000Z",
      "2026-01-01T00:00:00.000Z",
    ]);
  });

  it("counts seven days with today", () => {
    const days = daysOf(periodOf("week", NOW));
    expect([days.length, days[0], days.at(-1)]).toEqual([7, "2026-02-27", "2026-03-05"]);
  });

  it("has both ends of a range", () => {
    expect(daysOf(periodOf("range", NOW, "2026-02-27", "2026-03-01"))).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"]);
    expect(daysOf(periodOf("range", NOW, "2026-03-04"))).toEqual(["2026-03-04", "2026-03-05"]);
  });

  it.each([
    ["", ""],
    ["2026-02-30", "2026-03-01"],
    ["2026-03-02", "2026-03-01"],
    ["yesterday", "today"],
  ])("takes this month for a range from %j to %j", (first, last) => {
    expect(periodOf("range", NOW, first, last)).toEqual(periodOf("month", NOW));
  });
});

describe("days", () => {
  it("are those of UTC", () => {
    expect(dayOf(NOW)).toBe("2026-03-05");
    expect(midnight("2026-13-01")).toBeNull();
  });

  it("of a long range are the last ones", () => {
    const days = daysOf(periodOf("range", NOW, "2020-01-01", "2026-03-05"), 10);
    expect([days.length, days.at(-1)]).toEqual([10, "2026-03-05"]);
  });
});
