/** The files of a job's code: read from the server, from a drop, or written here. */
import { fetchApi, type Schemas } from "@/api/client";
import type { FileToPush } from "@/api/blobs";

export type FileEntry = Schemas["FileEntry"];

/** Larger files, and those that are no text, are kept but not edited. */
export const MAX_EDITED = 512 * 2 ** 10;
export const MAX_BYTES = 100 * 10 ** 6;
export const MAX_FILES = 20_000;
/** As the SDK: never part of a snapshot. */
const ALWAYS_OUT = new Set([".git", ".venv", "__pycache__", ".nacre"]);

/** A file of the draft: `text` where it is edited here, else the bytes as they are. */
export interface CodeFile {
  path: string;
  text: string | null;
  data: Blob | null;
  executable: boolean;
}

export const sizeOf = (file: CodeFile) => (file.text === null ? (file.data?.size ?? 0) : new Blob([file.text]).size);

export function toPush(file: CodeFile): FileToPush {
  return { path: file.path, data: file.text === null ? file.data! : new Blob([file.text]), executable: file.executable };
}

export function languageOf(path: string): "python" | "yaml" | "json" | "text" {
  if (/\.pyi?$/.test(path)) return "python";
  if (/\.ya?ml$/.test(path)) return "yaml";
  return /\.(json|ipynb)$/.test(path) ? "json" : "text";
}

const blobOf = (project: string, digest: string) => fetchApi(`/api/v1/projects/${encodeURIComponent(project)}/blobs/${digest}`);

export async function manifestOf(project: string, digest: string): Promise<FileEntry[]> {
  const response = await blobOf(project, digest);
  return ((await response.json()) as { files: FileEntry[] }).files;
}

/** The text of bytes; null where they are no text. */
export function decoded(bytes: ArrayBuffer): string | null {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

export async function textOf(project: string, digest: string): Promise<string | null> {
  return decoded(await (await blobOf(project, digest)).arrayBuffer());
}

async function codeFile(path: string, data: Blob, executable = false): Promise<CodeFile> {
  const text = data.size <= MAX_EDITED ? decoded(await data.arrayBuffer()) : null;
  return { path, text, data: text === null ? data : null, executable };
}

/** All files of the code of an earlier job, to change a copy of them. */
export async function filesOf(project: string, digest: string): Promise<CodeFile[]> {
  const found: CodeFile[] = [];
  for (const entry of await manifestOf(project, digest)) {
    found.push(await codeFile(entry.path, await (await blobOf(project, entry.digest)).blob(), entry.executable ?? false));
  }
  return found;
}

const isOut = (path: string) => path.split("/").some((part) => ALWAYS_OUT.has(part));

/**
 * Chosen files, with the path below the chosen folder where it was one. What `.gitignore` and `.nacreignore` of
 * the folder name stays out, as with the SDK.
 */
export async function fromInput(files: Iterable<File>): Promise<CodeFile[]> {
  const pairs = [...files].map((file): [string, File] => {
    const inner = file.webkitRelativePath.split("/").slice(1).join("/");
    return [inner || file.name, file];
  });
  return fromPairs(pairs);
}

/** What was dropped: files, and folders with all that is in them. */
export async function fromDrop(items: DataTransferItemList): Promise<CodeFile[]> {
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const pairs: [string, File][] = [];
  // One folder that is dropped is the code folder; several things are in it.
  const [only] = entries;
  if (entries.length === 1 && only!.isDirectory) await read(only as FileSystemDirectoryEntry, "", pairs);
  else for (const entry of entries) await take(entry, "", pairs);
  return fromPairs(pairs);
}

async function take(entry: FileSystemEntry, folder: string, found: [string, File][]): Promise<void> {
  const path = folder + entry.name;
  if (isOut(path) || found.length > MAX_FILES) return;
  if (entry.isDirectory) return read(entry as FileSystemDirectoryEntry, `${path}/`, found);
  found.push([path, await new Promise<File>((done, fail) => (entry as FileSystemFileEntry).file(done, fail))]);
}

async function read(folder: FileSystemDirectoryEntry, path: string, found: [string, File][]): Promise<void> {
  const reader = folder.createReader();
  for (;;) {
    // A hundred at a time, until there are none.
    const some = await new Promise<FileSystemEntry[]>((done, fail) => reader.readEntries(done, fail));
    if (!some.length) return;
    for (const entry of some) await take(entry, path, found);
  }
}

async function fromPairs(pairs: [string, File][]): Promise<CodeFile[]> {
  const kept = pairs.filter(([path]) => !isOut(path));
  const ignored = await ignoring(kept);
  const found: CodeFile[] = [];
  for (const [path, file] of kept) if (!ignored(path)) found.push(await codeFile(path, file));
  return found;
}

async function ignoring(pairs: [string, File][]): Promise<(path: string) => boolean> {
  const { ignorer } = await import("./gitignore");
  const rules: [string, string][] = [];
  for (const [path, file] of pairs) if (/(^|\/)\.(git|nacre)ignore$/.test(path)) rules.push([path, await file.text()]);
  return ignorer(rules);
}
