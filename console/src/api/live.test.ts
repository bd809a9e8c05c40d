import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { onSignedOut, type Problem } from "./client";
import { LiveConnection, merged, type Wanted } from "./live";

/** A socket whose other side is the test. */
class FakeSocket {
  static made: FakeSocket[] = [];
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  sent: Record<string, unknown>[] = [];
  closed = false;

  constructor() {
    FakeSocket.made.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close() {
    this.closed = true;
  }
  // What happens to it
  say(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  ready() {
    this.say({ op: "ready", user: "ada", heartbeat_s: 15 });
  }
  cut() {
    this.onclose?.();
  }
  get subscribed() {
    return this.sent.filter((message) => message.op === "subscribe");
  }
}

const JOB: Wanted = { topic: "log", project: "vision", name: "train-1" };
const socket = (n = -1) => FakeSocket.made.at(n)!;
let live: LiveConnection;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.made = [];
  live = new LiveConnection(() => new FakeSocket() as unknown as WebSocket);
});
afterEach(() => {
  live.close();
  vi.useRealTimers();
});

describe("subscriptions", () => {
  it("share one socket and are sent once it is ready", () => {
    const heard: unknown[] = [];
    live.subscribe(JOB, (data) => heard.push(data));
    live.subscribe({ topic: "jobs", project: "vision" }, () => undefined);
    expect(FakeSocket.made).toHaveLength(1);
    expect(socket().sent).toEqual([]);
    expect(live.state).toBe("connecting");
    socket().ready();
    expect(live.state).toBe("live");
    expect(socket().subscribed.map((one) => one.topic)).toEqual(["log", "jobs"]);
    const [first] = socket().subscribed;
    expect(first).toMatchObject({ project: "vision", name: "train-1", cursor: null });
    socket().say({ op: "update", id: first!.id, cursor: { offset: 3 }, data: { text: "abc" } });
    socket().say({ op: "update", id: "another", cursor: {}, data: { text: "not mine" } });
    expect(heard).toEqual([{ text: "abc" }]);
  });

  it("that end are unsubscribed and hear nothing more", () => {
    const heard: unknown[] = [];
    const stop = live.subscribe(JOB, (data) => heard.push(data));
    live.subscribe({ topic: "jobs", project: "vision" }, () => undefined);
    socket().ready();
    const { id } = socket().subscribed[0]!;
    stop();
    stop();
    expect(socket().sent.filter((one) => one.op === "unsubscribe")).toEqual([{ op: "unsubscribe", id }]);
    socket().say({ op: "update", id, cursor: {}, data: { text: "late" } });
    expect(heard).toEqual([]);
    expect(socket().closed).toBe(false);
  });

  it("of the next page find the socket of the page before", () => {
    live.subscribe(JOB, () => undefined)();
    socket().ready();
    vi.advanceTimersByTime(1000);
    live.subscribe({ topic: "jobs", project: "vision" }, () => undefined);
    vi.advanceTimersByTime(10_000);
    expect(FakeSocket.made).toHaveLength(1);
    expect(socket().closed).toBe(false);
  });

  it("that nobody has any more close the socket, and it is not opened again", () => {
    const stop = live.subscribe(JOB, () => undefined);
    socket().ready();
    stop();
    vi.advanceTimersByTime(60_000);
    expect(socket().closed).toBe(true);
    expect(live.state).toBe("idle");
    socket().cut();
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.made).toHaveLength(1);
  });

  it("that are refused end with the problem; those that the server could not serve are tried again", () => {
    const problems: Problem[] = [];
    live.subscribe(JOB, () => undefined, (problem) => problems.push(problem));
    socket().ready();
    const { id } = socket().subscribed[0]!;
    socket().say({ op: "error", id, error: { status: 503, code: "unavailable", detail: "busy" } });
    expect(problems).toEqual([]);
    vi.advanceTimersByTime(5000);
    expect(socket().subscribed).toHaveLength(2);
    socket().say({ op: "error", id, error: { status: 404, code: "not_found", detail: "there is no job" } });
    expect(problems.map((one) => [one.status, one.code, one.message])).toEqual([[404, "not_found", "there is no job"]]);
    socket().cut();
    vi.advanceTimersByTime(60_000);
    expect(FakeSocket.made).toHaveLength(1);
  });
});

