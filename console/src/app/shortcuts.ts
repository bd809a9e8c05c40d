/** Keys that work anywhere: one letter, or `g` and then a letter. Not while somebody types. */
import { useEffect, useRef } from "react";

const SEQUENCE_MS = 1200;
const MAC = /mac|iphone|ipad/i.test(navigator.platform);

/** How the key of the palette is written on this machine. */
export const PALETTE_KEY = MAC ? "⌘K" : "Ctrl K";

/** Whether keys belong to what has the focus: a field, an editor, a terminal, or an open dialog. */
export function isTaken(target: EventTarget | null): boolean {
  if (document.querySelector('[role="dialog"]')) return true;
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.closest("input, textarea, select, [role=textbox], .cm-editor, .xterm, [role=menu]") !== null;
}

/** The keys pressed so far and now, as the table names them: `?`, `g j`. */
export function sequence(before: { key: string; at: number } | null, key: string, now: number): string {
  return before && before.key === "g" && now - before.at < SEQUENCE_MS ? `g ${key}` : key;
}

/** Do what the table says for `?`, `g j` …, and `palette` for ⌘K and Ctrl K. */
export function useShortcuts(table: Record<string, () => void>, palette: () => void): void {
  const current = useRef({ table, palette });
  useEffect(() => {
    current.current = { table, palette };
  });
  useEffect(() => {
    let before: { key: string; at: number } | null = null;
    const hear = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === "k") {
        event.preventDefault();
        current.current.palette();
        return;
      }
      if (event.metaKey || event.ctrlKey || event.altKey || event.repeat || isTaken(event.target)) return;
      const pressed = sequence(before, event.key, event.timeStamp);
      before = pressed.includes(" ") ? null : { key: event.key, at: event.timeStamp };
      const act = current.current.table[pressed];
      if (!act) return;
      event.preventDefault();
      before = null;
      act();
    };
    window.addEventListener("keydown", hear);
    return () => window.removeEventListener("keydown", hear);
  }, []);
}
