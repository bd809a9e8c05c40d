/** Workers that hash: one file each at a time, a few side by side. */
import type { HashAnswer, HashRequest } from "./hash.worker";

export interface Hashers {
  /** BLAKE3, hex. `onBytes` is told as it goes. @throws Error when the file cannot be read, or was aborted. */
  hash(file: Blob, onBytes?: (bytes: number) => void, signal?: AbortSignal): Promise<string>;
  /** The same of the file's ends and middle only. */
  glance(file: Blob): Promise<string>;
  /** So many at once make sense. */
  width: number;
  end(): void;
}

interface Waiting {
  done: (digest: string) => void;
  fail: (error: Error) => void;
  onBytes?: ((bytes: number) => void) | undefined;
}

export class FileUnreadable extends Error {}

export function startHashers(width = Math.max(1, Math.min(4, (navigator.hardwareConcurrency || 2) - 1))): Hashers {
  const waiting = new Map<number, Waiting>();
  let next = 0;
  const workers = Array.from({ length: width }, () => {
    const worker = new Worker(new URL("./hash.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = (event: MessageEvent<HashAnswer>) => {
      const one = waiting.get(event.data.id);
      if (!one) return;
      if (event.data.kind === "read") {
        one.onBytes?.(event.data.bytes);
        return;
      }
      waiting.delete(event.data.id);
      if (event.data.kind === "digest") one.done(event.data.digest);
      else one.fail(new FileUnreadable(event.data.message));
    };
    worker.onerror = (event) => {
      for (const one of waiting.values()) one.fail(new Error(event.message || "the hashing worker failed"));
      waiting.clear();
    };
    return { worker, busy: Promise.resolve() as Promise<unknown> };
  });
  const ask = (file: Blob, glance: boolean, onBytes?: (bytes: number) => void, signal?: AbortSignal) => {
    const id = next++;
    // One file at a time in each worker: its hasher has one state.
    const mine = workers[id % workers.length]!;
    const found = mine.busy.then(
      () =>
        new Promise<string>((done, fail) => {
          if (signal?.aborted) {
            fail(signal.reason as Error);
            return;
          }
          waiting.set(id, { done, fail, onBytes });
          signal?.addEventListener(
            "abort",
            () => {
              if (!waiting.delete(id)) return;
              mine.worker.postMessage({ cancel: id });
              fail(signal.reason as Error);
            },
            { once: true },
          );
          mine.worker.postMessage({ id, file, glance } satisfies HashRequest);
        }),
    );
    mine.busy = found.catch(() => undefined);
    return found;
  };
  return {
    width,
    hash: (file, onBytes, signal) => ask(file, false, onBytes, signal),
    glance: (file) => ask(file, true),
    end: () => {
      for (const { worker } of workers) worker.terminate();
      for (const one of waiting.values()) one.fail(new DOMException("cancelled", "AbortError"));
      waiting.clear();
    },
  };
}
