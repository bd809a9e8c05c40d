/**
 * Digests of files that were hashed before, in IndexedDB, so that a repeated drop does not read gigabytes again.
 *
 * It only saves time: where it does not work, everything is hashed. A digest counts for a file of the same path,
 * size and time of change whose ends and middle hash as they did.
 */
export interface Known {
  key: string;
  glance: string;
  digest: string;
  at: number;
}

const NAME = "nacre-uploads";
const STORE = "digests";
const KEPT_MS = 90 * 86_400_000;
/** Smaller files are hashed as fast as they are looked up. */
export const WORTH_BYTES = 2 ** 20;
const SETTLED_MS = 2000;

export function keyOf(root: string, path: string, file: { size: number; lastModified: number }): string {
  return [root, path, file.size, file.lastModified].join("\0");
}

/** A file that was just written may be written again within the clock's resolution. */
export function isSettled(file: { lastModified: number }, now = Date.now()): boolean {
  return file.lastModified < now - SETTLED_MS;
}

let opened: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((done, fail) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "key" }).createIndex("at", "at");
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error ?? new Error("no database"));
  });
  return opened;
}

export async function recall(key: string): Promise<Known | null> {
  try {
    const db = await open();
    return await new Promise((done) => {
      const request = db.transaction(STORE).objectStore(STORE).get(key);
      request.onsuccess = () => done((request.result as Known | undefined) ?? null);
      request.onerror = () => done(null);
    });
  } catch {
    return null;
  }
}

export async function remember(known: Known): Promise<void> {
  try {
    const store = (await open()).transaction(STORE, "readwrite").objectStore(STORE);
    store.put(known);
    const old = store.index("at").openCursor(IDBKeyRange.upperBound(known.at - KEPT_MS));
    old.onsuccess = () => {
      old.result?.delete();
      old.result?.continue();
    };
  } catch {
    /* it will be hashed again */
  }
}

export async function forget(key: string): Promise<void> {
  try {
    (await open()).transaction(STORE, "readwrite").objectStore(STORE).delete(key);
  } catch {
    /* it was not there */
  }
}
