import { describe, expect, it } from "vitest";
import { answers, canRollBack, fitted, sameShares, type Shares, takenBack, withShare } from "./sharing";

const sum = (shares: Shares) => Object.values(shares).reduce((total, share) => total + share, 0);

describe("shares", () => {
  it("takes from the others in proportion", () => {
    expect(withShare({ 1: 100, 2: 0 }, 2, 10)).toEqual({ 1: 90, 2: 10 });
    expect(withShare({ 1: 60, 2: 30, 3: 10 }, 3, 40)).toEqual({ 1: 40, 2: 20, 3: 40 });
  });

  it("gives what is left to the newest where the others have nothing", () => {
    expect(withShare({ 1: 0, 2: 0, 3: 100 }, 3, 70)).toEqual({ 1: 0, 2: 30, 3: 70 });
  });

  it("always adds up to 100 in whole numbers", () => {
    let shares: Shares = { 1: 34, 2: 33, 3: 33 };
    for (let turn = 0; turn < 500; turn++) {
      shares = withShare(shares, (turn % 3) + 1, (turn * 37) % 101);
      expect(sum(shares)).toBe(100);
      expect(Object.values(shares).every((share) => Number.isInteger(share) && share >= 0)).toBe(true);
    }
  });

  it("leaves one alone with all of it", () => {
    expect(withShare({ 4: 100 }, 4, 20)).toEqual({ 4: 100 });
  });

  it("compares with nothing as none", () => {
    expect(sameShares({ 1: 100 }, { 1: 100, 2: 0 })).toBe(true);
    expect(sameShares({ 1: 90, 2: 10 }, { 1: 100 })).toBe(false);
  });
});

describe("a draft of shares", () => {
  it("outlives revisions that come, and those that go without a share", () => {
    expect(fitted({ 1: 90, 2: 10 }, [3, 2, 1])).toEqual({ 1: 90, 2: 10, 3: 0 });
    expect(fitted({ 1: 90, 2: 10, 3: 0 }, [2, 1])).toEqual({ 1: 90, 2: 10 });
  });
  it("ends with a revision that it gives requests to", () => {
    expect(fitted({ 1: 90, 2: 10 }, [1])).toBeNull();
  });
});

describe("a roll-back", () => {
  const one = { traffic: 100, answering: 100, shadow: 0, state: "ready", before: null };
  const none = { traffic: 0, answering: 0, shadow: 0, state: "retired", before: { 9: 100 } };
  it("has nowhere to go from the first revision, nor after one was taken back", () => {
    expect(canRollBack([one])).toBe(false);
    expect(canRollBack([none, one])).toBe(false);
    expect(canRollBack([{ ...one, state: "starting" }])).toBe(false); // nothing answers yet
    expect(canRollBack([{ ...one, state: "failed", reason: "load_failed", before: { 1: 100 } }])).toBe(false);
  });
  it("ends a change or copies, or restores what was before", () => {
    expect(canRollBack([{ ...none, traffic: 10 }, { ...one, traffic: 90 }])).toBe(true);
    expect(canRollBack([{ ...none, shadow: 50 }, one])).toBe(true);
    expect(canRollBack([{ ...one, before: { 1: 100 } }])).toBe(true);
  });
});

describe("a revision", () => {
  const one = { answering: 100, state: "ready", reason: null };
  it("answers when it is ready, and taken back until others can", () => {
    expect(answers(one)).toBe(true);
    expect(answers({ ...one, answering: 0 })).toBe(false);
    expect(answers({ ...one, state: "failed", reason: "load_failed" })).toBe(false);
    expect(answers({ ...one, state: "failed", reason: "worse_latency" })).toBe(true);
    expect(takenBack({ state: "starting", reason: "worse_errors" })).toBe(false);
  });
});
