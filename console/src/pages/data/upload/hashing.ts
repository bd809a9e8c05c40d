/** Workers that hash: one file each at a time, a few side by side. */
import type { HashAnswer, HashRequest } from "./hash.worker";

export interface Hashers {
  /**
   * BLAKE3, hex, of one file, or of several that are small. `onBytes` is told as it goes.
   *
   * @throws FileUnreadable; AbortError.
   */
  hash(files: Blob[], onBytes?: (bytes: number) => void, signal?: AbortSignal): Promise<string[]>;
  /** The same of the file's ends and middle only. */
  glance(file: Blob): Promise<string>;
  /** In the midst of a file, too. */
  hold(held: boolean): void;
  /** So many at once make sense. */
  width: number;
  end(): void;
}

interface Waiting {
  done: (digests: string[]) => void;
  fail: (error: Error) => void;
  onBytes?: ((bytes: number) => void) | undefined;
}

export class FileUnreadable extends Error {
  constructor(
    message: string,
    /** Which of the files. */
    readonly at = 0,
  ) {
    super(message);
  }
}

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
      if (event.data.kind === "digests") one.done(event.data.digests);
      else one.fail(new FileUnreadable(event.data.message, event.data.file));
    };
    worker.onerror = (event) => {
      for (const one of waiting.values()) one.fail(new Error(event.message || "the hashing worker failed"));
      waiting.clear();
    };
    return { worker, busy: Promise.resolve() as Promise<unknown> };
  });
  const ask = (files: Blob[], glance: boolean, onBytes?: (bytes: number) => void, signal?: AbortSignal) => {
    const id = next++;
    // One request at a time in each worker: its hasher has one state.
    const mine = workers[id % workers.length]!;
    const found = mine.busy.then(
      () =>
        new Promise<string[]>((done, fail) => {
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
          mine.worker.postMessage({ id, files, glance } satisfies HashRequest);
        }),
    );
    mine.busy = found.catch(() => undefined);
    return found;
  };
  return {
    width,
    hash: (files, onBytes, signal) => ask(files, false, onBytes, signal),
    glance: async (file) => (await ask([file], true))[0]!,
    hold: (held) => {
      for (const { worker } of workers) worker.postMessage({ hold: held });
    },
    end: () => {
      for (const { worker } of workers) worker.terminate();
      for (const one of waiting.values()) one.fail(new DOMException("cancelled", "AbortError"));
      waiting.clear();
    },
  };
}
