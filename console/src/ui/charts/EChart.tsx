/** Charts that need more than lines and bars. ECharts is large: it comes only where one is shown. */
import type { EChartsCoreOption } from "echarts/core";
import { useEffect, useRef } from "react";
import { useNear } from "./near";
import { useTokens } from "./theme";

type ECharts = ReturnType<typeof import("./echarts").init>;

interface Props {
  /** What it shows, for who does not see it; put a table with the same numbers beside it. */
  label: string;
  /** ECharts' option; colours of text, axes and background come from the theme. */
  option: EChartsCoreOption;
  height?: number;
  /** The names of items that were clicked. */
  onClick?: (name: string) => void;
}

export function EChart({ label, option, height = 320, onClick }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<ECharts | null>(null);
  const wanted = useRef({ option, onClick });
  const near = useNear(box);
  const theme = useTokens();

  useEffect(() => {
    wanted.current = { option, onClick };
    chart.current?.setOption(option, { notMerge: true, lazyUpdate: true });
  }, [option, onClick]);
  useEffect(() => {
    const place = box.current;
    if (!near || !place) return undefined;
    let left = false;
    const resized = new ResizeObserver(() => chart.current?.resize());
    void import("./echarts").then(({ init }) => {
      if (left) return;
      chart.current = init(place, theme);
      chart.current.setOption(wanted.current.option);
      chart.current.on("click", (event) => wanted.current.onClick?.(event.name));
      resized.observe(place);
    });
    return () => {
      left = true;
      resized.disconnect();
      chart.current?.dispose();
      chart.current = null;
    };
  }, [near, theme]);
  return <div ref={box} role="img" aria-label={label} style={{ height, minWidth: 0 }} />;
}
