/**
 * Which rows are in sight. Without wrapping all are of one height, and that is a division; with it they are
 * measured as they are drawn.
 */
import { useVirtualizer } from "@tanstack/react-virtual";
import { type RefObject, useState } from "react";

export const ROW = 19;
const OVERSCAN = 20;

export interface Rows {
  items: { index: number; start: number }[];
  first: number;
  total: number;
  measure: ((row: HTMLElement | null) => void) | null;
  scrollTo: (index: number) => void;
  toEnd: () => void;
  onScroll: () => void;
}

export function useRows(scroller: RefObject<HTMLDivElement | null>, count: number, wrap: boolean, height: number): Rows {
  // eslint-disable-next-line react-hooks/incompatible-library -- the compiler leaves this alone
  const virtualizer = useVirtualizer({
    count: wrap ? count : 0,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    overscan: OVERSCAN,
  });
  const [top, setTop] = useState(0);
  const toEnd = () => {
    const place = scroller.current;
    if (place && place.scrollTop + place.clientHeight < place.scrollHeight) place.scrollTop = place.scrollHeight;
  };
  if (wrap) {
    const items = virtualizer.getVirtualItems();
    return {
      items,
      first: items[0]?.index ?? 0,
      total: virtualizer.getTotalSize(),
      measure: virtualizer.measureElement,
      scrollTo: (index) => virtualizer.scrollToIndex(index, { align: "center" }),
      toEnd,
      onScroll: () => undefined,
    };
  }
  // In steps, so that a scroll of some px draws nothing anew.
  const first = Math.max(0, Math.min(top * OVERSCAN, count) - OVERSCAN);
  const last = Math.min(count, (top + 1) * OVERSCAN + Math.ceil(height / ROW) + OVERSCAN);
  return {
    items: Array.from({ length: Math.max(0, last - first) }, (_, i) => ({ index: first + i, start: (first + i) * ROW })),
    first,
    total: count * ROW,
    measure: null,
    scrollTo: (index) => {
      const place = scroller.current;
      if (place) place.scrollTop = Math.max(0, index * ROW - (place.clientHeight - ROW) / 2);
    },
    toEnd,
    onScroll: () => setTop(Math.floor((scroller.current?.scrollTop ?? 0) / (ROW * OVERSCAN))),
  };
}
