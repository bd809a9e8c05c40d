import { describe, expect, it } from "vitest";
import { matcher, sections } from "./sections";
import { rangeOf, settingsOf, withSettings, zoomed } from "./settings";

const of = (query: string) => settingsOf(new URLSearchParams(query));

describe("settings in the address", () => {
  it("come back as they were put there", () => {
    const settings = {
      ...of(""), find: "val/*", x: "relative" as const, logX: true, logY: true, smooth: 0.6, group: "lr", pinned: ["a/b", "c&d=e"],
      hidden: ["h~1"], closed: ["system"], together: false, full: "loss",
      zoom: new Map([["train/loss~x", [0.5, 1e9] as [number, number]]]),
    };
    const { x, zoom, ...rest } = settings;
    let params = withSettings(new URLSearchParams("run=a&run=b"), { x });
    params = withSettings(params, { ...rest, together: false });
    params = withSettings(params, { zoom });
    expect(settingsOf(new URLSearchParams(params.toString()))).toEqual(settings);
    expect(params.getAll("run")).toEqual(["a", "b"]);
  });

  it("as at first are not written", () => {
    const first = of("");
    expect(withSettings(new URLSearchParams("smooth=0.5&pin=a&logx=1"), first).toString()).toBe("");
  });

  it("that make no sense are as at first", () => {
    expect(of("x=banana&smooth=huge&zoom=2~1~k&zoom=a~b~k&zoom=~~")).toEqual(of(""));
    expect(of("smooth=7").smooth).toBe(0.99);
  });

  it("forget zooms with the axis that they were on", () => {
    const params = withSettings(new URLSearchParams("zoom=1~2~loss"), { x: "time" });
    expect(params.toString()).toBe("x=time");
  });

  it("zoom a chart, or all", () => {
    const one = of("zoom=1~2~loss");
    expect([rangeOf(one, "loss"), rangeOf(one, "acc")]).toEqual([[1, 2], null]);
    const all = of("together=1&zoom=3~4~*");
    expect([rangeOf(all, "loss"), rangeOf(all, "acc")]).toEqual([[3, 4], [3, 4]]);
    expect([...zoomed(one, "acc", [5, 6]).zoom!.keys()]).toEqual(["loss", "acc"]);
    expect([...zoomed(all, "acc", null).zoom!.keys()]).toEqual([]);
  });
});

describe("sections", () => {
  const keys = ["val/loss", "loss", "system/gpu", "train/layer10", "train/layer2", "acc", "loss"];
  const none = { find: "", pinned: [], hidden: [] };

  it("are by prefix, in natural order, the machine last", () => {
    expect(sections(keys, none)).toEqual([
      { name: "", keys: ["acc", "loss"] },
      { name: "train", keys: ["train/layer2", "train/layer10"] },
      { name: "val", keys: ["val/loss"] },
      { name: "system", keys: ["system/gpu"] },
    ]);
  });

  it("begin with what was pinned, without what was hidden or does not fit", () => {
    const found = sections(keys, { find: "l", pinned: ["val/loss", "gone"], hidden: ["loss"] });
    expect(found).toEqual([
      { name: "pinned:", keys: ["val/loss"] },
      { name: "train", keys: ["train/layer2", "train/layer10"] },
    ]);
  });

  it("are found by text anywhere, or by a pattern of all", () => {
    expect(keys.filter(matcher("LOSS"))).toEqual(["val/loss", "loss", "loss"]);
    expect(keys.filter(matcher("*/l*"))).toEqual(["val/loss", "train/layer10", "train/layer2"]);
    expect(["a.b", "axb"].filter(matcher("a.b*"))).toEqual(["a.b"]);
  });
});
