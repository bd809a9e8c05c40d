/** The hashing of an upload's files: large ones one by one, small ones together. */
import { FileUnreadable, type Hashers } from "./hashing";
import { isSettled, keyOf, recall, remember, WORTH_BYTES } from "./remembered";

export type FileState = "waiting" | "hashing" | "hashed" | "sending" | "there";

export interface UploadFile {
  path: string;
  blob: Blob;
  digest: string | null;
  state: FileState;
  /** Bytes hashed, or sent, of it. */
  done: number;
}

interface How {
  hashers: Hashers;
  /** The folder's name: where remembered digests are looked for. */
  label: string;
  signal: AbortSignal;
  /** So many more bytes are known. */
  read: (bytes: number) => void;
}

const MOST_FILES = 64;
const MOST_BYTES = 8 * 2 ** 20;

/** What is to be done so that every file has its digest, the large files first. */
export function hashWork(files: UploadFile[], how: How): (() => Promise<void>)[] {
  const large = files.filter((file) => file.blob.size >= WORTH_BYTES);
  const small = batched(files.filter((file) => file.blob.size < WORTH_BYTES));
  return [...large.map((file) => () => hashLarge(file, how)), ...small.map((some) => () => hash(some, how))];
}

/** A file that is worth looking up whether it was hashed before. */
async function hashLarge(file: UploadFile, how: How): Promise<void> {
  const { blob } = file;
  if (!(blob instanceof File) || !isSettled(blob)) return hash([file], how);
  const key = keyOf(how.label, file.path, blob);
  const glance = await how.hashers.glance(blob).catch((error: unknown) => {
    throw error instanceof FileUnreadable ? new FileUnreadable(file.path) : error;
  });
  const known = await recall(key);
  if (known?.glance === glance) {
    keep(file, known.digest);
    how.read(blob.size);
  } else {
    await hash([file], how);
    await remember({ key, glance, digest: file.digest!, at: Date.now() });
  }
}

async function hash(files: UploadFile[], { hashers, signal, read }: How): Promise<void> {
  for (const file of files) [file.state, file.done] = ["hashing", 0];
  const onBytes = (bytes: number) => {
    if (files.length === 1) files[0]!.done += bytes;
    read(bytes);
  };
  try {
    const blobs = files.map((file) => file.blob);
    const digests = await hashers.hash(blobs, onBytes, signal);
    for (const [at, file] of files.entries()) keep(file, digests[at]!);
  } catch (error) {
    throw error instanceof FileUnreadable ? new FileUnreadable(files[error.at]!.path) : error;
  }
}

function keep(file: UploadFile, digest: string): void {
  file.digest = digest;
  file.state = "hashed";
  file.done = 0;
}

/** Small files together, so that few messages go to the workers. */
function batched(files: UploadFile[]): UploadFile[][] {
  const found: UploadFile[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const file of files) {
    if (size + file.blob.size > MOST_BYTES || found.at(-1)!.length >= MOST_FILES) {
      found.push([]);
      size = 0;
    }
    found.at(-1)!.push(file);
    size += file.blob.size;
  }
  return found;
}
