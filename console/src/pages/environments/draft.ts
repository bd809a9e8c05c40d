/** A new environment as the form has it, and the command that makes the same. */
import type { Schemas } from "@/api/client";

export const SOURCES = ["requirements", "pyproject", "lock"] as const;
export type Source = (typeof SOURCES)[number];

export interface Draft {
  name: string;
  source: Source;
  text: Record<Source, string>;
  /** Empty: the server's own. */
  python: string;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
export const isName = (name: string) => NAME.test(name);

/** The file that the command line would be given. */
export const FILES: Record<Source, string> = { requirements: "requirements.txt", pyproject: "pyproject.toml", lock: "uv.lock" };

/** Which of the three a dropped file is, by its name and its beginning. */
export function sourceOf(name: string, text: string): Source {
  if (/pyproject/i.test(name)) return "pyproject";
  if (/\.lock$|^pylock.*\.toml$/i.test(name) || text.includes("--hash=") || /^lock-version\s*=/m.test(text) || /^\[\[package\]\]/m.test(text)) return "lock";
  return /^\[project\]/m.test(text) ? "pyproject" : "requirements";
}

export function bodyOf(draft: Draft): Schemas["EnvironmentCreate"] {
  const text = draft.text[draft.source];
  return {
    name: draft.name,
    requirements: draft.source === "requirements" ? text : null,
    pyproject: draft.source === "pyproject" ? text : null,
    lock: draft.source === "lock" ? text : null,
    python: draft.python || null,
  };
}

export function wordsOf(draft: Draft): string[] {
  const option = { requirements: "-r", pyproject: "--pyproject", lock: "--lock" }[draft.source];
  const words = ["nacre", "env", "create", draft.name || "mine", option, FILES[draft.source]];
  return draft.python ? [...words, "--python", draft.python] : words;
}

/** Lines that the server would refuse, as far as that is plain; it says the rest. */
type WrongLine = { line: number; kind: "folder" | "git" | "file" };

export function wrongLines(text: string): WrongLine[] {
  return text.split("\n").flatMap((raw, index): WrongLine[] => {
    const line = raw.trim();
    if (!line || line.startsWith("#")) return [];
    if (/^(-r|-c|--requirement|--constraint)\b/.test(line)) return [{ line: index + 1, kind: "file" }];
    if (/^(-e\b|--editable\b|\.{0,2}\/)/.test(line)) return [{ line: index + 1, kind: "folder" }];
    if (/\b(git|hg|svn)\+/.test(line)) return [{ line: index + 1, kind: "git" }];
    return [];
  });
}
