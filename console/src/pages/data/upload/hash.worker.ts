/** Hashes files in slices, so that none is ever in memory as a whole. */
import { createBLAKE3, type IHasher } from "hash-wasm";

export interface HashRequest {
  id: number;
  file: Blob;
  /** Only the file's ends and middle: enough to tell whether a remembered digest is still its own. */
  glance: boolean;
}
export type HashAnswer =
  | { id: number; kind: "read"; bytes: number }
  | { id: number; kind: "digest"; digest: string }
  | { id: number; kind: "failed"; message: string };

const SLICE = 4 * 2 ** 20;
const GLANCE = 64 * 2 ** 10;
const cancelled = new Set<number>();
let hasher: Promise<IHasher> | undefined;

self.onmessage = (event: MessageEvent<HashRequest | { cancel: number }>) => {
  if ("cancel" in event.data) cancelled.add(event.data.cancel);
  else void answer(event.data);
};

function say(message: HashAnswer): void {
  self.postMessage(message);
}

async function answer({ id, file, glance }: HashRequest): Promise<void> {
  try {
    hasher ??= createBLAKE3();
    const hash = (await hasher).init();
    for (const [start, end] of glance ? glances(file.size) : slices(file.size)) {
      if (cancelled.delete(id)) return;
      const bytes = new Uint8Array(await file.slice(start, end).arrayBuffer());
      if (bytes.length !== end - start) throw new Error("shorter than it was");
      hash.update(bytes);
      if (!glance) say({ id, kind: "read", bytes: bytes.length });
    }
    say({ id, kind: "digest", digest: hash.digest("hex") });
  } catch (error) {
    say({ id, kind: "failed", message: String(error) });
  }
}

function* slices(size: number): Generator<[number, number]> {
  for (let start = 0; start < size; start += SLICE) yield [start, Math.min(size, start + SLICE)];
}

function* glances(size: number): Generator<[number, number]> {
  if (size <= 3 * GLANCE) yield [0, size];
  else for (const start of [0, Math.floor((size - GLANCE) / 2), size - GLANCE]) yield [start, start + GLANCE];
}
