import { describe, expect, it } from "vitest";
import type { Job } from "./job";
import { bar, rows, span, ticks, waits } from "./timeline";

const START = Date.UTC(2026, 0, 1);
const time = (second: number | null) => (second === null ? null : new Date(START + 1000 * second).toISOString());
const NOW = START + 100_000;

type Times = [ready: number | null, started: number | null, ended: number | null];
interface Tried {
  placed: number;
  started?: number;
  ended?: number;
  replicas?: Times[];
}

function job(ended: number | null, attempts: Tried[], retry: number | null = null): Job {
  return {
    created_at: time(0),
    ended_at: time(ended),
    retry_at: time(retry),
    attempts: attempts.map((one, i) => ({
      number: i + 1,
      created_at: time(one.placed),
      started_at: time(one.started ?? null),
      ended_at: time(one.ended ?? null),
      replicas: (one.replicas ?? []).map(([ready, started, over], rank) => ({ rank, ready_at: time(ready), started_at: time(started), ended_at: time(over) })),
    })),
  } as unknown as Job;
}

const brief = (one: Job) =>
  rows(one, NOW).map((row) => [row.key, ...row.stretches.map((s) => `${s.phase} ${(s.from - START) / 1000}-${s.open ? "" : (s.to - START) / 1000}`)]);

describe("a job's lines", () => {
  it("of one that waits are one that goes on", () => {
    expect(brief(job(null, []))).toEqual([["job", "queued 0-"]]);
    expect(rows(job(null, []), NOW)[0]!.stretches[0]!.to).toBe(NOW);
  });

  it("of one that runs end with now", () => {
    expect(brief(job(null, [{ placed: 10, started: 12 }]))).toEqual([
      ["job", "queued 0-10"],
      ["1", "preparing 10-12", "running 12-"],
    ]);
  });

  it("of one that was tried again have the wait between the two", () => {
    const found = brief(job(60, [{ placed: 1, started: 2, ended: 20 }, { placed: 25, started: 26, ended: 60 }]));
    expect(found).toEqual([
      ["job", "queued 0-1", "queued 20-25"],
      ["1", "preparing 1-2", "running 2-20"],
      ["2", "preparing 25-26", "running 26-60"],
    ]);
  });

  it("of one that never was placed, and of one that never began", () => {
    expect(brief(job(30, []))).toEqual([["job", "queued 0-30"]]);
    expect(brief(job(30, [{ placed: 10, ended: 30 }]))).toEqual([
      ["job", "queued 0-10"],
      ["1", "preparing 10-30"],
    ]);
  });

  it("show the back-off before the next try, and the wait after it", () => {
    const tried = { placed: 1, started: 2, ended: 20 };
    expect(brief(job(null, [tried], 160))[0]).toEqual(["job", "queued 0-1", "backing_off 20-"]);
    expect(brief(job(null, [tried], 60))[0]).toEqual(["job", "queued 0-1", "backing_off 20-60", "queued 60-"]);
    expect(brief(job(null, [tried]))[0]).toEqual(["job", "queued 0-1", "queued 20-"]);
    // It was placed again: when it might have been is over.
    expect(brief(job(null, [tried, { placed: 30 }], 22))).toEqual([
      ["job", "queued 0-1", "queued 20-30"],
      ["1", "preparing 1-2", "running 2-20"],
      ["2", "preparing 30-"],
    ]);
  });

  it("of a gang are one for each replica, with its wait for the others", () => {
    const gang = job(null, [{ placed: 10, started: 20, replicas: [[15, 20, null], [20, 20, null]] }]);
    expect(brief(gang)).toEqual([
      ["job", "queued 0-10"],
      ["1.0", "preparing 10-15", "waiting 15-20", "running 20-"],
      ["1.1", "preparing 10-20", "running 20-"],
    ]);
  });

  it("of a gang whose last replica never came", () => {
    const gang = job(null, [{ placed: 10, ended: 90, replicas: [[15, null, 88], [null, null, 90]] }], 95);
    expect(brief(gang)).toEqual([
      ["job", "queued 0-10", "backing_off 90-95", "queued 95-"],
      ["1.0", "preparing 10-15", "waiting 15-88"],
      ["1.1", "preparing 10-90"],
    ]);
  });

  it("end with the attempt where a replica's own end is not known", () => {
    expect(brief(job(50, [{ placed: 10, ended: 50, replicas: [[12, 13, 50], [12, 13, null]] }]))[2]).toEqual(["1.1", "preparing 10-12", "waiting 12-13", "running 13-50"]);
  });

  it("never go backwards, though clocks do", () => {
    const found = rows(job(50, [{ placed: 10, ended: 50, replicas: [[8, 30, 50], [20, 15, 50]] }]), NOW);
    expect(found[1]!.stretches.map((s) => [s.phase, (s.from - START) / 1000])).toEqual([["waiting", 10], ["running", 30]]);
    expect(found[2]!.stretches.map((s) => [s.phase, (s.from - START) / 1000])).toEqual([["preparing", 10], ["running", 20]]);
  });
});

describe("waits", () => {
  it("are from the submission, then from the end before", () => {
    expect([...waits(job(60, [{ placed: 5, ended: 20 }, { placed: 45, ended: 60 }]))]).toEqual([[1, 5], [2, 25]]);
  });
});

describe("bars", () => {
  const all = rows(job(100, [{ placed: 50, started: 60, ended: 70 }, { placed: 80, started: 90, ended: 100 }]), NOW);

  it("are parts of the whole time", () => {
    const whole = span(all);
    expect(whole).toEqual([START, START + 100_000]);
    expect(bar(all[1]!.stretches[1]!, whole)).toEqual({ left: 60, width: 10 });
  });

  it("are parts of an attempt's time, and only those in it", () => {
    const last = span(all, 2);
    expect(last).toEqual([START + 80_000, START + 100_000]);
    expect(bar(all[2]!.stretches[1]!, last)).toEqual({ left: 50, width: 50 });
    expect(bar(all[1]!.stretches[1]!, last)).toBeNull();
    expect(bar({ phase: "queued", from: START + 70_000, to: START + 80_000, open: false }, last)).toBeNull();
    expect(bar({ phase: "queued", from: START + 70_000, to: START + 90_000, open: false }, last)).toEqual({ left: 0, width: 50 });
  });

  it("have some time even where there is none", () => {
    expect(span([])).toEqual([0, 1]);
    const [from, to] = span(rows(job(0, []), NOW));
    expect(to).toBeGreaterThan(from);
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
