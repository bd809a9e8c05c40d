/** What is sent in which request: small blobs many to one, middling ones whole, large ones in parts. */
import { LARGE_BYTES, SMALL_BYTES } from "@/api/blobs";

const BATCH_BYTES = 4 * 2 ** 20;
const BATCH_BLOBS = 512;

export interface Piece {
  digest: string;
  blob: Blob;
}

export interface Plan {
  batches: Piece[][];
  whole: Piece[];
  large: Piece[];
}

/** Every blob once. */
export function plan(pieces: Iterable<Piece>): Plan {
  const found: Plan = { batches: [], whole: [], large: [] };
  const seen = new Set<string>();
  let batch: Piece[] = [];
  let size = 0;
  for (const piece of pieces) {
    if (seen.has(piece.digest)) continue;
    seen.add(piece.digest);
    if (piece.blob.size > LARGE_BYTES) found.large.push(piece);
    else if (piece.blob.size > SMALL_BYTES) found.whole.push(piece);
    else {
      batch.push(piece);
      size += piece.blob.size;
      if (size >= BATCH_BYTES || batch.length >= BATCH_BLOBS) {
        found.batches.push(batch);
        [batch, size] = [[], 0];
      }
    }
  }
  if (batch.length) found.batches.push(batch);
  return found;
}

const WINDOW_MS = 8000;

/** Bytes in a second over the last seconds. */
export class Rate {
  private points: [at: number, total: number][] = [];

  add(total: number, at = performance.now()): void {
    this.points.push([at, total]);
    while (this.points.length > 2 && this.points[0]![0] < at - WINDOW_MS) this.points.shift();
  }

  reset(): void {
    this.points = [];
  }

  /** Null until something is known. */
  perSecond(at = performance.now()): number | null {
    const first = this.points[0];
    const last = this.points.at(-1);
    if (!first || !last || this.points.length < 2) return null;
    const seconds = (Math.max(at, last[0]) - first[0]) / 1000;
    return seconds < 0.5 ? null : (last[1] - first[1]) / seconds;
  }
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;

/** How long to wait before the next try, with some chance in it so that not all come at once. */
export function backOff(tries: number, chance = Math.random()): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries) * (0.5 + chance / 2);
}
