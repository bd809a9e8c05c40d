import { describe, expect, it } from "vitest";
import { bodyOf, type Draft, mountName, wordsOf, wrongOf } from "./draft";

const draft: Draft = { name: "", type: "cpu.small", environment: "base", mounts: [], idle: "1h", secrets: [], start: true };

describe("a new instance", () => {
  it("is a command that says only what is chosen", () => {
    expect(wordsOf(draft).join(" ")).toBe("nacre instance create --type cpu.small --env base");
    const full: Draft = {
      name: "lab",
      type: "gpu",
      environment: "pytorch",
      mounts: [
        { name: "digits", path: "digits@3" },
        { name: "train", path: "faces" },
      ],
      idle: "4h",
      secrets: ["HF_TOKEN"],
      start: false,
    };
    expect(wordsOf(full).join(" ")).toBe(
      "nacre instance create lab --type gpu --env pytorch --data digits@3 --data train=faces --idle-timeout 4h --secret HF_TOKEN --no-start",
    );
    expect(bodyOf(full)).toMatchObject({
      name: "lab",
      data: { digits: { path: "digits@3" }, train: { path: "faces" } },
      idle_timeout: 14_400,
      start: false,
    });
  });

  it("has no name until somebody gives one", () => expect(bodyOf(draft).name).toBeNull());

  it("says what would be refused", () => {
    expect(wrongOf(draft)).toEqual({});
    expect(wrongOf({ ...draft, name: "My Lab" })).toEqual({ name: "badName" });
    expect(wrongOf({ ...draft, mounts: [{ name: "a", path: "" }] })).toEqual({ mounts: "badMount" });
    const twice = { name: "a", path: "x" };
    expect(wrongOf({ ...draft, mounts: [twice, twice] })).toEqual({ mounts: "twice" });
  });

  it("mounts the same dataset twice under two names", () => {
    expect(mountName("digits", [])).toBe("digits");
    expect(mountName("digits", [{ name: "digits", path: "digits@1" }])).toBe("digits-2");
  });
});
