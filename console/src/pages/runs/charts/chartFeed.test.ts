import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Schemas } from "@/api/client";
import type { Cursor, Wanted } from "@/api/live";
import { ChartFeed } from "./chartFeed";

/** A server: series that grow, charts of them, and subscriptions that go on from a cursor. */
class Server {
  readonly series = new Map<string, number[]>();
  readonly asked: Schemas["ChartSpec"][] = [];
  readonly open = new Set<{ wanted: Wanted; at: Map<string, number>; onData: (data: Record<string, unknown>, cursor: Cursor) => void }>();
  slow: (() => Promise<void>) | null = null;

  log(run: string, key: string, ...values: number[]) {
    const there = this.series.get(`${run}/${key}`) ?? [];
    this.series.set(`${run}/${key}`, [...there, ...values]);
  }

  chart = async (spec: Schemas["ChartSpec"], signal: AbortSignal): Promise<Schemas["Chart"]> => {
    this.asked.push(spec);
    const series: Schemas["ChartSeries"][] = [];
    for (const run of spec.runs) {
      for (const key of spec.keys ?? []) {
        const values = this.series.get(`${run}/${key}`);
        if (!values) continue;
        const x = values.map((_, at) => at).filter((at) => at >= (spec.low ?? -1) && at <= (spec.high ?? 1e9));
        const y = x.map((at) => values[at]!);
        const n = x.map(() => 1);
        series.push({ run, key, x, mean: y, min: y, max: y, last: y, n, exact: true, count: values.length, cursor: String(values.length) });
      }
    }
    await this.slow?.();
    if (signal.aborted) throw new DOMException("", "AbortError");
    return { axis: "step", series };
  };

  subscribe = (wanted: Wanted, onData: (data: Record<string, unknown>, cursor: Cursor) => void) => {
    const at = new Map(Object.entries(wanted.cursor ?? {}).map(([name, value]) => [name.slice(2), Number(value)]));
    const one = { wanted, at, onData };
    this.open.add(one);
    return () => void this.open.delete(one);
  };

  /** Tell everybody what is new past where they are. */
  push() {
    for (const one of [...this.open]) {
      const metrics: Record<string, unknown> = {};
      for (const key of one.wanted.keys ?? []) {
        const values = this.series.get(`${one.wanted.name!}/${key}`);
        const from = one.at.get(key) ?? 0;
        if (!values || values.length === from) continue;
        const step = values.slice(from).map((_, i) => from + i);
        metrics[key] = { step, time_ms: step, value: values.slice(from), count: values.length };
        one.at.set(key, values.length);
      }
      const cursor = Object.fromEntries([...one.at].map(([key, count]) => [`m:${key}`, String(count)]));
      if (Object.keys(metrics).length) one.onData({ metrics }, cursor);
    }
  }
}

const runs = (...ids: string[]) => ids.map((id) => ({ id, startMs: 0 }));
const settle = () => vi.advanceTimersByTimeAsync(1000);
let server: Server;
let feed: ChartFeed;
const shown = (key: string) => feed.shown(key).curves.map((curve) => [curve.run, curve.mean]);

beforeEach(() => {
  vi.useFakeTimers();
  server = new Server();
  feed = new ChartFeed("p", server);
  server.log("a", "loss", 5, 4);
  server.log("b", "loss", 7);
  server.log("a", "acc", 0);
  feed.configure({ runs: runs("a", "b"), axis: "step", width: 100 });
});
afterEach(() => {
  feed.close();
  vi.useRealTimers();
});

describe("charts", () => {
  it("are fetched together, and only those that are watched", async () => {
    feed.watch("loss", () => undefined);
    feed.watch("acc", () => undefined);
    await settle();
    expect(server.asked.map((spec) => [spec.keys, spec.runs])).toEqual([[["loss", "acc"], ["a", "b"]]]);
    expect(shown("loss")).toEqual([["a", [5, 4]], ["b", [7]]]);
    expect(shown("acc")).toEqual([["a", [0]]]);
    expect(feed.shown("loss").loading).toBe(false);
  });

  it("fetch only the run that was added, and drop the one that was taken away", async () => {
    feed.watch("loss", () => undefined);
    await settle();
    server.log("c", "loss", 1);
    feed.configure({ runs: runs("c", "b"), axis: "step", width: 100 });
    await settle();
    expect(server.asked.at(-1)!.runs).toEqual(["c"]);
    expect(shown("loss")).toEqual([["c", [1]], ["b", [7]]]);
    expect([...server.open].map((one) => one.wanted.name).sort()).toEqual(["b", "c"]);
  });

  it("tell watchers once for many updates", async () => {
    const told = vi.fn();
    feed.watch("loss", told);
    await settle();
    told.mockClear();
    for (let i = 0; i < 20; i += 1) {
      server.log("a", "loss", i);
      server.push();
    }
    await settle();
    expect(told).toHaveBeenCalledTimes(1);
    expect(shown("loss")[0]![1]).toHaveLength(22);
  });
});

