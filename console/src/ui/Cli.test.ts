import { expect, it } from "vitest";
import { shell } from "./Cli";

it("quotes what a shell would read, and what has quotes as shortly as it can be", () => {
  expect(shell("digits@1")).toBe("digits@1");
  expect(shell("a b")).toBe("'a b'");
  expect(shell("")).toBe("''");
  expect(shell("name ILIKE '%net%'")).toBe(`"name ILIKE '%net%'"`);
  expect(shell("it's $HOME")).toBe(`'it'\\''s $HOME'`);
  expect(shell("it's new!")).toBe(`'it'\\''s new!'`);
});
