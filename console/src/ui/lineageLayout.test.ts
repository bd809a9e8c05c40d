import { describe, expect, it } from "vitest";
import { layout, type LineageNode, pageOf, related } from "./lineageLayout";

const node = (id: string, version: number | null = null): LineageNode => {
  const [kind, name] = id.split(":") as [LineageNode["kind"], string];
  return { id, kind, name: name.split("/")[0]!, version, label: name, state: null };
};
const EDGES: [string, string][] = [
  ["data:d/1", "job:j"],
  ["environment:e", "job:j"],
  ["job:j", "run:r"],
  ["run:r", "model:m/1"],
  ["model:m/1", "endpoint:p"],
];
const NODES = ["endpoint:p", "model:m/1", "run:r", "job:j", "data:d/1", "environment:e"].map((id) => node(id));

describe("the layout", () => {
  it("has every edge lead to the right, and no two nodes in one place", () => {
    const { placed, edges, width, height } = layout(NODES, EDGES, ["run:r"]);
    expect(edges).toHaveLength(EDGES.length);
    for (const { from, to } of edges) expect(from.x).toBeLessThan(to.x);
    expect(new Set(placed.map((one) => `${one.x} ${one.y}`)).size).toBe(NODES.length);
    for (const one of placed) {
      expect(one.x).toBeLessThan(width);
      expect(one.y).toBeLessThan(height);
    }
  });

  it("leaves out columns that nothing is in", () => {
    const { width } = layout([node("data:d/1"), node("job:j")], [["data:d/1", "job:j"]], []);
    expect(width).toBe(2 * 184 + 48);
  });

  it("is narrower where there is less room, as far as names can be read", () => {
    for (const room of [2000, 1180, 1100, 990, 840]) {
      const { width, nodeWidth, edges } = layout(NODES, EDGES, ["run:r"], new Set(), { room });
      expect(width).toBeLessThanOrEqual(room);
      expect(nodeWidth).toBeGreaterThanOrEqual(144);
      for (const { from, to } of edges) expect(to.x - from.x - nodeWidth).toBeGreaterThanOrEqual(28);
    }
    expect(layout(NODES, EDGES, [], new Set(), { room: 300 }).nodeWidth).toBe(184);
  });

  it("puts neighbours side by side", () => {
    const nodes = [node("job:a"), node("job:b"), node("run:b"), node("run:a")];
    const { placed } = layout(nodes, [["job:a", "run:a"], ["job:b", "run:b"]], []);
    const y = Object.fromEntries(placed.map((one) => [one.node.id, one.y]));
    expect(y["job:a"]).toBe(y["run:a"]);
    expect(y["job:b"]).toBe(y["run:b"]);
  });

  it("shows a part of many, the subject always, and all on demand", () => {
    const many = Array.from({ length: 50 }, (_, at) => node(`run:${at}`));
    const some = layout(many, [], ["run:49"]);
    expect(some.placed).toHaveLength(8);
    expect(some.placed.map((one) => one.node.id)).toContain("run:49");
    expect(some.more).toMatchObject([{ column: "run", count: 42 }]);
    expect(layout(many, [], ["run:49"], new Set(["run"])).placed).toHaveLength(50);
  });
});

it("of many, what led furthest is shown", () => {
  const jobs = Array.from({ length: 30 }, (_, at) => node(`job:j-${at}`));
  const runs = Array.from({ length: 30 }, (_, at) => node(`run:j-${at}`));
  const edges: [string, string][] = [...jobs.map((job, at) => [job.id, runs[at]!.id] as [string, string]), ["run:j-3", "model:m/1"]];
  const { placed, edges: drawn } = layout([...jobs, ...runs, node("model:m/1")], edges, []);
  const shown = placed.map((one) => one.node.id);
  expect(shown.filter((id) => id.startsWith("job:"))).toEqual([29, 28, 27, 26, 25, 24, 23, 3].map((at) => `job:j-${at}`));
  expect(drawn.map((edge) => [edge.from.node.id, edge.to.node.id])).toContainEqual(["run:j-3", "model:m/1"]);
});

it("what a node came from and led to, not its siblings", () => {
  const edges: [string, string][] = [...EDGES, ["data:d/1", "job:other"]];
  expect([...related("job:j", edges)].sort()).toEqual(NODES.map((one) => one.id).sort());
  expect(related("job:other", edges)).toEqual(new Set(["job:other", "data:d/1"]));
});

it("nodes have pages", () => {
  expect(pageOf("vision", node("data:d/1", 1))).toBe("/p/vision/data/d?version=1");
  expect(pageOf("vision", { ...node("model:m/2", 2), name: "a b" })).toBe("/p/vision/models/a%20b?version=2");
  expect(pageOf("vision", node("job:j"))).toBe("/p/vision/jobs/j");
});
