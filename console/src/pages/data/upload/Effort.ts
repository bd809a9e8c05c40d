/** Work that takes long: some of it at a time, at rest while paused, tried again while the server is away. */
import { Problem } from "@/api/client";
import { backOff } from "./plan";

export class Effort {
  /** The server has not answered: since when, in ms of the epoch. */
  away: number | null = null;
  private aborter = new AbortController();
  private gate: Promise<void> | null = null;
  private openGate: (() => void) | null = null;

  /** `onAway` is called when the server is seen to be away, and each time it still is; `onBack` when it answers again. */
  constructor(private readonly hooks: { onAway: () => void; onBack: () => void }) {}

  get signal(): AbortSignal {
    return this.aborter.signal;
  }

  get paused(): boolean {
    return this.gate !== null;
  }

  /** After an abort, all may begin anew. */
  begin(): void {
    this.aborter = new AbortController();
  }

  abort(reason?: unknown): void {
    this.aborter.abort(reason);
  }

  pause(): void {
    this.gate ??= new Promise((open) => {
      this.openGate = open;
    });
  }

  resume(): void {
    this.openGate?.();
    this.gate = this.openGate = null;
  }

  /** Do these, so many at a time; the first error ends it. Waits before each while paused. */
  async together(work: (() => Promise<void>)[], width: number): Promise<void> {
    let next = 0;
    let failed = false;
    const goOn = async () => {
      while (next < work.length && !failed) {
        await this.gate;
        this.signal.throwIfAborted();
        const one = work[next++];
        try {
          await one?.();
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const all = await Promise.allSettled(Array.from({ length: Math.min(width, work.length) }, goOn));
    for (const one of all) if (one.status === "rejected") throw one.reason;
  }

  /** Try until it works, or until trying again would not help. `check` is asked before: it throws where it would not. */
  async again<T>(work: () => Promise<T>, check?: () => Promise<void>): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      await this.gate;
      try {
        const answer = await work();
        if (this.away !== null) {
          this.away = null;
          this.hooks.onBack();
        }
        return answer;
      } catch (error) {
        this.signal.throwIfAborted();
        if (!passes(error)) throw error;
        await check?.();
        this.away ??= Date.now();
        this.hooks.onAway();
        await sleep(backOff(tries), this.signal);
      }
    }
  }
}

/** Whether it may pass by itself: the server is away, restarting or busy. */
export function passes(error: unknown): boolean {
  if (!(error instanceof Problem)) return error instanceof TypeError; // a body cut off in the middle
  return error.status === 0 || error.status === 408 || error.status === 429 || error.status >= 500;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((done, fail) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), fail(signal.reason as Error)), { once: true });
  });
}
