/** The rows of a file tree: folders first, each with what lies in it; only what is open has rows. */

export interface FileOf {
  path: string;
  size?: number | null;
}

export interface Folder {
  name: string;
  path: string;
  folders: Folder[];
  files: { name: string; path: string; size: number | null }[];
  /** Files in it and below, and their bytes together. */
  count: number;
  size: number;
}

export interface Row {
  path: string;
  name: string;
  folder: boolean;
  /** Bytes; of a folder, all that is in it. */
  size: number | null;
  /** Files in a folder and below. */
  count: number;
  /** 1 at the top. */
  level: number;
  open: boolean;
  /** Place among its siblings, from 1, and how many they are. */
  place: number;
  siblings: number;
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Paths as a tree, sorted by name with numbers as numbers (2.png before 10.png). */
export function treeOf(files: readonly FileOf[]): Folder {
  const root = folderOf("", "");
  const known = new Map<string, Folder>([["", root]]);
  const folderAt = (path: string): Folder => {
    const found = known.get(path);
    if (found) return found;
    const cut = path.lastIndexOf("/");
    const parent = folderAt(cut < 0 ? "" : path.slice(0, cut));
    const made = folderOf(path.slice(cut + 1), path);
    parent.folders.push(made);
    known.set(path, made);
    return made;
  };
  for (const { path, size = null } of files) {
    const cut = path.lastIndexOf("/");
    folderAt(cut < 0 ? "" : path.slice(0, cut)).files.push({ name: path.slice(cut + 1), path, size });
  }
  total(root);
  return root;
}

function folderOf(name: string, path: string): Folder {
  return { name, path, folders: [], files: [], count: 0, size: 0 };
}

function total(folder: Folder): void {
  folder.folders.sort((a, b) => collator.compare(a.name, b.name));
  folder.files.sort((a, b) => collator.compare(a.name, b.name));
  folder.count = folder.files.length;
  folder.size = folder.files.reduce((sum, file) => sum + (file.size ?? 0), 0);
  for (const inner of folder.folders) {
    total(inner);
    folder.count += inner.count;
    folder.size += inner.size;
  }
}

/** The rows to draw when these folders are open. */
export function rowsOf(root: Folder, open: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const add = (folder: Folder, level: number): void => {
    const siblings = folder.folders.length + folder.files.length;
    let place = 0;
    for (const inner of folder.folders) {
      place += 1;
      const isOpen = open.has(inner.path);
      const { path, name, size, count } = inner;
      rows.push({ path, name, folder: true, size, count, level, open: isOpen, place, siblings });
      if (isOpen) add(inner, level + 1);
    }
    for (const file of folder.files) {
      place += 1;
      rows.push({ ...file, folder: false, count: 1, level, open: false, place, siblings });
    }
  };
  add(root, 1);
  return rows;
}

/** The folders above a path, the outermost first. */
export function above(path: string): string[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, at) => parts.slice(0, at + 1).join("/"));
}

/** Open at first: a lone folder is entered, until there is something to choose, and what is selected is seen. */
export function openAtFirst(root: Folder, selected: string | null): Set<string> {
  const open = new Set(selected ? above(selected) : []);
  let at = root;
  while (at.folders.length === 1 && at.files.length === 0) {
    at = at.folders[0]!;
    open.add(at.path);
  }
  return open;
}

/** Files whose path has every word of the text in it. */
export function matching<F extends FileOf>(files: readonly F[], text: string): readonly F[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return files;
  return files.filter(({ path }) => {
    const lower = path.toLowerCase();
    return words.every((word) => lower.includes(word));
  });
}

/** Every folder that has files, all open: for what a search found. */
export function allFolders(root: Folder): Set<string> {
  const found = new Set<string>();
  const add = (folder: Folder): void => {
    for (const inner of folder.folders) {
      found.add(inner.path);
      add(inner);
    }
  };
  add(root);
  return found;
}
