/**
 * Where a log's text comes from: what there is by a plain request, what comes after it by the live connection,
 * from the very byte at which the first ended.
 */
import { fetchApi, Problem } from "@/api/client";
import { live, type Topic } from "@/api/live";
import { LogBuffer, wholeText } from "./LogViewBuffer";

export interface LogSource {
  kind: "job" | "environment" | "instance" | "endpoint";
  name: string;
  /** Rank, of a job's replica; without it, and for the first: the job's own log. Id, of an endpoint's. */
  replica?: number | string | undefined;
}

export const logPath = (project: string, { kind, name, replica }: LogSource) =>
  `/api/v1/projects/${encodeURIComponent(project)}/${kind}s/${encodeURIComponent(name)}/log${replica ? `?replica=${encodeURIComponent(replica)}` : ""}`;

const TOPICS: Record<LogSource["kind"], Topic> = {
  job: "log",
  environment: "environment_log",
  instance: "instance_log",
  endpoint: "replica_log",
};
/** Whose log only grows. Those of others begin anew at times. */
const GROWS: LogSource["kind"][] = ["job", "endpoint"];
const PIECE = 2 ** 20;

export class LogFeed {
  readonly buffer = new LogBuffer();
  /** Goes up with every change. */
  version = 0;
  loading = true;
  /** No more will come. */
  ended = false;
  error: unknown = null;
  private readonly listeners = new Set<() => void>();
  private told = false;
  private stopped = false;
  private readonly abort = new AbortController();
  private leave: (() => void) | undefined;

  constructor(
    private readonly project: string,
    private readonly source: LogSource,
    private readonly isLive: boolean,
  ) {}

  start(): void {
    // What is there of a log that only grows can come fast; when others begin anew, the live topic knows.
    if (this.isLive && !GROWS.includes(this.source.kind)) this.follow({});
    else void this.fetch().then((offset) => offset !== null && this.isLive && this.follow({ offset }));
  }

  stop(): void {
    this.stopped = true;
    this.abort.abort();
    this.leave?.();
    this.listeners.clear();
  }

  listen = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** At most once per frame. */
  private changed(): void {
    if (this.told || this.stopped) return;
    this.told = true;
    const tell = () => {
      this.told = false;
      this.version += 1;
      for (const listener of this.listeners) listener();
    };
    // A page in the background draws nothing, but must not fall behind for ever.
    if (document.visibilityState === "hidden") setTimeout(tell, 1000);
    else requestAnimationFrame(tell);
  }

  /** All that is there; the offset of its end, or null when it failed. */
  private async fetch(): Promise<number | null> {
    let offset = 0;
    try {
      const response = await fetchApi(logPath(this.project, this.source), { signal: this.abort.signal });
      const reader = response.body!.getReader();
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      let rest = new Uint8Array(0);
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        for (let at = 0; at < value.length; at += PIECE) {
          const piece = joined(rest, value.subarray(at, at + PIECE));
          const whole = wholeText(piece);
          this.buffer.push(decoder.decode(piece.subarray(0, whole)));
          rest = piece.slice(whole);
          offset += whole;
          this.changed();
          // Let the page breathe between two pieces.
          if (at + PIECE < value.length) await new Promise((go) => setTimeout(go));
        }
      }
      // Of a log that goes on, the rest of a character comes with what follows.
      if (rest.length && !this.isLive) this.buffer.push(decoder.decode(rest));
      this.loading = false;
      this.ended = !this.isLive;
      this.changed();
      return offset;
    } catch (error) {
      if (this.stopped) return null;
      this.loading = false;
      // What was never written is an empty log.
      if (!(error instanceof Problem && error.status === 404 && !GROWS.includes(this.source.kind))) this.error = error;
      this.changed();
      return null;
    }
  }

  private follow(cursor: Record<string, number>): void {
    if (this.stopped) return;
    const { kind, name, replica } = this.source;
    const which = typeof replica === "string" ? { name: replica } : { name, ...(replica ? { replica } : {}) };
    const wanted = { topic: TOPICS[kind], project: this.project, cursor, ...which };
    this.leave = live.subscribe(
      wanted,
      (data) => {
        this.loading = false;
        if (data.reset) this.buffer.clear();
        if (typeof data.text === "string") this.buffer.push(data.text);
        if (data.text !== undefined || data.reset) this.ended = false;
        if (data.ended) this.ended = true;
        this.changed();
      },
      (problem) => {
        this.loading = false;
        this.error = problem;
        this.changed();
      },
    );
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (!first.length) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
