/** The tokens, for what draws on a canvas. */
import { useSyncExternalStore } from "react";

export interface Tokens {
  bg: string;
  text: string;
  soft: string;
  border: string;
  accent: string;
  font: string;
}

let known: Tokens | null = null;
const listeners = new Set<() => void>();
let observer: MutationObserver | null = null;

function read(): Tokens {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(`--n-${name}`).trim();
  return {
    bg: of("bg"),
    text: of("text"),
    soft: of("text-soft"),
    border: of("border"),
    accent: of("accent"),
    font: of("font") || "sans-serif",
  };
}

/** The tokens of the theme in use; the same object until the theme changes. */
export function tokens(): Tokens {
  known ??= read();
  return known;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  observer ??= new MutationObserver(() => {
    known = null;
    for (const one of listeners) one();
  });
  observer.observe(document.documentElement, { attributeFilter: ["data-mantine-color-scheme"] });
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      observer?.disconnect();
      known = null;
    }
  };
}

/** The tokens, read anew when the theme changes. */
export function useTokens(): Tokens {
  return useSyncExternalStore(subscribe, tokens);
}
