/** Curves over steps or time. Drawn only while it is near the window; uPlot comes with the first one. */
import { ActionIcon } from "@mantine/core";
import { IconChartLine, IconTable, IconZoomReset } from "@tabler/icons-react";
import { Suspense, useCallback, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { LineSeries } from "./align";
import type { XKind } from "./axes";
import { ChartTable } from "./ChartTable";
import classes from "./LineChart.module.css";
import { soon, useNear } from "./near";
import { Plot, ready, type PlotSpec, type Range, shape } from "./plot";
import { useTokens } from "./theme";

export type { LineSeries } from "./align";
export type { XKind } from "./axes";
export type { Range } from "./plot";

/** Fetch what draws, before there is anything to draw. */
export const preload = () => void ready(() => undefined);

export interface LineChartProps {
  /** What it shows, for who does not see it. */
  label: string;
  series: LineSeries[];
  /** Pixels. */
  height?: number;
  /** What x counts: steps, milliseconds since 1970, or milliseconds since the start. */
  x?: XKind;
  logX?: boolean;
  logY?: boolean;
  /** The axis of values begins at 0: for amounts of something. */
  zero?: boolean;
  /** Charts with the same word show their cursors at the same x. */
  sync?: string;
  /** The part of x that is shown; null: all. Without `onZoom` the chart keeps it by itself. */
  range?: Range | null;
  /** Somebody drew a range (null: double click, all again). */
  onZoom?: (range: Range | null) => void;
  /** By default where there is more than one curve. */
  legend?: boolean;
  /** Whether a table stands in its place; without it the chart has a button of its own. */
  asTable?: boolean;
}

/** While its words come, it waits by itself: the page around it stays as it is. */
export function LineChart(props: LineChartProps) {
  return (
    <Suspense fallback={<div style={{ height: props.height ?? 200 }} aria-busy />}>
      <Lines {...props} />
    </Suspense>
  );
}

function Lines({ label, series, height = 200, x = "step", logX = false, logY = false, zero = false, sync, range, onZoom, legend, asTable }: LineChartProps) {
  const { t, i18n } = useTranslation("charts");
  const [own, setOwn] = useState<Range | null>(null);
  const [table, setTable] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const near = useNear(box);
  const zoom = onZoom ?? setOwn;
  const shown = onZoom ? (range ?? null) : own;
  const tabled = asTable ?? table;
  const empty = !series.some((one) => one.y.some((value) => value !== null));
  const more = useCallback((count: number) => t("more", { count }), [t]);
  const spec: PlotSpec = { series, x, logX, logY, zero, sync, range: shown, language: i18n.language, more, onZoom: zoom };
  const legended = legend ?? series.length > 1;
  const tooled = asTable === undefined;
  return (
    <div className={classes.chart} ref={box}>
      {(legended || tooled) && (
        <div className={classes.bar}>
          {legended && (
            <ul className={classes.legend}>
              {series.map((one) => (
                <li key={one.id}>
                  <span className={classes.swatch} style={{ background: one.color }} />
                  {one.label}
                </li>
              ))}
            </ul>
          )}
          {tooled && (
            <span className={classes.tool}>
              {shown && (
                <ActionIcon size="sm" onClick={() => zoom(null)} aria-label={t("resetZoom")} title={t("resetZoom")}>
                  <IconZoomReset size={14} />
                </ActionIcon>
              )}
              <ActionIcon size="sm" onClick={() => setTable(!table)} aria-label={tabled ? t("asChart", { label }) : t("asTable", { label })} title={tabled ? t("chart") : t("table")}>
                {tabled ? <IconChartLine size={14} /> : <IconTable size={14} />}
              </ActionIcon>
            </span>
          )}
        </div>
      )}
      {tabled ? (
        <ChartTable label={label} series={series} x={x} range={shown} height={height} />
      ) : empty ? (
        <div className={classes.none} style={{ height }}>
          {t("noPoints")}
        </div>
      ) : near ? (
        <Canvas label={t("curves", { label, count: series.length })} spec={spec} height={height} />
      ) : (
        <div style={{ height }} />
      )}
    </div>
  );
}

function Canvas({ label, spec, height }: { label: string; spec: PlotSpec; height: number }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const wanted = useRef(spec);
  const theme = useTokens();

  // Draws what is wanted by then: made anew where its lines are others, else given the new points.
  const draw = useCallback(() => {
    const now = () => {
      const place = box.current;
      if (!place || place.clientWidth === 0) return;
      const made = ready(() => soon(box, now));
      if (!made) return;
      if (plot.current?.shape === shape(wanted.current)) {
        plot.current.update(wanted.current);
        return;
      }
      plot.current?.destroy();
      plot.current = new Plot(made, place, place.clientWidth, height, wanted.current);
    };
    now();
  }, [height]);

  const { series, x, logX, logY, zero, sync, language, range } = spec;
  useEffect(() => {
    wanted.current = spec;
  });
  useEffect(() => soon(box, draw), [draw, series, x, logX, logY, zero, sync, language, range]);
  useEffect(() => plot.current?.redraw(), [theme]);
  useEffect(() => {
    const place = box.current!;
    const resized = new ResizeObserver(() => {
      if (plot.current) plot.current.resize(place.clientWidth, height);
      else soon(box, draw);
    });
    resized.observe(place);
    return () => resized.disconnect();
  }, [draw, height]);
  useEffect(
    () => () => {
      plot.current?.destroy();
      plot.current = null;
    },
    [],
  );
  return <div ref={box} className={classes.plot} style={{ height }} role="img" aria-label={label} />;
}
