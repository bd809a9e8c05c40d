/** An unsent draft outlives a reload and the way back: it is kept with its entry of the browser's history. */
import type { CodeFile } from "./codeFiles";

export interface Kept {
  text: string;
  files: CodeFile[];
}

/** Browsers refuse states that are too large. */
const MOST_CHARACTERS = 200_000;

export function keptDraft(): Kept | null {
  const state = window.history.state as { jobDraft?: Kept } | null;
  return state?.jobDraft ?? null;
}

/** `null` forgets it. A draft with files that are no text, or are large, is not kept: half of one would mislead. */
export function keepDraft(draft: Kept | null): void {
  const { jobDraft, ...rest } = (window.history.state ?? {}) as { jobDraft?: Kept };
  const fits = draft !== null && draft.files.every((file) => file.text !== null) && sizeOf(draft) <= MOST_CHARACTERS;
  if (!fits && !jobDraft) return;
  window.history.replaceState(fits ? { ...rest, jobDraft: draft } : rest, "");
}

function sizeOf({ text, files }: Kept): number {
  return files.reduce((sum, file) => sum + file.path.length + (file.text?.length ?? 0), text.length);
}
