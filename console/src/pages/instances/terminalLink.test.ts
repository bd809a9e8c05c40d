import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Problem } from "@/api/client";
import { type LinkEvents, nextName, TerminalLink } from "./terminalLink";

class Socket {
  sent: (string | Uint8Array)[] = [];
  closed = false;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: (() => void) | null = null;
  onerror: (() => void) | null = null;
  constructor(readonly url: string) {}
  send(data: string | Uint8Array) {
    this.sent.push(data);
  }
  close() {
    this.closed = true;
  }
  say(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  ready(resumed = false) {
    this.say({ op: "ready", terminal: "1", resumed, terminals: ["1", "work"], heartbeat_s: 10 });
  }
  drop() {
    this.onclose?.();
  }
}

function linkOf() {
  const sockets: Socket[] = [];
  const told: string[] = [];
  const events: LinkEvents = {
    onState: (state) => told.push(state),
    onReady: (terminal, resumed, terminals) => told.push(`ready ${terminal} ${resumed} ${terminals.join()}`),
    onData: (data) => told.push(`data ${[...data].join()}`),
    onExit: (code) => told.push(`exit ${code}`),
    onRefused: (problem: Problem) => told.push(`refused ${problem.status} ${problem.detail}`),
  };
  const link = new TerminalLink(
    (terminal) => `ws://x/?terminal=${terminal}`,
    "1",
    events,
    (url) => {
      sockets.push(new Socket(url));
      return sockets.at(-1) as unknown as WebSocket;
    },
  );
  return { link, sockets, told, socket: () => sockets.at(-1)! };
}

describe("TerminalLink", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("carries bytes both ways, and the size before anything is typed", () => {
    const { link, told, socket } = linkOf();
    link.start();
    link.resize(40, 120);
    link.type("too early");
    socket().ready();
    link.type("ü\r");
    link.typeBinary("\u001b\u00ff");
    link.resize(20, 80);
    socket().onmessage?.({ data: new Uint8Array([226, 130]).buffer });
    const [size, typed, binary, smaller] = socket().sent;
    expect(size).toBe('{"op":"resize","rows":40,"cols":120}');
    expect([...(typed as Uint8Array)]).toEqual([0xc3, 0xbc, 13]);
    expect([...(binary as Uint8Array)]).toEqual([27, 255]);
    expect(smaller).toBe('{"op":"resize","rows":20,"cols":80}');
    expect(told).toEqual(["connecting", "ready 1 false 1,work", "open", "data 226,130"]);
  });

  it("comes back to the same shell when the connection breaks", () => {
    const { link, sockets, told, socket } = linkOf();
    link.start();
    link.resize(40, 120);
    socket().ready();
    socket().drop();
    expect(told.at(-1)).toBe("reconnecting");
    vi.advanceTimersByTime(400);
    expect(sockets.length).toBe(2);
    expect(socket().url).toBe("ws://x/?terminal=1");
    socket().ready(true);
    expect(socket().sent).toEqual(['{"op":"resize","rows":40,"cols":120}']);
    expect(told.slice(-2)).toEqual(["ready 1 true 1,work", "open"]);
  });

  it("asks ever more rarely while the server is away, and again when it is busy", () => {
    const { link, sockets, socket } = linkOf();
    link.start();
    for (let at = 0; at < 20; at += 1) {
      socket().say({ op: "error", error: { status: 503, detail: "it is starting" } });
      socket().drop();
      vi.advanceTimersByTime(10_000);
    }
    expect(sockets.length).toBe(21);
    socket().drop();
    vi.advanceTimersByTime(4_000);
    expect(sockets.length).toBe(21);
  });

  it("takes a silent connection for dead", () => {
    const { link, sockets, socket } = linkOf();
    link.start();
    socket().ready();
    vi.advanceTimersByTime(30_000);
    socket().say({ op: "heartbeat" });
    vi.advanceTimersByTime(30_000);
    expect(sockets.length).toBe(1);
    vi.advanceTimersByTime(6_000);
    expect(sockets[0]!.closed).toBe(true);
    expect(sockets.length).toBe(2);
  });

  it("ends with its shell, and with a refusal", () => {
    const ended = linkOf();
    ended.link.start();
    ended.socket().ready();
    ended.socket().say({ op: "exit", code: 7 });
    ended.sockets[0]!.drop();
    const refused = linkOf();
    refused.link.start();
    refused.socket().say({ op: "error", error: { status: 409, code: "conflict", detail: "instance lab is stopped" } });
    refused.sockets[0]!.drop();
    vi.advanceTimersByTime(60_000);
    expect(ended.told.slice(-2)).toEqual(["exit 7", "ended"]);
    expect(refused.told.slice(-2)).toEqual(["refused 409 instance lab is stopped", "refused"]);
    expect(ended.sockets.length + refused.sockets.length).toBe(2);
  });

  it("tells nothing after it was stopped", () => {
    const { link, sockets, told, socket } = linkOf();
    link.start();
    socket().ready();
    const before = told.length;
    link.stop();
    socket().onmessage?.({ data: new ArrayBuffer(1) });
    socket().drop();
    vi.advanceTimersByTime(60_000);
    expect(told.length).toBe(before);
    expect(sockets.length).toBe(1);
  });
});

it("names a new terminal as Jupyter does", () => {
  expect(nextName([])).toBe("1");
  expect(nextName(["1", "3", "work"])).toBe("2");
});
