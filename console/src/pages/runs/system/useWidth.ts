import { useEffect, useState } from "react";

/** Points that a chart of the grid has room for, in steps, so that a small change of the window asks for nothing. */
export function useWidth(box: React.RefObject<HTMLElement | null>): number | null {
  const [width, setWidth] = useState<number | null>(null);
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const measured = new ResizeObserver(() => {
      if (element.clientWidth > 0) setWidth(Math.max(160, Math.ceil(Math.min(element.clientWidth, 400) / 80) * 80));
    });
    measured.observe(element);
    return () => measured.disconnect();
  }, [box]);
  return width;
}
