/**
 * The curves of a grid of charts: fetched for the charts that are near the window, kept current by the live
 * connection from exactly where each fetched series ends (`cursor`), so that there is no gap and nothing twice.
 *
 * Outside of React: a chart watches a key and is told when its curves are others.
 */
import type { Schemas } from "@/api/client";
import type { Cursor, Wanted } from "@/api/live";
import type { XKind } from "@/ui/charts/LineChart";
import { appended, type Curve, curveOf, empty, type Points } from "./curves";

export type Range = readonly [number, number];

export interface FeedRun {
  id: string;
  startMs: number;
}

export interface FeedSpec {
  runs: readonly FeedRun[];
  axis: XKind;
  /** Pixels. */
  width: number;
}

/** What a chart shows; a new object whenever it changed. */
export interface Shown {
  curves: readonly Curve[];
  loading: boolean;
  error: unknown;
}

export interface FeedPorts {
  chart: (spec: Schemas["ChartSpec"], signal: AbortSignal) => Promise<Schemas["Chart"]>;
  subscribe: (wanted: Wanted, onData: (data: Record<string, unknown>, cursor: Cursor) => void) => () => void;
  /** How long changes are gathered, in ms: before asking, before subscribing, before telling. */
  waits?: { ask: number; subscribe: number; tell: number };
}

interface Entry {
  key: string;
  range: Range | null;
  watchers: Set<() => void>;
  curves: Map<string, Curve>;
  /** Runs whose curve is as asked for; others are fetched. */
  fresh: Set<string>;
  /** Runs whose curve was fetched after their subscription began: live points wait for the next one. */
  held: Set<string>;
  asked: AbortController | null;
  error: unknown;
  shown: Shown | null;
}

const NOTHING: Shown = { curves: [], loading: true, error: null };
const KEYS_AT_ONCE = 12;
const POINTS_AT_ONCE = 400_000;
const WAITS = { ask: 16, subscribe: 120, tell: 400 };

export class ChartFeed {
  private spec: FeedSpec = { runs: [], axis: "step", width: 320 };
  private readonly entries = new Map<string, Entry>();
  private readonly marks = new Map<string, Cursor>();
  private readonly streams = new Map<string, { keys: string; stop: () => void }>();
  private readonly changed = new Set<Entry>();
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly waits: typeof WAITS;

  constructor(
    private readonly project: string,
    private readonly ports: FeedPorts,
  ) {
    this.waits = ports.waits ?? WAITS;
  }

  /** Other runs, axis or width: what is no longer right is fetched again; what still is stays. */
  configure(spec: FeedSpec): void {
    const before = this.spec;
    this.spec = spec;
    const moved = spec.axis !== before.axis;
    const there = new Set(spec.runs.map((run) => run.id));
    const starts = new Map(before.runs.map((run) => [run.id, run.startMs]));
    for (const entry of this.entries.values()) {
      if (moved || spec.width !== before.width) this.stale(entry);
      if (moved) {
        entry.curves.clear();
        entry.range = null;
      }
      for (const id of [...entry.curves.keys()]) if (!there.has(id)) this.drop(entry, id);
      if (spec.axis === "relative") {
        for (const run of spec.runs) {
          if (starts.has(run.id) && starts.get(run.id) !== run.startMs) this.drop(entry, run.id);
        }
      }
      this.touch(entry);
    }
    this.later("ask", () => this.ask());
    this.later("subscribe", () => this.resubscribe());
  }

  /** Be told of changes of a key's curves, until the returned function is called. */
  watch(key: string, tell: () => void): () => void {
    const entry = this.entry(key);
    if (entry.watchers.size === 0) this.stale(entry); // nobody kept it current meanwhile
    entry.watchers.add(tell);
    this.later("ask", () => this.ask());
    return () => {
      entry.watchers.delete(tell);
      if (entry.watchers.size > 0) return;
      entry.asked?.abort();
      entry.asked = null;
      this.later("subscribe", () => this.resubscribe());
    };
  }

  /** The part of the axis that a key's chart shows; null: all. Fetched anew, at this width. */
  zoom(key: string, range: Range | null): void {
    const entry = this.entry(key);
    if (entry.range?.[0] === range?.[0] && entry.range?.[1] === range?.[1]) return;
    entry.range = range;
    this.stale(entry);
    this.touch(entry);
    this.later("ask", () => this.ask());
  }

  /** What the chart of a key shows now. The same object until something changed. */
  shown(key: string): Shown {
    const entry = this.entries.get(key);
    if (!entry) return NOTHING;
    entry.shown ??= {
      curves: this.spec.runs.flatMap((run) => entry.curves.get(run.id) ?? []).filter((curve) => curve.x.length > 0),
      loading: this.spec.runs.some((run) => !entry.fresh.has(run.id)),
      error: entry.error,
    };
    return entry.shown;
  }

  /** Ask again for what failed. */
  retry(key: string): void {
    this.entry(key).error = null;
    this.later("ask", () => this.ask());
  }

  close(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
    for (const entry of this.entries.values()) entry.asked?.abort();
    for (const stream of this.streams.values()) stream.stop();
    this.streams.clear();
    this.entries.clear();
  }

  private entry(key: string): Entry {
    let found = this.entries.get(key);
    if (!found) {
      found = {
        key, range: null, watchers: new Set(), curves: new Map(), fresh: new Set(), held: new Set(),
        asked: null, error: null, shown: null,
      };
      this.entries.set(key, found);
    }
    return found;
  }

  private stale(entry: Entry): void {
    entry.asked?.abort();
    entry.asked = null;
    entry.fresh.clear();
    entry.error = null;
  }

  private drop(entry: Entry, run: string): void {
    entry.curves.delete(run);
    entry.fresh.delete(run);
    entry.held.delete(run);
  }

