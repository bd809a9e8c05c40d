import { describe, expect, it } from "vitest";
import { problemOf } from "@/api/client";
import { refusals, safeBack } from "./problems";

describe("safeBack", () => {
  it("keeps addresses of the console", () => {
    expect(safeBack("/p/default/runs?run=a#x")).toBe("/p/default/runs?run=a#x");
    expect(safeBack("/")).toBe("/");
  });

  it.each([null, "", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "p/default", "/sign-in?back=/", "/sign-up"])(
    "leads %s home",
    (back) => {
      expect(safeBack(back)).toBe("/");
      expect(safeBack(back, "/welcome")).toBe("/welcome");
    },
  );
});

describe("refusals", () => {
  const said = (status: number, detail: string, extra: object = {}) => problemOf(status, { detail, code: "x", extra });

  it("are about the form, or about a field", () => {
    expect(refusals(said(401, "wrong name or password"), false)).toMatchObject([{ key: "wrong" }]);
    expect(refusals(said(409, "taken"), true)).toMatchObject([{ key: "taken", field: "name" }]);
    expect(refusals(said(403, "this invitation is unknown, used or expired: ask"), true)).toMatchObject([
      { key: "badInvitation", field: "invitation" },
    ]);
    expect(refusals(said(403, "this account is disabled"), false)).toEqual([{ detail: "this account is disabled" }]);
  });

  it("say how long to wait", () => {
    expect(refusals(said(429, "wait 7 s", { retry_after_s: 7 }), false)).toMatchObject([{ key: "slow", count: 7 }]);
  });

  it("name each field that is wrong", () => {
    const fields = [
      { field: "name", message: "'A' is not a name" },
      { field: "password", message: "Value should have at least 8 items after validation, not 1" },
      { field: "cookie", message: "odd" },
    ];
    expect(refusals(said(422, "name: …", { fields }), true)).toMatchObject([
      { field: "name", key: "badName" },
      { field: "password", key: "shortPassword" },
    ]);
    expect(refusals(said(422, "reserved", { fields: [{ field: "name", message: "reserved" }] }), true)).toMatchObject([
      { field: "name", key: "reserved" },
    ]);
  });

  it("keep the server's words for what they do not know", () => {
    expect(refusals(said(422, "odd", { fields: [{ field: "cookie", message: "odd" }] }), true)).toEqual([{ detail: "odd" }]);
    expect(refusals(said(500, "defect"), false)).toEqual([{ detail: "defect" }]);
  });
});
