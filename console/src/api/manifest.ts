/** Manifests: a folder by content, spelled exactly as `nacre.schema.manifests` does, so that equal folders are equal. */

export interface FileEntry {
  path: string;
  size: number;
  /** BLAKE3, hex. */
  digest: string;
  executable: boolean;
}

const utf8 = new TextEncoder();
const MAX_PATH_BYTES = 4096;
const MAX_NAME_BYTES = 255;

/** As the bytes of their UTF-8 sort, which is the order of code points, not of JavaScript's strings. */
export function comparePaths(a: string, b: string): number {
  const [x, y] = [utf8.encode(a), utf8.encode(b)];
  const length = Math.min(x.length, y.length);
  for (let i = 0; i < length; i += 1) if (x[i] !== y[i]) return x[i]! - y[i]!;
  return x.length - y.length;
}

/** The one spelling of a manifest: UTF-8 JSON, files sorted by path, keys sorted, no spaces. */
export function canonical(files: FileEntry[]): Uint8Array<ArrayBuffer> {
  const rows = [...files]
    .sort((a, b) => comparePaths(a.path, b.path))
    .map(({ digest, executable, path, size }) => ({ digest, executable, path, size }));
  return utf8.encode(JSON.stringify({ files: rows }));
}

export type PathFault = "empty" | "relative" | "nul" | "unicode" | "long" | "twice" | "folder";

/** Why this cannot be the path of a file; null when it is fine. */
export function pathFault(path: string): PathFault | null {
  if (!path) return "empty";
  if (path.includes("\0")) return "nul";
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === "..")) return "relative";
  if (/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(path)) return "unicode";
  if (utf8.encode(path).length > MAX_PATH_BYTES || parts.some((part) => utf8.encode(part).length > MAX_NAME_BYTES)) return "long";
  return null;
}

/** The first path that cannot be a file beside the others, and why; null when all are fine. */
export function pathsFault(paths: string[]): { path: string; fault: PathFault } | null {
  const known = new Set(paths);
  const seen = new Set<string>();
  for (const path of paths) {
    const fault = pathFault(path);
    if (fault) return { path, fault };
    if (seen.has(path)) return { path, fault: "twice" };
    seen.add(path);
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      if (known.has(path.slice(0, end))) return { path, fault: "folder" };
    }
  }
  return null;
}

const DIGEST_BYTES = 32;
const FRAME_BYTES = DIGEST_BYTES + 8;

/** The head of one blob in a batch: 32 bytes of digest, 8 of length (big-endian); then come its bytes. */
export function frameHead(digest: string, length: number): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(FRAME_BYTES);
  for (let i = 0; i < DIGEST_BYTES; i += 1) head[i] = Number.parseInt(digest.slice(2 * i, 2 * i + 2), 16);
  new DataView(head.buffer).setBigUint64(DIGEST_BYTES, BigInt(length));
  return head;
}
