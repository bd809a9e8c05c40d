import { expect, it } from "vitest";
import { clock } from "./clock";

it("tells the day where it is not today", () => {
  const now = new Date(2026, 2, 1, 23, 0);
  expect(clock(new Date(2026, 2, 1, 23, 32).toISOString(), "en", now)).toBe("23:32");
  expect(clock(new Date(2026, 2, 2, 0, 5).toISOString(), "en", now)).toBe("Mar 2, 00:05");
});
