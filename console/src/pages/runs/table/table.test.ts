import { describe, expect, it } from "vitest";
import type { RunRecord } from "../facts";
import { fallsFirst, filterOf, orderBy, parseColumn, parseColumns, parseOrder, quoted, usualColumns, writeColumn, writeOrder } from "./columns";
import { heard, listed, NO_HEAD } from "./rows";
import { complete, tokenAt } from "./completion";

const row = (id: string, name = id) => ({ id, name }) as RunRecord;

describe("columns", () => {
  it("come back from the address, pinned ones first, each once", () => {
    const found = parseColumns(["params.lr", "!metrics.val/loss", "params.lr", "nonsense", "attributes.gone", "tags.a.b"]);
    expect(found.map(writeColumn)).toEqual(["!metrics.val/loss", "params.lr", "tags.a.b"]);
    expect(parseColumn("tags.a.b")).toMatchObject({ kind: "tags", key: "a.b" });
  });

  it("are at first what most runs have", () => {
    const known = [
      { kind: "metrics", key: "system/gpu", type: "number", runs: 90 },
      { kind: "metrics", key: "rare", type: "number", runs: 1 },
      { kind: "metrics", key: "loss", type: "number", runs: 90 },
      { kind: "params", key: "lr", type: "number", runs: 90 },
    ] as const;
    const ids = usualColumns([...known]).map((one) => one.id);
    expect(ids).toContain("params.lr");
    expect(ids.indexOf("metrics.loss")).toBeLessThan(ids.indexOf("metrics.rare"));
    expect(ids).not.toContain("metrics.system/gpu");
  });

  it("sort the best first", () => {
    expect(["metrics.val/loss", "metrics.accuracy", "name", "attributes.created", "metrics.glossy"].map(fallsFirst)).toEqual([false, true, false, true, true]);
  });

  it("sort in the server's grammar", () => {
    expect(orderBy(parseOrder("-metrics.val/loss"))).toEqual(["metrics.`val/loss` DESC"]);
    expect(orderBy(parseOrder("params.lr"))).toEqual(["params.lr ASC"]);
    expect(orderBy(parseOrder("name"))).toEqual(["attributes.run_name ASC"]);
    expect(orderBy(parseOrder("attributes.created"))).toEqual(["attributes.start_time ASC"]);
    expect(orderBy(parseOrder("attributes.duration"))).toEqual([]);
    expect(parseOrder("banana")).toBeNull();
    expect(writeOrder(parseOrder("-params.lr"))).toBe("-params.lr");
    expect(quoted("a`b")).toBe('"a`b"');
  });
});

describe("filters", () => {
  it("are the server's, and words alone are looked for in names", () => {
    expect(filterOf(" metrics.loss < 0.3 ")).toBe("metrics.loss < 0.3");
    expect(filterOf("params.opt LIKE 'a%'")).toBe("params.opt LIKE 'a%'");
    expect(filterOf("it's")).toBe("attributes.run_name ILIKE '%it''s%'");
    expect(filterOf("  ")).toBe("");
  });

  it("are completed where the cursor is", () => {
    const text = "params.lr > 1 and metrics.va";
    expect(tokenAt(text, text.length)).toEqual({ start: 18, text: "metrics.va" });
    expect(tokenAt(text, 3)).toEqual({ start: 0, text: "par" });
    expect(tokenAt("params.`a b", 11)).toEqual({ start: 0, text: "params.`a b" });
    expect(tokenAt("params.x = 'abc", 15)).toBeNull();
    const names = ["metrics.val/loss", "metrics.loss", "params.lr"];
    expect(complete("metrics.va", names)).toEqual(["metrics.`val/loss`"]);
    expect(complete("los", names)).toEqual(["metrics.`val/loss`", "metrics.loss"]);
    expect(complete("metrics.loss", names)).toEqual([]);
  });
});

describe("rows", () => {
  const pages = ["a", "b", "c", "d"].map((id) => row(id));

  it("are the pages until the live list comes", () => {
    expect(listed(pages, NO_HEAD, 2).map((one) => one.id)).toEqual(["a", "b", "c", "d"]);
  });

  it("begin with the live list and go on with the pages", () => {
    let head = heard(NO_HEAD, { rows: [row("a"), row("b")], order: ["a", "b"] });
    head = heard(head, { rows: [row("new"), row("a", "renamed")], removed: ["b"], order: ["new", "a"] });
    const found = listed(pages, head, 2);
    expect(found.map((one) => one.id)).toEqual(["new", "a", "b", "c", "d"]);
    expect(found[1]!.name).toBe("renamed");
  });

  it("are the live list alone where that is all", () => {
    const head = heard(NO_HEAD, { rows: [row("b")], order: ["b"], removed: ["a"] });
    expect(listed(pages, head, 200).map((one) => one.id)).toEqual(["b"]);
  });

  it("change without a new order", () => {
    let head = heard(NO_HEAD, { rows: [row("a")], order: ["a"] });
    head = heard(head, { rows: [row("a", "x")] });
    expect(listed(pages, head, 200).map((one) => one.name)).toEqual(["x"]);
  });
});
