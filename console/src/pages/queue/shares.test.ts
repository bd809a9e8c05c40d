import { describe, expect, it } from "vitest";
import { changed, draftOf, meter, type Quota, shareBar, totals, words } from "./shares";

const quota = (fields: Partial<Quota> = {}): Quota => ({ project: "vision", cpu: null, memory: null, gpu: null, running_jobs: null, weight: 1, priority: "normal", ...fields });

describe("meters", () => {
  it("are of the quota where there is one, else of the machines", () => {
    expect(meter(2, 8, 16)).toEqual({ held: 2, most: 8, limited: true, part: 0.25, full: false });
    expect(meter(2, null, 16)).toEqual({ held: 2, most: 16, limited: false, part: 0.125, full: false });
    expect(meter(2, undefined, null)).toEqual({ held: 2, most: null, limited: false, part: 1, full: false });
    expect(meter(0, null, 0)).toEqual({ held: 0, most: 0, limited: false, part: 0, full: false });
  });

  it("are full at the quota and above it, never wider than they are", () => {
    expect(meter(8, 8, 16).full).toBe(true);
    expect(meter(12, 8, 16)).toEqual({ held: 12, most: 8, limited: true, part: 1, full: true });
    expect(meter(0, 0, 16)).toEqual({ held: 0, most: 0, limited: true, part: 1, full: true }); // it may have none
    expect(meter(16, null, 16).full).toBe(false); // all of the machines is no quota
  });
});

describe("the machines", () => {
  it("count while they answer", () => {
    const node = { cpu: 8, memory: 100, gpus: ["a", "b"] };
    expect(totals([{ ...node, alive: true }, { ...node, alive: false }, { cpu: 4, memory: 50, gpus: [], alive: true }])).toEqual({ cpu: 12, memory: 150, gpu: 2 });
    expect(totals([])).toEqual({ cpu: 0, memory: 0, gpu: 0 });
  });
});

describe("a share's bar", () => {
  it("stays in its track", () => {
    expect(shareBar({ share: 0.4, recent_share: 0.7 })).toEqual({ now: 0.4, recent: 0.7 });
    expect(shareBar({ share: 1.2, recent_share: -0.1 })).toEqual({ now: 1, recent: 0 });
  });
});

describe("a quota's form", () => {
  it("shows what is set, and nothing where there is no limit", () => {
    expect(draftOf(quota({ cpu: 8, memory: 64 * 2 ** 30, weight: 2 }))).toEqual({ cpu: "8", memory: "64GB", gpu: "", running_jobs: "", weight: "2", priority: "normal" });
    expect(draftOf(null)).toEqual({ cpu: "", memory: "", gpu: "", running_jobs: "", weight: "1", priority: "normal" });
    expect(draftOf(quota({ gpu: 0 })).gpu).toBe("0"); // none at all is a limit, too
  });

  it("sends what was changed", () => {
    const before = draftOf(quota({ cpu: 8, memory: 2 ** 30 }));
    expect(changed(before, before)).toEqual({});
    expect(changed(before, { ...before, cpu: "", gpu: " 0.5 ", memory: "2GB" })).toEqual({ cpu: null, gpu: 0.5, memory: "2GB" });
    expect(changed(before, { ...before, weight: "", priority: "high" })).toEqual({ weight: 1, priority: "high" });
    expect(changed(before, { ...before, running_jobs: "0" })).toEqual({ running_jobs: 0 });
  });

  it("has the command that does the same", () => {
    expect(words("vision", { cpu: null, running_jobs: 4 })).toEqual(["nacre", "quota", "set", "vision", "--cpu", "none", "--running-jobs", "4"]);
  });
});
