/** One resource: a line for each replica and device, and what they may have at most. */
import { Button } from "@mantine/core";
import { useMemo, useRef } from "react";
import { useTranslation } from "react-i18next";
import type { Schemas } from "@/api/client";
import { LineChart, type LineSeries } from "@/ui/charts/LineChart";
import { PALETTE } from "@/ui/charts/colors";
import { useNear } from "@/ui/charts/near";
import { useTokens } from "@/ui/charts/theme";
import type { ChartFeed, Range } from "../charts/chartFeed";
import classes from "./system.module.css";
import { limitOf, scaleOf, type SystemChart } from "./system";
import { useManyCurves } from "./useManyCurves";
import { useWords } from "./words";

interface Props {
  feed: ChartFeed;
  chart: SystemChart;
  job: Schemas["Job"] | null;
  range: Range | null;
  onZoom: (range: [number, number] | null) => void;
}

const HEIGHT = 180;

export function ResourceChart(props: Props) {
  const box = useRef<HTMLElement>(null);
  const near = useNear(box, 60);
  const words = useWords();
  return (
    <section ref={box} className={classes.card} aria-label={words.title(props.chart)} style={{ minHeight: HEIGHT + 40 }}>
      {near && <Chart {...props} />}
    </section>
  );
}

function Chart({ feed, chart, job, range, onZoom }: Props) {
  const { t } = useTranslation("system");
  const words = useWords();
  const theme = useTokens();
  const keys = useMemo(() => chart.lines.map((one) => one.key), [chart]);
  const shown = useManyCurves(feed, keys, range);
  const limit = limitOf(chart.family, job);
  const title = words.title(chart);
  const known = shown.flatMap((one, at) => (one.curves[0] ? [{ curve: one.curves[0], line: chart.lines[at]!, at }] : []));
  const most = Math.max(0, ...known.flatMap(({ curve }) => curve.max.map((value) => value ?? 0)));
  // A limit far above what is used would press the curves to the ground: then it is said, not drawn.
  const drawn = limit !== null && most > limit / 12;
  const scale = scaleOf(chart.unit, drawn ? Math.max(most, limit) : most);
  const scaled = (values: (number | null)[]) => (scale.factor === 1 ? values : values.map((value) => (value === null ? null : value * scale.factor)));
  const series: LineSeries[] = known.map(({ curve, line, at }) => ({
    id: line.key,
    label: words.line(chart, line),
    color: PALETTE[at % PALETTE.length]!,
    x: curve.x,
    y: scaled(curve.mean),
    ...(curve.exact ? {} : { lower: scaled(curve.min), upper: scaled(curve.max) }),
  }));
  if (drawn && known.length) {
    const ends = known.map(({ curve }) => curve.x);
    const [from, to] = [Math.min(...ends.map((x) => x[0]!)), Math.max(...ends.map((x) => x.at(-1)!))];
    series.push({ id: "limit", label: t("limit"), color: theme.soft, x: [from, to], y: [limit * scale.factor, limit * scale.factor], dashed: true });
  }
  const failed = shown.find((one) => one.error !== null)?.error;
  const unit = scale.name ? t("inUnit", { name: title, unit: scale.name }) : title;
  const limitSaid = limit !== null && !drawn ? t("limitOf", { limit: `${Math.round(100 * limit * scaleOf(chart.unit, limit).factor) / 100} ${scaleOf(chart.unit, limit).name}` }) : "";
  return (
    <>
      <header className={classes.head}>
        <h2 title={unit}>{unit}</h2>
        {limitSaid && <span>{limitSaid}</span>}
      </header>
      {failed && !known.length ? (
        <div className={classes.failed} role="alert">
          {failed instanceof Error ? failed.message : String(failed)}
          <Button variant="default" size="compact-xs" onClick={() => keys.forEach((key) => feed.retry(key))}>
            {t("common:tryAgain")}
          </Button>
        </div>
      ) : shown.some((one) => one.loading) && !known.length ? (
        <div style={{ height: HEIGHT }} aria-busy />
      ) : (
        <LineChart label={unit} series={series} height={HEIGHT} x="time" zero sync="system" range={range as [number, number] | null} onZoom={onZoom} legend={series.length > 1 && series.length <= 9} />
      )}
    </>
  );
}
