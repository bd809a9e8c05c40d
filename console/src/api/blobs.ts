/**
 * Blobs by content: hashed here, asked for, and sent as far as the project does not have them.
 *
 *     const { manifest } = await pushFolder("vision", [{ path: "train.py", data: new Blob([text]) }]);
 *
 * Small files go many to a request, as the SDK sends them. What is larger than `LARGE_BYTES` goes in parts
 * (the upload of datasets does that on top of this).
 */
import { fetchApi, type Schemas } from "./client";
import { canonical, type FileEntry, frameHead } from "./manifest";

export const SMALL_BYTES = 2 ** 20;
export const LARGE_BYTES = 16 * 2 ** 20;
const BATCH_BYTES = 4 * 2 ** 20;
const BATCH_BLOBS = 512;
const ASK = 10_000;
const PIECE = 2 ** 20;

export interface FileToPush {
  /** Relative, with forward slashes. */
  path: string;
  data: Blob;
  executable?: boolean;
}

export interface PushProgress {
  hashed?: (bytes: number) => void;
  /** So many bytes must be sent. */
  lacking?: (bytes: number) => void;
  sent?: (bytes: number) => void;
}

export interface Pushed {
  /** The digest under which the project has the folder now. */
  manifest: string;
  files: FileEntry[];
  size: number;
}

const at = (project: string, path = "") => `/api/v1/projects/${encodeURIComponent(project)}/blobs${path}`;
const JSON_TYPE = { "Content-Type": "application/json" };
const BYTES = { "Content-Type": "application/octet-stream" };

/** BLAKE3 of a blob, read in pieces: hex, 64 digits. */
export async function hashBlob(blob: Blob, { onBytes, signal }: { onBytes?: ((bytes: number) => void) | undefined; signal?: AbortSignal | undefined } = {}): Promise<string> {
  const { createBLAKE3 } = await import("hash-wasm");
  const hasher = await createBLAKE3();
  for (let start = 0; start < blob.size; start += PIECE) {
    signal?.throwIfAborted();
    const bytes = new Uint8Array(await blob.slice(start, start + PIECE).arrayBuffer());
    hasher.update(bytes);
    onBytes?.(bytes.length);
  }
  return hasher.digest("hex");
}

/** Which of them the project does not have. */
export async function missingBlobs(project: string, digests: string[], signal?: AbortSignal): Promise<Set<string>> {
  const found = new Set<string>();
  const unique = [...new Set(digests)];
  for (let start = 0; start < unique.length; start += ASK) {
    const body = { digests: unique.slice(start, start + ASK) };
    const response = await fetchApi(at(project, "/missing"), { method: "POST", body: JSON.stringify(body), headers: JSON_TYPE, signal: signal ?? null });
    const answer = (await response.json()) as Schemas["BlobsMissing"];
    for (const digest of answer.missing) found.add(digest);
  }
  return found;
}

/** Send one blob; its digest must be right. */
export async function putBlob(project: string, digest: string, data: Blob, signal?: AbortSignal): Promise<void> {
  await fetchApi(at(project, `/${digest}`), { method: "PUT", body: data, headers: BYTES, signal: signal ?? null });
}

/** Send many small blobs in one request. */
export async function putBlobs(project: string, items: [digest: string, data: Blob][], signal?: AbortSignal): Promise<void> {
  const body = new Blob(items.flatMap(([digest, data]) => [frameHead(digest, data.size), data]));
  await fetchApi(at(project), { method: "POST", body, headers: BYTES, signal: signal ?? null });
}

/** Send those of these that are missing: the small ones in batches, the others one by one. */
export async function sendBlobs(project: string, blobs: Map<string, Blob>, progress: PushProgress = {}, signal?: AbortSignal): Promise<void> {
  progress.lacking?.([...blobs.values()].reduce((sum, blob) => sum + blob.size, 0));
  let batch: [string, Blob][] = [];
  let size = 0;
  const flush = async () => {
    if (!batch.length) return;
    await putBlobs(project, batch, signal);
    progress.sent?.(size);
    [batch, size] = [[], 0];
  };
  for (const [digest, blob] of blobs) {
    if (blob.size > SMALL_BYTES) {
      await putBlob(project, digest, blob, signal);
      progress.sent?.(blob.size);
      continue;
    }
    batch.push([digest, blob]);
    size += blob.size;
    if (size >= BATCH_BYTES || batch.length >= BATCH_BLOBS) await flush();
  }
  await flush();
}

/** Hash files, send what the project lacks, and their manifest. */
export async function pushFolder(project: string, files: FileToPush[], progress: PushProgress = {}, signal?: AbortSignal): Promise<Pushed> {
  const entries: FileEntry[] = [];
  const blobs = new Map<string, Blob>();
  for (const file of files) {
    const digest = await hashBlob(file.data, { onBytes: progress.hashed, signal });
    entries.push({ path: file.path, size: file.data.size, digest, executable: file.executable ?? false });
    blobs.set(digest, file.data);
  }
  const text = new Blob([canonical(entries)]);
  const manifest = await hashBlob(text, { signal });
  blobs.set(manifest, text);
  const missing = await missingBlobs(project, [...blobs.keys()], signal);
  await sendBlobs(project, new Map([...blobs].filter(([digest]) => missing.has(digest))), progress, signal);
  return { manifest, files: entries, size: entries.reduce((sum, file) => sum + file.size, 0) };
}