describe("live points", () => {
  it("that come between the chart and the subscription are not lost, and none comes twice", async () => {
    feed.watch("loss", () => undefined);
    await vi.advanceTimersByTimeAsync(50); // fetched, not yet subscribed
    server.log("a", "loss", 3);
    await settle();
    server.push();
    server.log("a", "loss", 2);
    server.push();
    expect(shown("loss")[0]).toEqual(["a", [5, 4, 3, 2]]);
  });

  it("go on without a gap when another chart comes into view", async () => {
    feed.watch("loss", () => undefined);
    await settle();
    server.log("a", "loss", 3);
    server.push();
    feed.watch("acc", () => undefined);
    await vi.advanceTimersByTimeAsync(20);
    server.log("a", "loss", 2);
    server.log("a", "acc", 1);
    await settle();
    server.push();
    expect(shown("loss")[0]).toEqual(["a", [5, 4, 3, 2]]);
    expect(shown("acc")).toEqual([["a", [0, 1]]]);
  });

  it("that come while a chart is fetched again are in it once", async () => {
    feed.watch("loss", () => undefined);
    await settle();
    let answer = () => {};
    server.slow = () => new Promise((done) => (answer = done));
    feed.configure({ runs: runs("a", "b"), axis: "step", width: 200 });
    await vi.advanceTimersByTimeAsync(50); // asked: the answer was made, and is on its way
    server.log("a", "loss", 3);
    server.push(); // the old subscription hears it
    server.slow = null;
    answer();
    await vi.advanceTimersByTimeAsync(1);
    server.log("a", "loss", 2);
    server.push();
    await settle();
    server.push();
    expect(shown("loss")[0]).toEqual(["a", [5, 4, 3, 2]]);
  });

  it("of a metric that begins later come from its beginning", async () => {
    feed.watch("new", () => undefined);
    await settle();
    expect(shown("new")).toEqual([]);
    server.log("b", "new", 1, 2);
    server.push();
    await settle();
    expect(shown("new")).toEqual([["b", [1, 2]]]);
  });

  it("are fetched where they are too many", async () => {
    feed.watch("loss", () => undefined);
    await settle();
    server.log("a", "loss", 3);
    for (const one of server.open) {
      if (one.wanted.name === "a") one.onData({ metrics: { loss: { refetch: true } } }, { "m:loss": "3" });
    }
    await settle();
    expect(server.asked).toHaveLength(2);
    expect(server.asked[1]!.runs).toEqual(["a"]);
    expect(shown("loss")[0]).toEqual(["a", [5, 4, 3]]);
  });
});

describe("zoom", () => {
  it("fetches the part anew and leaves out live points beyond it", async () => {
    feed.watch("loss", () => undefined);
    await settle();
    feed.zoom("loss", [0, 1]);
    await settle();
    expect(server.asked[1]).toMatchObject({ keys: ["loss"], low: 0, high: 1 });
    server.log("a", "loss", 3);
    server.push();
    expect(shown("loss")[0]).toEqual(["a", [5, 4]]);
    feed.zoom("loss", null);
    await settle();
    server.push();
    expect(shown("loss")[0]).toEqual(["a", [5, 4, 3]]);
  });
});

describe("a chart out of view", () => {
  it("is not asked for, and is fetched anew when it comes back", async () => {
    const leave = feed.watch("loss", () => undefined);
    await settle();
    leave();
    await settle();
    expect(server.open.size).toBe(0);
    server.log("a", "loss", 3);
    feed.watch("loss", () => undefined);
    expect(shown("loss")[0]).toEqual(["a", [5, 4]]); // what was there, until the rest comes
    await settle();
    expect(shown("loss")[0]).toEqual(["a", [5, 4, 3]]);
  });
});

describe("a failure", () => {
  it("is kept until it is tried again", async () => {
    const chart = server.chart;
    const failing = vi.fn().mockRejectedValueOnce(new Error("no")).mockImplementation(chart);
    feed = new ChartFeed("p", { chart: failing, subscribe: server.subscribe });
    feed.configure({ runs: runs("a"), axis: "step", width: 100 });
    feed.watch("loss", () => undefined);
    await settle();
    expect(feed.shown("loss").error).toBeInstanceOf(Error);
    expect(failing).toHaveBeenCalledTimes(1);
    feed.retry("loss");
    await settle();
    expect(feed.shown("loss").error).toBeNull();
    expect(shown("loss")).toEqual([["a", [5, 4]]]);
  });
});
