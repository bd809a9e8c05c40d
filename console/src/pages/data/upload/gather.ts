/** Files of what somebody dropped or chose, with their paths as they will be in the dataset. */

export interface Gathered {
  /** Relative to the dataset's root, with forward slashes. */
  path: string;
  file: File;
}

export interface Gathering {
  entries: Gathered[];
  /** The name of the folder or file that was given, when it was one. */
  label: string;
  /** What operating systems leave in folders, passed over. */
  skipped: number;
}

const JUNK = new Set([".ds_store", "thumbs.db", "desktop.ini"]);

/** Whether it is a file that an operating system leaves in folders. */
export function isJunk(path: string): boolean {
  const parts = path.split("/");
  return JUNK.has(parts.at(-1)!.toLowerCase()) || parts.includes("__MACOSX");
}

/**
 * Paths as in a dataset: of one folder, what is in it (as `nacre data push FOLDER` does); of several things,
 * each under its name.
 */
export function rooted(found: Gathered[]): Gathering {
  const kept = found.filter(({ path }) => !isJunk(path));
  const tops = new Set(kept.map(({ path }) => path.split("/")[0]!));
  const folders = kept.length > 0 && kept.every(({ path }) => path.includes("/"));
  const skipped = found.length - kept.length;
  const label = tops.size === 1 ? [...tops][0]! : "";
  if (tops.size !== 1 || !folders) return { entries: kept, label, skipped };
  const cut = label.length + 1;
  return { entries: kept.map(({ path, file }) => ({ path: path.slice(cut), file })), label, skipped };
}

/** Of `<input type=file>`, with `webkitdirectory` or without. */
export function ofInput(files: Iterable<File>): Gathering {
  return rooted([...files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
}

/** Of a drop, folders walked through. Call it within the event: the list of items is emptied after it. */
export async function ofDrop(transfer: DataTransfer, onFound?: (files: number) => void): Promise<Gathering> {
  const entries = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry() ?? item.getAsFile())
    .filter((entry) => entry !== null);
  const found: Gathered[] = [];
  const walk = async (entry: FileSystemEntry, path: string): Promise<void> => {
    if (entry.isFile) {
      const file = await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail));
      found.push({ path, file });
      if (found.length % 200 === 0) onFound?.(found.length);
      return;
    }
    for (const child of await children(entry as FileSystemDirectoryEntry)) await walk(child, `${path}/${child.name}`);
  };
  for (const entry of entries) {
    if (entry instanceof File) found.push({ path: entry.name, file: entry });
    else await walk(entry, entry.name);
  }
  return rooted(found);
}

/** Browsers give a folder's children a hundred at a time, until there are none. */
async function children(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (!part.length) return found;
    found.push(...part);
  }
}

/** A name for the dataset, from that of the folder or file. */
export function nameFrom(label: string): string {
  const bare = label.replace(/\.(zip|tar|tgz|gz|csv|parquet|npz|npy|jsonl?)$/i, "");
  return bare
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replaceAll(/^[._-]+|[._-]+$/g, "")
    .slice(0, 64)
    .replace(/[._-]+$/, "");
}

/** Whether the server takes it as the name of a dataset. */
export function isName(name: string): boolean {
  return /^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$/.test(name);
}
