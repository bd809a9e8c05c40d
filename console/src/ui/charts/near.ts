/** Drawing only what can be seen, a little at a time. */
import { type RefObject, useEffect, useState } from "react";

const watchers = new Map<Element, (near: boolean) => void>();
let observer: IntersectionObserver | null = null;

function watch(element: Element, tell: (near: boolean) => void): () => void {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const entry of entries) watchers.get(entry.target)?.(entry.isIntersecting);
    },
    // Scrolling boxes clip what is in them: `rootMargin` reaches only beyond the window, so `scrollMargin` too.
    { rootMargin: "300px 0px", scrollMargin: "300px 0px" } as IntersectionObserverInit,
  );
  watchers.set(element, tell);
  observer.observe(element);
  return () => {
    watchers.delete(element);
    observer?.unobserve(element);
  };
}

/**
 * Whether the element is in the window, or will soon be scrolled into it; and stays there for `waitMs`: what flies
 * by is not drawn.
 */
export function useNear(box: RefObject<Element | null>, waitMs = 0): boolean {
  const [near, setNear] = useState(false);
  useEffect(() => {
    if (!box.current) return undefined;
    let timer: ReturnType<typeof setTimeout>;
    const leave = watch(box.current, (now) => {
      clearTimeout(timer);
      if (!now || waitMs === 0) setNear(now);
      else timer = setTimeout(() => setNear(true), waitMs);
    });
    return () => {
      clearTimeout(timer);
      leave();
    };
  }, [box, waitMs]);
  return near;
}

const BUDGET_MS = 8;
const waiting = new Map<object, () => void>();
let frame = 0;

function work(): void {
  const end = performance.now() + BUDGET_MS;
  frame = 0;
  for (const [who, task] of waiting) {
    waiting.delete(who);
    task();
    if (performance.now() > end) break;
  }
  if (waiting.size > 0) frame = requestAnimationFrame(work);
}

/**
 * Do this in a coming frame; what does not fit into a frame waits for the next one. A second task of the same
 * `who` replaces the first. The returned function takes it back.
 */
export function soon(who: object, task: () => void): () => void {
  waiting.set(who, task);
  if (frame === 0) frame = requestAnimationFrame(work);
  return () => {
    if (waiting.get(who) === task) waiting.delete(who);
  };
}
