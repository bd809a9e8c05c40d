/** Hashes files in slices, so that none is ever in memory as a whole. */
import { createBLAKE3, type IHasher } from "hash-wasm";

export interface HashRequest {
  id: number;
  /** One file of any size, or several small ones. */
  files: Blob[];
  /** Only the files' ends and middle: enough to tell whether a remembered digest is still its own. */
  glance: boolean;
}
export type HashAnswer =
  | { id: number; kind: "read"; bytes: number }
  | { id: number; kind: "digests"; digests: string[] }
  /** `file`: which of them cannot be read. */
  | { id: number; kind: "failed"; file: number; message: string };

const SLICE = 4 * 2 ** 20;
const GLANCE = 64 * 2 ** 10;
const cancelled = new Set<number>();
let hasher: Promise<IHasher> | undefined;
/** While it is held, it reads no further. */
let rest: Promise<void> | null = null;
let goOn: (() => void) | null = null;

self.onmessage = (event: MessageEvent<HashRequest | { cancel: number } | { hold: boolean }>) => {
  if ("cancel" in event.data) cancelled.add(event.data.cancel);
  else if ("hold" in event.data) hold(event.data.hold);
  else void answer(event.data);
};

function hold(held: boolean): void {
  goOn?.();
  rest = held ? new Promise((go) => (goOn = go)) : null;
}

function say(message: HashAnswer): void {
  self.postMessage(message);
}

async function answer({ id, files, glance }: HashRequest): Promise<void> {
  let at = 0;
  try {
    hasher ??= createBLAKE3();
    const hash = await hasher;
    const digests: string[] = [];
    // Opening a file takes longer than hashing a small one: all are opened at once.
    const first = files.map((file) => (files.length > 1 ? file.arrayBuffer() : null));
    for (const reading of first) reading?.catch(() => undefined);
    for (const file of files) {
      hash.init();
      for (const [start, end] of glance ? glances(file.size) : slices(file.size)) {
        await rest;
        if (cancelled.delete(id)) return;
        const bytes = new Uint8Array((await first[at]) ?? (await file.slice(start, end).arrayBuffer()));
        if (bytes.length !== end - start) throw new Error("shorter than it was");
        hash.update(bytes);
        if (!glance) say({ id, kind: "read", bytes: bytes.length });
      }
      digests.push(hash.digest("hex"));
      first[at] = null;
      at += 1;
    }
    say({ id, kind: "digests", digests });
  } catch (error) {
    say({ id, kind: "failed", file: at, message: String(error) });
  }
}

function* slices(size: number): Generator<[number, number]> {
  for (let start = 0; start < size; start += SLICE) yield [start, Math.min(size, start + SLICE)];
}

function* glances(size: number): Generator<[number, number]> {
  if (size <= 3 * GLANCE) yield [0, size];
  else for (const start of [0, Math.floor((size - GLANCE) / 2), size - GLANCE]) yield [start, start + GLANCE];
}
