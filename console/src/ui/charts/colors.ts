/**
 * The colours of curves. Each has at least 3:1 against the background of both themes, so that a run keeps its
 * colour when the theme changes, and can be told from each other. They draw lines and dots; words are never written in them.
 */
export const PALETTE = [
  "#1f7fd4", "#e0592f", "#459a1f", "#ae3a9c", "#7b6340", "#a67cf0", "#b28596", "#c4202f",
  "#0f9d9a", "#e85fae", "#7347cf", "#13752a", "#b3860a", "#0b6d7c", "#a75671", "#6a78a8",
] as const;

/** FNV-1a: short, and spreads ids that differ in one digit. */
function hash(text: string): number {
  let found = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    found = Math.imul(found ^ text.charCodeAt(at), 0x01000193);
  }
  return found >>> 0;
}

const place = (id: string) => hash(id) % PALETTE.length;

/** The colour of a thing: always the same one for the same id. Two things may have the same. */
export function colorOf(id: string): string {
  return PALETTE[place(id)]!;
}

/**
 * Colours of things that are drawn together: each has its own (`colorOf`) unless one before it took that, then
 * the next free one. `before` are colours that stay as they are, so that nothing changes when one is added.
 */
export function colorsOf(ids: readonly string[], before: ReadonlyMap<string, string> = new Map()): Map<string, string> {
  const found = new Map<string, string>();
  const taken = new Set<string>();
  for (const id of ids) {
    const kept = before.get(id);
    if (kept !== undefined && !taken.has(kept)) {
      found.set(id, kept);
      taken.add(kept);
    }
  }
  for (const id of ids) {
    if (found.has(id)) continue;
    const start = place(id);
    let color = PALETTE[start]!;
    for (let step = 0; step < PALETTE.length && taken.has(color); step += 1) {
      color = PALETTE[(start + 7 * step) % PALETTE.length]!;
    }
    found.set(id, color);
    taken.add(color);
    if (taken.size === PALETTE.length) taken.clear();
  }
  return found;
}

/** The colour with an opacity, as a canvas takes it. */
export function faded(color: string, opacity: number): string {
  return color + Math.round(opacity * 255).toString(16).padStart(2, "0");
}
