/**
 * One WebSocket per tab, many subscriptions, a cursor for each: docs/howto/live.md has the protocol.
 *
 * A subscription survives reconnections: it is sent again with the cursor that it holds, so nothing is told
 * twice and nothing is lost. Sign-in is by the session's cookie.
 */
import { useEffect, useRef, useSyncExternalStore } from "react";
import { type Problem, problemOf, tellSignedOut } from "./client";

export type LiveState = "connecting" | "live" | "reconnecting" | "idle";
export type Cursor = Record<string, string | number | null>;
export type Topic =
  | "run"
  | "runs"
  | "job"
  | "jobs"
  | "log"
  | "events"
  | "instances"
  | "environments"
  | "models"
  | "data"
  | "endpoints"
  | "instance"
  | "environment"
  | "model"
  | "endpoint"
  | "dataset"
  | "environment_log"
  | "instance_log"
  | "replica_log";

export interface Wanted {
  topic: Topic;
  project: string;
  name?: string;
  cursor?: Cursor | null;
  keys?: string[];
  experiments?: string[];
  filter?: string;
  order_by?: string[];
  columns?: string[];
  view?: "active" | "deleted" | "all";
  limit?: number;
  active?: boolean;
  tail?: number;
  /** Of `log`: whose, by rank. */
  replica?: number;
  encoding?: "text" | "base64";
}

interface Subscription {
  wanted: Wanted;
  cursor: Cursor | null;
  onData: (data: Record<string, unknown>, cursor: Cursor) => void;
  onError?: ((problem: Problem) => void) | undefined;
}

interface Message {
  op: string;
  id?: string;
  cursor?: Cursor;
  data?: Record<string, unknown>;
  error?: { status?: number };
  heartbeat_s?: number;
}

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 10_000;
/** Between two pages nobody watches anything; the socket outlives that. */
const LINGER_MS = 3_000;
/** After this long a subscription that the server could not serve is tried again. */
const AGAIN_MS = 3_000;

export class LiveConnection {
  private socket: WebSocket | null = null;
  private ready = false;
  private next = 1;
  private wait = FIRST_WAIT_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private linger: ReturnType<typeof setTimeout> | undefined;
  private heartbeatMs = 15_000;
  private readonly subscriptions = new Map<string, Subscription>();
  private readonly listeners = new Set<() => void>();
  state: LiveState = "idle";

  constructor(private readonly open: () => WebSocket = () => new WebSocket(liveUrl())) {}

  /** Start watching; the returned function stops it. */
  subscribe(
    wanted: Wanted,
    onData: (data: Record<string, unknown>, cursor: Cursor) => void,
    onError?: (problem: Problem) => void,
  ): () => void {
    const id = String(this.next++);
    clearTimeout(this.linger);
    this.subscriptions.set(id, { wanted, cursor: wanted.cursor ?? null, onData, onError });
    if (this.ready) this.send(id);
    else this.connect();
    return () => {
      if (this.subscriptions.delete(id) && this.ready) {
        this.socket?.send(JSON.stringify({ op: "unsubscribe", id }));
      }
      if (this.subscriptions.size) return;
      clearTimeout(this.linger);
      this.linger = setTimeout(() => this.subscriptions.size || this.close(), LINGER_MS);
    };
  }

  onState(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Leave, until somebody subscribes again. */
  close(): void {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    clearTimeout(this.linger);
    const socket = this.socket;
    this.socket = null;
    this.ready = false;
    socket?.close();
    this.become("idle");
  }

  private become(state: LiveState): void {
    if (this.state === state) return;
    this.state = state;
    for (const listener of this.listeners) listener();
  }

  private connect(): void {
    if (this.socket) return;
    clearTimeout(this.timer);
    if (this.state === "idle") this.become("connecting");
    const socket = this.open();
    this.socket = socket;
    socket.onmessage = (event) => this.heard(socket, event.data as string);
    socket.onclose = () => this.lost(socket);
    socket.onerror = () => socket.close();
    this.listen(socket);
  }

  private listen(socket: WebSocket): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      // A dead network does not answer a goodbye either.
      socket.close();
      this.lost(socket);
    }, 2.5 * this.heartbeatMs);
  }

  private lost(socket: WebSocket): void {
    if (this.socket !== socket) return;
    this.socket = null;
    this.ready = false;
    clearTimeout(this.silence);
    if (!this.subscriptions.size) {
      this.become("idle");
      return;
    }
    this.become("reconnecting");
    this.timer = setTimeout(() => this.connect(), this.wait * (0.5 + Math.random() / 2));
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
  }

  private send(id: string): void {
    const one = this.subscriptions.get(id);
    if (one) this.socket?.send(JSON.stringify({ ...one.wanted, op: "subscribe", id, cursor: one.cursor }));
  }

  private heard(socket: WebSocket, text: string): void {
    if (this.socket === socket) this.listen(socket);
    const came = JSON.parse(text) as Message | Message[];
    for (const message of Array.isArray(came) ? came : [came]) {
      // What hears one may close the socket.
      if (this.socket === socket) this.take(message);
    }
  }

  private take(message: Message): void {
    if (message.op === "ready") {
      this.ready = true;
      this.wait = FIRST_WAIT_MS;
      this.heartbeatMs = 1000 * (message.heartbeat_s ?? 15);
      this.become("live");
      for (const id of this.subscriptions.keys()) this.send(id);
      return;
    }
    if (message.op === "error" && message.id === undefined && message.error?.status === 401) {
      tellSignedOut();
      return;
    }
    const one = message.id === undefined ? undefined : this.subscriptions.get(message.id);
    if (!one || message.id === undefined) return;
    if (message.op === "update") {
      one.cursor = merged(one.cursor, message.cursor ?? {});
      if (message.data) one.onData(message.data, one.cursor);
    } else if (message.op === "error") {
      const { id } = message;
      const status = message.error?.status ?? 500;
      if (status >= 500) {
        // It is busy, or the database is: the wish stays.
        setTimeout(() => this.ready && this.send(id), AGAIN_MS);
        return;
      }
      this.subscriptions.delete(id);
      one.onError?.(problemOf(status, message.error));
    }
  }
}

/** The cursor after an update: members replace those of the same name, null removes. */
export function merged(cursor: Cursor | null, change: Cursor): Cursor {
  return Object.fromEntries(Object.entries({ ...cursor, ...change }).filter(([, value]) => value !== null));
}

function liveUrl(): string {
  const { protocol, host } = window.location;
  return `${protocol === "https:" ? "wss" : "ws"}://${host}/api/v1/live?bundle=true`;
}

export const live = new LiveConnection();

/** "live", "reconnecting" …, for the mark in the header. */
export function useLiveState(): LiveState {
  return useSyncExternalStore(
    (listener) => live.onState(listener),
    () => live.state,
  );
}

/** Watch a topic while the component is there; `null` watches nothing. Changing `wanted` starts anew. */
export function useLive(
  wanted: Wanted | null,
  onData: (data: Record<string, unknown>) => void,
  onError?: (problem: Problem) => void,
): void {
  const heard = useRef({ onData, onError });
  useEffect(() => {
    heard.current = { onData, onError };
  });
  const key = wanted === null ? "" : JSON.stringify(wanted);
  useEffect(() => {
    if (!key) return undefined;
    return live.subscribe(
      JSON.parse(key) as Wanted,
      (data) => heard.current.onData(data),
      (problem) => heard.current.onError?.(problem),
    );
  }, [key]);
}