  private later(what: "ask" | "subscribe" | "tell", work: () => void): void {
    if (this.timers.has(what)) return;
    this.timers.set(
      what,
      setTimeout(() => {
        this.timers.delete(what);
        work();
      }, this.waits[what]),
    );
  }

  private touch(entry: Entry): void {
    entry.shown = null;
    this.changed.add(entry);
    this.later("tell", () => this.tell());
  }

  private tell(): void {
    const changed = [...this.changed];
    this.changed.clear();
    for (const entry of changed) for (const watcher of entry.watchers) watcher();
  }

  /** Fetch what is watched and not fresh, many keys in a request where they want the same. */
  private ask(): void {
    const together = new Map<string, { entries: Entry[]; runs: string[]; range: Range | null }>();
    for (const entry of this.entries.values()) {
      if (entry.watchers.size === 0 || entry.asked || entry.error !== null) continue;
      const runs = this.spec.runs.map((run) => run.id).filter((id) => !entry.fresh.has(id));
      if (runs.length === 0) continue;
      const same = JSON.stringify([entry.range, runs]);
      const there = together.get(same) ?? { entries: [], runs, range: entry.range };
      there.entries.push(entry);
      together.set(same, there);
    }
    for (const { entries, runs, range } of together.values()) {
      const size = Math.max(1, Math.min(KEYS_AT_ONCE, Math.floor(POINTS_AT_ONCE / (runs.length * this.spec.width))));
      for (let at = 0; at < entries.length; at += size) void this.fetch(entries.slice(at, at + size), runs, range);
    }
  }

  private async fetch(entries: Entry[], runs: string[], range: Range | null): Promise<void> {
    const request = new AbortController();
    for (const entry of entries) entry.asked = request;
    const { axis, width } = this.spec;
    const spec = { runs, keys: entries.map((entry) => entry.key), axis, width, ...(range ? { low: range[0], high: range[1] } : {}) };
    const mine = (entry: Entry) => entry.asked === request;
    try {
      const chart = await this.ports.chart(spec, request.signal);
      const found = new Map(chart.series.map((series) => [`${series.run} ${series.key}`, series]));
      for (const entry of entries.filter(mine)) {
        for (const run of runs) this.keep(entry, run, found.get(`${run} ${entry.key}`));
        entry.error = null;
      }
    } catch (error) {
      for (const entry of entries.filter(mine)) entry.error = error;
    }
    for (const entry of entries.filter(mine)) {
      entry.asked = null;
      this.touch(entry);
    }
    this.later("ask", () => this.ask()); // runs that came meanwhile
    this.later("subscribe", () => this.resubscribe());
    clearTimeout(this.timers.get("tell"));
    this.timers.delete("tell");
    this.tell();
  }

  private keep(entry: Entry, run: string, series: Schemas["ChartSeries"] | undefined): void {
    if (!this.spec.runs.some((one) => one.id === run)) return;
    const marks = this.marks.get(run) ?? {};
    if (series) {
      entry.curves.set(run, curveOf(series));
      marks[`m:${entry.key}`] = series.cursor;
    } else {
      entry.curves.delete(run);
      marks[`m:${entry.key}`] = null; // from its beginning, should it ever come
    }
    this.marks.set(run, marks);
    entry.fresh.add(run);
    if (this.streams.has(run)) entry.held.add(run);
  }

  /** One subscription per run, for the keys that are watched and fetched, each from its own end. */
  private resubscribe(): void {
    const ready = [...this.entries.values()].filter((entry) => entry.watchers.size > 0);
    const there = new Set(this.spec.runs.map((run) => run.id));
    for (const [run, stream] of this.streams) {
      if (there.has(run)) continue;
      stream.stop();
      this.streams.delete(run);
    }
    for (const { id } of this.spec.runs) {
      const mine = ready.filter((entry) => entry.fresh.has(id));
      const keys = mine.map((entry) => entry.key).sort();
      const stream = this.streams.get(id);
      const same = stream?.keys === keys.join("\n") && !mine.some((entry) => entry.held.has(id));
      if (same) continue;
      stream?.stop();
      this.streams.delete(id);
      for (const entry of mine) entry.held.delete(id);
      if (keys.length === 0) continue;
      const marks = this.marks.get(id) ?? {};
      const cursor = Object.fromEntries(keys.flatMap((key) => (marks[`m:${key}`] ? [[`m:${key}`, marks[`m:${key}`]!]] : [])));
      const wanted: Wanted = { topic: "run", project: this.project, name: id, keys, cursor };
      this.streams.set(id, {
        keys: keys.join("\n"),
        stop: this.ports.subscribe(wanted, (data, now) => this.heard(id, data, now)),
      });
    }
  }

  private heard(run: string, data: Record<string, unknown>, cursor: Cursor): void {
    const metrics = (data.metrics ?? {}) as Record<string, Points & { refetch?: boolean }>;
    const start = this.spec.runs.find((one) => one.id === run);
    const marks = this.marks.get(run) ?? {};
    for (const [key, points] of Object.entries(metrics)) {
      const entry = this.entries.get(key);
      if (!start || !entry?.fresh.has(run) || entry.held.has(run)) continue;
      const mark = cursor[`m:${key}`];
      if (mark !== undefined) marks[`m:${key}`] = mark;
      if (points.refetch) {
        entry.fresh.delete(run);
        this.later("ask", () => this.ask());
        continue;
      }
      const axis = { kind: this.spec.axis, startMs: start.startMs, range: entry.range };
      entry.curves.set(run, appended(entry.curves.get(run) ?? empty(run, key), points, axis, this.spec.width));
      this.touch(entry);
    }
    this.marks.set(run, marks);
  }
}
