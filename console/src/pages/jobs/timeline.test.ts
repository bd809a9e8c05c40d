import { describe, expect, it } from "vitest";
import type { Job } from "./job";
import { stretches, ticks } from "./timeline";

const time = (second: number) => new Date(Date.UTC(2026, 0, 1) + 1000 * second).toISOString();
const NOW = Date.UTC(2026, 0, 1) + 100_000;

function job(ended: number | null, attempts: [placed: number, started: number | null, ended: number | null, reason?: string][]): Job {
  return {
    created_at: time(0),
    ended_at: ended === null ? null : time(ended),
    attempts: attempts.map(([placed, started, over, reason], i) => ({
      number: i + 1,
      created_at: time(placed),
      started_at: started === null ? null : time(started),
      ended_at: over === null ? null : time(over),
      reason: reason ?? null,
    })),
  } as unknown as Job;
}

const brief = (one: Job) => stretches(one, NOW).map((s) => [s.phase, s.attempt, (s.from - Date.UTC(2026, 0, 1)) / 1000, (s.to - Date.UTC(2026, 0, 1)) / 1000, s.open]);

describe("a job's stretches", () => {
  it("of one that waits are one that is open", () => {
    expect(brief(job(null, []))).toEqual([["queued", null, 0, 100, true]]);
  });

  it("of one that runs end with now", () => {
    expect(brief(job(null, [[10, 12, null]]))).toEqual([
      ["queued", null, 0, 10, false],
      ["preparing", 1, 10, 12, false],
      ["running", 1, 12, 100, true],
    ]);
  });

  it("of one that was tried again have the wait between the two", () => {
    const found = stretches(job(60, [[1, 2, 20, "exit_nonzero"], [25, 26, 60]]), NOW);
    expect(found.map((s) => [s.phase, s.attempt])).toEqual([
      ["queued", null],
      ["preparing", 1],
      ["running", 1],
      ["queued", null],
      ["preparing", 2],
      ["running", 2],
    ]);
    expect(found[2]!.reason).toBe("exit_nonzero");
    expect(found.every((s) => !s.open)).toBe(true);
  });

  it("of one that never was placed, and of one that never began", () => {
    expect(brief(job(30, []))).toEqual([["queued", null, 0, 30, false]]);
    expect(brief(job(30, [[10, null, 30, "data_missing"]]))).toEqual([
      ["queued", null, 0, 10, false],
      ["preparing", 1, 10, 30, false],
    ]);
  });

  it("of one that waits for its next try go on", () => {
    expect(brief(job(null, [[1, 2, 20, "node_lost"]])).at(-1)).toEqual(["queued", null, 20, 100, true]);
  });
});

describe("ticks", () => {
  it("are round and few", () => {
    expect(ticks(0.5)).toEqual([0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.5]);
    expect(ticks(100)).toEqual([0, 30, 60, 90]);
    expect(ticks(4000)).toEqual([0, 900, 1800, 2700, 3600]);
    for (const seconds of [1, 9, 61, 3599, 90_000, 1e7]) expect(ticks(seconds).length).toBeLessThanOrEqual(7);
  });
});
