/** What `.gitignore` and `.nacreignore` files leave out, as git and the SDK read them. */

interface Rule {
  /** Folder of the file that says it, with a slash at its end, or "". */
  folder: string;
  pattern: RegExp;
  again: boolean;
  foldersOnly: boolean;
}

/**
 * Whether a file's path is left out, by the texts of ignore files: (path of the file, its text) pairs. The
 * deepest file that says something of a path decides; in one folder `.nacreignore` has the last word. Nothing
 * below a folder that is left out comes back.
 */
export function ignorer(files: [path: string, text: string][]): (path: string) => boolean {
  const depth = (path: string) => path.split("/").length;
  const ordered = [...files].sort(([a], [b]) => depth(a) - depth(b) || (a < b ? -1 : 1));
  const rules = ordered.flatMap(([path, text]) => {
    const folder = path.slice(0, path.lastIndexOf("/") + 1);
    return text.split(/\r?\n/).flatMap((line) => ruleOf(folder, line) ?? []);
  });
  const said = (path: string, isFolder: boolean) => {
    const rule = rules.findLast((one) => (isFolder || !one.foldersOnly) && path.startsWith(one.folder) && one.pattern.test(path.slice(one.folder.length)));
    return rule !== undefined && !rule.again;
  };
  const folders = new Map<string, boolean>();
  const folderOut = (path: string): boolean => {
    if (!path) return false;
    const known = folders.get(path);
    if (known !== undefined) return known;
    const out = folderOut(path.slice(0, Math.max(0, path.lastIndexOf("/")))) || said(path, true);
    folders.set(path, out);
    return out;
  };
  return (path) => folderOut(path.slice(0, Math.max(0, path.lastIndexOf("/")))) || said(path, false);
}

function ruleOf(folder: string, line: string): Rule | null {
  let text = line.replace(/(?<!\\)\s+$/, "");
  if (!text || text.startsWith("#")) return null;
  const again = text.startsWith("!");
  if (again) text = text.slice(1);
  const foldersOnly = text.endsWith("/");
  if (foldersOnly) text = text.slice(0, -1);
  const anchored = text.includes("/");
  if (text.startsWith("/")) text = text.slice(1);
  if (!text) return null;
  try {
    return { folder, again, foldersOnly, pattern: new RegExp(`^${anchored ? "" : "(?:.*/)?"}${regexOf(text)}$`, "u") };
  } catch {
    return null;
  }
}

function regexOf(glob: string): string {
  let found = "";
  for (let i = 0; i < glob.length; i += 1) {
    const rest = glob.slice(i);
    if (rest.startsWith("**/")) {
      found += "(?:.*/)?";
      i += 2;
    } else if (rest === "**") {
      found += ".*";
      i += 1;
    } else if (rest[0] === "*") found += "[^/]*";
    else if (rest[0] === "?") found += "[^/]";
    else if (rest[0] === "[") {
      const set = /^\[(!|\^)?(\]?[^\]]*)\]/.exec(rest);
      if (!set) found += "\\[";
      else {
        found += `[${set[1] ? "^/" : ""}${set[2]!.replace(/[\\\]&~]/g, "\\$&")}]`;
        i += set[0].length - 1;
      }
    } else if (rest[0] === "\\" && rest.length > 1) {
      found += rest[1]!.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
      i += 1;
    } else found += rest[0]!.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
  }
  return found;
}