describe("messages in one frame", () => {
  it("are heard in order", () => {
    const text: unknown[] = [];
    live.subscribe({ ...JOB, cursor: {} }, (data) => text.push(data.text));
    socket().ready();
    const { id } = socket().subscribed[0]!;
    socket().say([
      { op: "update", id, cursor: { offset: 1 }, data: { text: "a" } },
      { op: "error", id: "another", error: { status: 404 } },
      { op: "update", id, cursor: { offset: 2 }, data: { text: "b" } },
    ]);
    expect(text).toEqual(["a", "b"]);
    socket().cut();
    vi.advanceTimersByTime(500);
    socket().ready();
    expect(socket().subscribed[0]).toMatchObject({ cursor: { offset: 2 } });
  });

  it("are not heard any more once one of them made somebody leave", () => {
    const text: unknown[] = [];
    live.subscribe(JOB, (data) => {
      text.push(data.text);
      live.close();
    });
    socket().ready();
    const { id } = socket().subscribed[0]!;
    socket().say(["a", "b"].map((one, n) => ({ op: "update", id, cursor: { offset: n + 1 }, data: { text: one } })));
    expect(text).toEqual(["a"]);
  });
});

describe("a cut connection", () => {
  it("comes back with the cursor that is held, so that nothing is told twice", () => {
    const text: string[] = [];
    live.subscribe({ ...JOB, cursor: {} }, (data) => text.push(data.text as string));
    socket().ready();
    const { id } = socket().subscribed[0]!;
    socket().say({ op: "update", id, cursor: { offset: 2, "m:a": "1" }, data: { text: "ab" } });
    socket().say({ op: "update", id, cursor: { offset: 4, "m:a": null }, data: { text: "cd" } });
    const old = socket();
    old.cut();
    expect(live.state).toBe("reconnecting");
    vi.advanceTimersByTime(500);
    expect(FakeSocket.made).toHaveLength(2);
    socket().ready();
    expect(socket().subscribed).toEqual([expect.objectContaining({ id, cursor: { offset: 4 } })]);
    old.say({ op: "update", id, cursor: { offset: 6 }, data: { text: "from the old socket" } });
    socket().say({ op: "update", id, cursor: { offset: 6 }, data: { text: "ef" } });
    expect(text).toEqual(["ab", "cd", "ef"]);
    expect(live.state).toBe("live");
  });

  it("waits longer each time, ten seconds at most, and starts over once it was ready", () => {
    live.subscribe(JOB, () => undefined);
    vi.spyOn(Math, "random").mockReturnValue(1);
    const waits: number[] = [];
    for (let i = 0; i < 8; i += 1) {
      const before = FakeSocket.made.length;
      socket().cut();
      let waited = 0;
      while (FakeSocket.made.length === before) {
        vi.advanceTimersByTime(50);
        waited += 50;
      }
      waits.push(waited);
    }
    expect(waits).toEqual([300, 600, 1200, 2400, 4800, 9600, 10_000, 10_000]);
    socket().ready();
    socket().cut();
    vi.advanceTimersByTime(300);
    expect(FakeSocket.made).toHaveLength(10);
  });

  it("is noticed by silence, also where the network does not answer", () => {
    live.subscribe(JOB, () => undefined);
    socket().ready();
    vi.advanceTimersByTime(30_000);
    socket().say({ op: "heartbeat" });
    vi.advanceTimersByTime(30_000);
    expect(live.state).toBe("live");
    vi.advanceTimersByTime(8_000);
    expect(socket(0).closed).toBe(true);
    expect(live.state).toBe("reconnecting");
    vi.advanceTimersByTime(400);
    expect(FakeSocket.made).toHaveLength(2);
    socket(0).cut(); // the old one's goodbye, late
    expect(FakeSocket.made).toHaveLength(2);
  });

  it("is told to who asked", () => {
    const states: string[] = [];
    const stop = live.onState(() => states.push(live.state));
    live.subscribe(JOB, () => undefined);
    socket().ready();
    socket().cut();
    vi.advanceTimersByTime(500);
    socket().ready();
    stop();
    socket().cut();
    expect(states).toEqual(["connecting", "live", "reconnecting", "live"]);
  });
});

describe("cursors", () => {
  it("are merged member by member, and null removes", () => {
    expect(merged(null, { a: 1 })).toEqual({ a: 1 });
    expect(merged({ a: 1, b: "x" }, { a: 2, b: null, c: 0 })).toEqual({ a: 2, c: 0 });
  });
});

describe("a session that ended", () => {
  it("is told to who shows the sign-in page, and only that", () => {
    const told = vi.fn();
    const stop = onSignedOut(told);
    live.subscribe(JOB, () => undefined);
    socket().ready();
    socket().say({ op: "error", error: { status: 422 } });
    socket().say({ op: "error", id: socket().subscribed[0]!.id, error: { status: 404 } });
    expect(told).not.toHaveBeenCalled();
    socket().say({ op: "error", error: { status: 401 } });
    expect(told).toHaveBeenCalledOnce();
    stop();
  });
});
