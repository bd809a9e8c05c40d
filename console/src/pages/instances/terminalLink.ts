/**
 * The WebSocket of one terminal: bytes both ways, and back to the same shell when the connection breaks.
 * docs/howto/instances.md has the protocol.
 */
import { type Problem, problemOf } from "@/api/client";

export type LinkState = "connecting" | "open" | "reconnecting" | "ended" | "refused";

export interface LinkEvents {
  onState: (state: LinkState) => void;
  /** Joined. `resumed`: the shell was there, and the end of what it printed comes next: begin with an empty screen. */
  onReady: (terminal: string, resumed: boolean, terminals: string[]) => void;
  onData: (data: Uint8Array) => void;
  /** The shell ended. */
  onExit: (code: number | null) => void;
  /** The server's refusal; it is final. */
  onRefused: (problem: Problem) => void;
}

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 10_000;
const LATE_MS = 35_000;

export class TerminalLink {
  private socket: WebSocket | null = null;
  private ready = false;
  private wait = FIRST_WAIT_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private size: { rows: number; cols: number } | null = null;
  private readonly encoder = new TextEncoder();

  constructor(
    private readonly address: (terminal: string) => string,
    private terminal: string,
    private readonly events: LinkEvents,
    private readonly open: (url: string) => WebSocket = (url) => new WebSocket(url),
  ) {}

  start(): void {
    this.events.onState("connecting");
    this.connect();
  }

  stop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.silence);
    const { socket } = this;
    this.socket = null;
    this.ready = false;
    socket?.close();
  }

  /** What the keyboard gives; lost while nothing is connected, for a person types to what they see. */
  type(text: string): void {
    if (this.ready) this.socket?.send(this.encoder.encode(text));
  }

  /** Bytes that are no text: old mouse reports, one byte a character. */
  typeBinary(text: string): void {
    if (this.ready) this.socket?.send(Uint8Array.from(text, (one) => one.charCodeAt(0)));
  }

  resize(rows: number, cols: number): void {
    this.size = { rows, cols };
    if (this.ready) this.tellSize();
  }

  private tellSize(): void {
    if (this.size) this.socket?.send(JSON.stringify({ op: "resize", ...this.size }));
  }

  private connect(): void {
    const socket = this.open(this.address(this.terminal));
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.heard(socket, event.data as string | ArrayBuffer);
    socket.onclose = () => this.lost(socket);
    socket.onerror = () => socket.close();
    this.listen(socket);
  }

  private listen(socket: WebSocket): void {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      socket.close();
      this.lost(socket); // a dead network does not answer a goodbye either
    }, LATE_MS);
  }

  private heard(socket: WebSocket, data: string | ArrayBuffer): void {
    if (this.socket !== socket) return;
    this.listen(socket);
    if (typeof data !== "string") {
      this.events.onData(new Uint8Array(data));
      return;
    }
    const message = JSON.parse(data) as {
      op: string;
      terminal?: string;
      terminals?: string[];
      resumed?: boolean;
      code?: number | null;
      error?: { status?: number };
    };
    if (message.op === "ready") {
      this.ready = true;
      this.wait = FIRST_WAIT_MS;
      this.terminal = message.terminal ?? this.terminal;
      this.tellSize();
      this.events.onReady(this.terminal, message.resumed ?? false, message.terminals ?? []);
      this.events.onState("open");
    } else if (message.op === "exit") {
      this.stop();
      this.events.onExit(message.code ?? null);
      this.events.onState("ended");
    } else if (message.op === "error" && (message.error?.status ?? 500) < 500) {
      this.stop();
      this.events.onRefused(problemOf(message.error?.status ?? 400, message.error));
      this.events.onState("refused");
    }
  }

  private lost(socket: WebSocket): void {
    if (this.socket !== socket) return;
    this.socket = null;
    this.ready = false;
    clearTimeout(this.silence);
    this.events.onState("reconnecting");
    this.timer = setTimeout(() => this.connect(), this.wait * (0.5 + Math.random() / 2));
    this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
  }
}

export function terminalUrl(project: string, instance: string, terminal: string): string {
  const { protocol, host } = window.location;
  const path = `/api/v1/projects/${encodeURIComponent(project)}/instances/${encodeURIComponent(instance)}/terminal`;
  return `${protocol === "https:" ? "wss" : "ws"}://${host}${path}?terminal=${encodeURIComponent(terminal)}`;
}

/** The lowest number that no terminal has, as Jupyter names them. */
export function nextName(names: string[]): string {
  let number = 1;
  while (names.includes(String(number))) number += 1;
  return String(number);
}
